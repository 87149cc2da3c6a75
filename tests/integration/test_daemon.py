"""The daemon in a process of its own, with a simulated cloud."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.simulator import SimulatedImageService
from exporter.simulator.keystone import KeystoneFault, SimulatedKeystone
from exporter.text import escape
from tests.support.program import (
    GOLDEN,
    ROOT,
    UBUNTU,
    Program,
    daemon,
    settings_file,
    simulated,
    start_program,
)
from tests.support.wait import wait_until

EXISTS = "openstack_image_exists"
POLL_SUCCESS = "openstack_image_poll_success"
FAILURES = "openstack_image_exporter_poll_failures_total"
PASSWORD = "s3cret-and-long"

# Simulates a resolver that does not respond: getaddrinfo has no timeout, and blocks outside of
# the interpreter, as sleep does.
SLOW_RESOLVER = """
import pathlib, socket, time
real = socket.getaddrinfo
def slow(host, *args, **kwargs):
    if host == "slow.test":
        pathlib.Path("resolving").touch()
        time.sleep(3600)
    return real(host, *args, **kwargs)
socket.getaddrinfo = slow
"""


def cloud(endpoint: str, *images: Any, **more: Any) -> dict[str, Any]:
    """Return the settings of a cloud without Keystone."""
    return {"name": "lab", "endpoint": endpoint, "images": list(images), **more}


@contextmanager
def daemon_with_keystone(folder: Path, auth_url: str) -> Iterator[Program]:
    """Start the daemon with a cloud that it authenticates to by password."""
    auth = {
        "auth_url": auth_url,
        "username": "demo",
        "password": PASSWORD,
        "user_domain_name": "Default",
        "project_name": "demo",
        "project_domain_name": "Default",
    }
    (folder / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"lab": {"auth": auth}}}))
    with daemon(folder, {"name": "lab", "cloud": "lab", "images": [GOLDEN, UBUNTU]}) as program:
        yield program


def test_five_hundred_images_are_exported_after_the_first_cycle(tmp_path: Path) -> None:
    ids = [f"image-{number}" for number in range(500)]
    with (
        SimulatedImageService(map(simulated, ids)) as service,
        daemon(tmp_path, cloud(service.url, *ids)) as program,
    ):
        wait_until(lambda: program.page("/-/ready") == (200, "Ready\n"))
        metrics = program.metrics()
        assert metrics.values(EXISTS) == [1.0] * 500
        assert metrics.values(POLL_SUCCESS) == [1.0] * 500
        assert metrics.value("openstack_image_exporter_polls_total", cloud="lab") == 500
        assert service.log.count(method="HEAD", status=200) == 500
        assert service.log.max_in_flight <= 16
        status, page = program.page("/?limit=1000")
        assert status == 200
        assert all(image_id in page for image_id in ids)
        program.stop()


def test_daemon_is_ready_only_after_the_first_cycle(tmp_path: Path) -> None:
    """During the first cycle it is healthy and serves its pages, but is not ready."""
    with SimulatedImageService([simulated(GOLDEN)]) as service:
        service.faults.set("hang")
        with daemon(tmp_path, cloud(service.url, GOLDEN)) as program:
            wait_until(lambda: service.log.in_flight == 1)
            assert program.page("/-/ready") == (503, "no cycle finished yet: lab\n")
            assert program.page("/-/healthy") == (200, "Healthy\n")
            status, page = program.page("/")
            assert status == 200
            assert "not polled yet" in page
            metrics = program.metrics()
            assert metrics.value("openstack_image_target_info", image_id=GOLDEN) == 1
            assert metrics.values(EXISTS) == []
            assert metrics.values("openstack_image_api_up") == []
            service.faults.clear()
            wait_until(lambda: program.page("/-/ready") == (200, "Ready\n"))
            assert program.metrics().value(EXISTS) == 1
            program.stop()


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGTERM,), (signal.SIGINT,), (signal.SIGTERM, signal.SIGINT, signal.SIGTERM)],
    ids=["SIGTERM", "Ctrl-C", "several at once"],
)
def test_daemon_stops_without_waiting_for_polls_in_flight(
    tmp_path: Path, signals: tuple[int, ...]
) -> None:
    """The polls that are cancelled are not counted or logged as failed."""
    ids = [f"image-{number}" for number in range(8)]
    with SimulatedImageService(map(simulated, ids)) as service:
        for image_id in ids[1:]:  # after the first response, several images are polled at once
            service.faults.set("hang", on=image_id)
        with daemon(tmp_path, cloud(service.url, *ids)) as program:
            wait_until(lambda: service.log.in_flight >= 3)
            program.stop(*signals)
            assert program.lines("poll failed") == []
            assert program.lines("msg=stopping")


def test_daemon_stops_during_a_later_cycle(tmp_path: Path) -> None:
    ids = [f"image-{number}" for number in range(8)]
    with (
        SimulatedImageService(map(simulated, ids)) as service,
        daemon(tmp_path, cloud(service.url, *ids), interval="5s") as program,
    ):
        program.line("first cycle finished")
        service.faults.set("hang")
        wait_until(lambda: service.log.in_flight >= 3)
        program.stop()
        assert program.lines("poll failed") == []
        assert program.lines("msg=stopping")


def test_daemon_stops_without_waiting_for_keystone(tmp_path: Path) -> None:
    with SimulatedKeystone() as keystone:
        keystone.fault = KeystoneFault(hang=True)
        with daemon_with_keystone(tmp_path, keystone.auth_url) as program:
            wait_until(lambda: keystone.token_requests)
            assert program.page("/-/healthy")[0] == 200
            program.stop()
            assert PASSWORD not in "\n".join(program.log_lines)


@pytest.mark.parametrize("host_of", ["endpoint", "keystone"])
def test_daemon_serves_and_stops_while_the_resolver_hangs(tmp_path: Path, host_of: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_RESOLVER)
    if host_of == "endpoint":
        settings = cloud("http://slow.test:9292", GOLDEN)
    else:
        (tmp_path / "clouds.yaml").write_text(
            "clouds: {lab: {auth: {auth_url: 'http://slow.test:5000/v3', username: demo, "
            "password: secret, project_name: demo, user_domain_name: Default, "
            "project_domain_name: Default}}}"
        )
        settings = {"name": "lab", "cloud": "lab", "images": [GOLDEN]}
    file = settings_file(tmp_path, settings)
    with start_program(
        tmp_path,
        f"--config.file={file}",
        "--web.listen-address=127.0.0.1:0",
        is_preloaded=False,
        PYTHONPATH=os.pathsep.join((str(tmp_path), str(ROOT))),
    ) as program:
        wait_until((tmp_path / "resolving").exists)
        assert program.page("/-/healthy")[0] == 200
        program.stop()


def test_deleted_image_is_distinguished_from_an_api_that_is_down(tmp_path: Path) -> None:
    """A confirmed 404 sets exists to 0 and is logged once; an outage changes no image."""
    images = [simulated(GOLDEN), simulated(UBUNTU)]
    with (
        SimulatedImageService(images) as service,
        daemon(
            tmp_path,
            cloud(service.url, {"id": GOLDEN, "alias": "golden"}, UBUNTU),
            interval="1s",
        ) as program,
    ):
        program.wait_for_metric(EXISTS, 1)
        service.images.remove(GOLDEN)
        program.wait_for_metric(EXISTS, 0, image="golden")
        metrics = program.metrics()
        # No cycle reported the image as unconfirmed.
        assert set(metrics.values(FAILURES)) == {0.0}
        assert metrics.value(EXISTS, image_id=UBUNTU) == 1
        assert metrics.values("openstack_image_size_bytes", image="golden") == []
        assert metrics.value("openstack_image_existence_changes_total", image="golden") == 1
        line = program.line('msg="image changed"')
        for part in ("cloud=lab", "image=golden", f"image_id={GOLDEN}", "old=", "new=gone"):
            assert part in line

        service.stop()
        program.wait_for_metric("openstack_image_api_up", 0)
        program.wait_for_metric(POLL_SUCCESS, 0)
        metrics = program.metrics()
        assert metrics.value(EXISTS, image="golden") == 0
        assert metrics.value(EXISTS, image_id=UBUNTU) == 1
        assert metrics.value("openstack_image_size_bytes", image_id=UBUNTU) == 16
        assert program.page("/-/ready")[0] == 200
        assert program.page("/-/healthy")[0] == 200
        document = json.loads(program.page("/api/images?problem=failing")[1])
        assert (document["matching"], document["clouds"][0]["troubles"]) == (2, ["api_down"])
        failures = [image["last_poll"]["failure"] for image in document["images"]]
        assert {failure["reason"] for failure in failures} == {"connection"}
        assert "connection: " in program.page("/")[1]

        service.start()
        program.wait_for_metric(POLL_SUCCESS, 1)
        assert program.metrics().value(EXISTS, image="golden") == 0
        program.line('msg="API recovered"')
        program.line('msg="API is down"')
        program.line('msg="image changed"')
        program.stop()


HOSTILE = (
    'x" level=error msg=forged\\ }\u202e\x1b[31m\x85\u2028<script>'
    ' openstack_image_exists{image="y"} 0'
)


def test_image_names_cannot_forge_lines(tmp_path: Path) -> None:
    """Text of tenants stays within its field in the log, on /metrics and on the page."""
    with (
        SimulatedImageService([simulated(GOLDEN)]) as service,
        daemon(
            tmp_path, cloud(service.url, GOLDEN), interval="1s", properties=["os_distro"]
        ) as program,
    ):
        program.wait_for_metric(EXISTS, 1)
        service.images.change(GOLDEN, name=HOSTILE, properties={"os_distro": HOSTILE})
        shown = escape(HOSTILE)
        wait_until(lambda: program.metrics().values("openstack_image_info", name=shown))
        metrics = program.metrics()
        assert metrics.value("openstack_image_property_info", value=shown) == 1
        assert metrics.values(EXISTS) == [1.0]
        line = program.line("what=name")
        assert " level=info " in line
        assert 'new="x\\" level=error' in line
        page = program.page("/")[1]
        assert "\\u2028&lt;script&gt; openstack_image_exists" in page
        assert page.count("<script") == 1
        (image,) = json.loads(program.page("/api/images")[1])["images"]
        assert image["name"] == HOSTILE

        # A name that forges headers: the status appears twice, so neither value is used.
        service.images.change(GOLDEN, name="a\r\nX-Image-Meta-Status: killed\r\nts=2026 msg=forged")
        wait_until(lambda: program.metrics().value(FAILURES, reason="malformed"))
        metrics = program.metrics()
        assert metrics.value(EXISTS) == 1
        assert metrics.value("openstack_image_status", status="active") == 1
        assert metrics.value("openstack_image_status", status="killed") == 0
        line = program.line('msg="poll failed"')
        assert "reason=malformed" in line
        assert [line for line in program.log_lines if line.startswith("ts=2026 ")] == []
        program.stop()
        log = "\n".join(program.log_lines)
        assert log.replace("\n", "").isprintable()


def test_configured_token_is_sent_but_never_shown(tmp_path: Path) -> None:
    token = "secret-token-0123456789"
    with (
        SimulatedImageService([simulated(GOLDEN)], token=token) as service,
        daemon(
            tmp_path, cloud(service.url, GOLDEN, token=token), log={"level": "debug"}
        ) as program,
    ):
        program.wait_for_metric(EXISTS, 1)
        assert token not in program.page("/metrics")[1] + program.page("/")[1]
        program.stop()
        assert token not in "\n".join(program.log_lines)


def test_rotated_token_file_is_used_without_a_failed_poll(tmp_path: Path) -> None:
    """When the new token is revoked as well, polls fail and images stay."""
    file = tmp_path / "token"
    file.write_text("first\n")
    with (
        SimulatedImageService([simulated(GOLDEN)], token="first") as service,
        daemon(tmp_path, cloud(service.url, GOLDEN, token_file="token"), interval="1s") as program,
    ):
        program.wait_for_metric(EXISTS, 1)
        service.accept("second")
        new_file = tmp_path / "new"
        new_file.write_text("second\n")
        new_file.rename(file)
        service.revoke("first")
        wait_until(
            lambda: any(
                record.request.headers.get("x-auth-token") == "second" and record.status == 200
                for record in service.log.records
            )
        )
        program.wait_for_metric(POLL_SUCCESS, 1)
        assert set(program.metrics().values(FAILURES)) == {0.0}

        service.revoke("second")
        program.wait_for_metric(POLL_SUCCESS, 0)
        assert program.metrics().value(EXISTS) == 1
        wait_until(lambda: program.metrics().value(FAILURES, reason="unauthorized"))
        assert program.lines("poll failed", "reason=unauthorized", "token")
        program.stop()


def test_endpoint_of_keystones_catalog_is_polled(tmp_path: Path) -> None:
    """The credentials are in clouds.yaml."""
    with (
        SimulatedKeystone() as keystone,
        SimulatedImageService([simulated(GOLDEN), simulated(UBUNTU)]) as service,
    ):
        keystone.users = {"demo": PASSWORD}
        keystone.offer_image(f"{service.url}/v2")
        with daemon_with_keystone(tmp_path, keystone.auth_url) as program:
            program.line("first cycle finished")
            metrics = program.metrics()
            assert metrics.values(EXISTS) == [1.0, 1.0]
            assert metrics.value("openstack_image_exporter_authentications_total") == 1
            expires_at = metrics.value("openstack_image_exporter_token_expiry_timestamp_seconds")
            assert expires_at is not None
            assert expires_at > time.time()
            assert keystone.token_requests == 1
            program.stop()
            assert PASSWORD not in "\n".join(program.log_lines)
