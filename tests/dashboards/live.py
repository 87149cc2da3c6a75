"""A Prometheus that scrapes the program, after every kind of problem that dashboards show.

``python -m tests.dashboards.live`` keeps it running until Ctrl-C, for drawing the dashboards.
"""

import contextlib
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from exporter.demo.images import IMAGES
from exporter.demo.v2_images import V2_IMAGES
from exporter.simulator import SimulatedImageService
from exporter.simulator.keystone import CatalogEndpoint, SimulatedKeystone
from tests.dashboards.servers import Prometheus, prometheus
from tests.support.program import settings_file, start_program
from tests.support.wait import wait_until

JOB = "openstack-images"
OTHER = "something-else"
GOLDEN, REMOVED, OFF, REFUSED, DELETED, REPLACED, RETIRED, SUSPENDED = (
    IMAGES["golden-base"],
    *(
        replace(
            IMAGES["cirros"], id=f"{letter * 8}-0000-4000-8000-000000000000", visibility="private"
        )
        for letter in "abcdefg"
    ),
)

SETTINGS = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}}
FIRING = {"alert": "OpenStackImageLive", "expr": "vector(1)", "labels": {"severity": "none"}}
RULES = {"groups": [{"name": "live", "rules": [FIRING]}]}
"""A firing alert, for the annotations."""


def scraping(**jobs: tuple[int, ...]) -> dict[str, Any]:
    """Return settings of a Prometheus that scrapes the ports of each job every second."""
    configs = [
        {
            "job_name": name,
            "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}],
        }
        for name, ports in jobs.items()
    ]
    return {**SETTINGS, "scrape_configs": configs}


def clouds(service: SimulatedImageService, dead: int) -> list[dict[str, Any]]:
    """Return a cloud with Keystone, one as an administrator sees it, and one that is down."""
    expected = {"status": "active", "protected": False}
    entries = [{"id": GOLDEN.id, "alias": "golden", "expect": expected}]
    entries += [{"id": image.id} for image in (REMOVED, OFF, REPLACED)]
    return [
        {"name": "prod", "api": "v2", "region": "North", "images": entries},
        {
            "name": "lab",
            "api": "v1",
            "endpoint": service.url,
            "images": [
                {"id": DELETED.id},
                {"id": REFUSED.id},
                {"id": RETIRED.id, "expect": {"exists": False}},
                {"id": SUSPENDED.id, "expect": {"status": "deactivated"}},
            ],
        },
        {
            "name": "dead",
            "api": "v1",
            "endpoint": f"http://127.0.0.1:{dead}",
            "images": [{"id": GOLDEN.id}],
        },
    ]


def cause_problems(service: SimulatedImageService) -> None:
    """Cause every kind of problem that the dashboards show."""
    service.images.remove(REMOVED.id)
    service.images.change(OFF.id, status="deactivated")
    service.images.delete(DELETED.id)
    service.images.delete(RETIRED.id)
    service.images.change(SUSPENDED.id, status="deactivated")
    service.images.change(REPLACED.id, checksum="0" * 32, size=1, visibility="public")
    service.faults.set("status", on=REFUSED.id, code=403)


EFFECTS = (
    'openstack_image_exists{cloud="prod"} == 0',
    'openstack_image_exists{cloud="lab"} == 0',
    'openstack_image_poll_success{cloud="lab"} == 0',
    'openstack_image_status{cloud="prod", status="deactivated"} == 1',
    'openstack_image_content_changes_total{cloud="prod"} == 1',
    'openstack_image_attribute_changes_total{cloud="prod", attribute="public"} == 1',
)
"""Queries that return series once Prometheus has scraped each problem."""


@contextmanager
def environment(folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus that has scraped images before and after their problems."""
    with ExitStack() as stack:
        images = (GOLDEN, REMOVED, OFF, REFUSED, DELETED, REPLACED, RETIRED, SUSPENDED)
        service = stack.enter_context(SimulatedImageService(images))
        service.api.admin = True
        keystone = stack.enter_context(SimulatedKeystone())
        keystone.endpoints = [CatalogEndpoint(service.url, "North")]
        dead = stack.enter_context(contextlib.closing(socket.socket()))
        dead.bind(("127.0.0.1", 0))  # without listening
        for name in ("run", "demo"):
            (folder / name).mkdir()
        file = settings_file(
            folder / "run",
            *clouds(service, dead.getsockname()[1]),
            interval="1s",
            timeout="1s",
            properties=["os_distro"],
        )
        any_port = "--web.listen-address=127.0.0.1:0"
        run = stack.enter_context(
            start_program(
                folder / "run",
                "run",
                f"--config.file={file}",
                any_port,
                OS_AUTH_URL=keystone.auth_url,
                OS_USERNAME="demo",
                OS_PASSWORD="secret",
                OS_PROJECT_NAME="demo",
                OS_USER_DOMAIN_ID="default",
                OS_PROJECT_DOMAIN_ID="default",
            )
        )
        demo = stack.enter_context(
            start_program(folder / "demo", "demo", "--interval=2s", any_port)
        )
        # This Prometheus also scrapes another program, which the dashboards must not show.
        jobs = scraping(**{JOB: (run.port, demo.port), OTHER: (dead.getsockname()[1],)})
        server = stack.enter_context(prometheus(folder / "prometheus", jobs, RULES))
        # An increase needs a previous sample of the counter.
        sampled = "count_over_time(openstack_image_status_changes_total[1m]) > 2"
        expected = 1 + len(images) + len(IMAGES) + len(V2_IMAGES)
        wait_until(lambda: len(server.query(sampled)) == expected)
        cause_problems(service)
        for effect in EFFECTS:
            wait_until(partial(server.query, effect))
        yield server


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, environment(Path(folder)) as server:
        print(f"Prometheus: {server.url}", flush=True)  # noqa: T201 - the output of this command
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(60)
