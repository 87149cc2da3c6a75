"""The duration of a cycle with a real Glance: by list requests, and one request per image."""

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from statistics import median
from typing import NamedTuple
from uuid import uuid4

import pytest

from exporter.clock import steady
from exporter.config import ResolvedImage
from exporter.glance.versions import API_VERSIONS, V2
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.replies import Deadline
from tests.benchmarks.polling import running_application
from tests.benchmarks.report import print_table
from tests.openstack.stack import OpenStack

IMAGES_PER_KIND = 250
ROUNDS = 3
MAX_LIST_REQUESTS = 30

INTERVAL = 600.0
"""Seconds. Long enough that no cycle is cut short on a slow machine."""

DEFAULT_TOKEN_CACHE = 300
"""Seconds, Glance's own default. A shorter one would slow down cycles with many requests."""


class Cycle(NamedTuple):
    """The duration of a cycle in seconds, and its number of requests."""

    seconds: float
    requests: int


@pytest.fixture(scope="module")
def openstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenStack]:
    """Run Keystone and Glance with Glance's default token cache."""
    folder = tmp_path_factory.mktemp("openstack")
    with OpenStack(folder, token_cache=DEFAULT_TOKEN_CACHE) as running:
        yield running


@pytest.fixture(scope="module")
def images(openstack: OpenStack) -> tuple[ResolvedImage, ...]:
    """Create images of all kinds that ``demo`` can see, including those that plain lists omit."""
    image_ids = []
    for _ in range(IMAGES_PER_KIND):
        private, hidden, community, shared = (str(uuid4()) for _ in range(4))
        openstack.demo.create(private, "private")
        openstack.demo.create(hidden, "hidden", os_hidden=True)
        openstack.other.create(community, "community", visibility="community")
        openstack.other.create(shared, "shared", visibility="shared")
        openstack.other.share(shared, openstack.demo.project_id)
        image_ids += [private, hidden, community, shared]
    return tuple(ResolvedImage(image_id, image_id) for image_id in image_ids)


@pytest.mark.usefixtures("clouds_yaml")
def test_cycle(images: tuple[ResolvedImage, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Print requests and duration of a cycle by list requests, and of one per image.

    Both use the daemon's own application at its default concurrency. Cycles with authentication are
    measured separately, because it happens once in the lifetime of a token.
    """
    cycles: dict[tuple[bool, bool], list[Cycle]] = defaultdict(list)
    for _ in range(ROUNDS):
        for by_list, has_token in product((False, True), repeat=2):
            batches = V2.batches if by_list else None
            monkeypatch.setitem(API_VERSIONS, V2.name, replace(V2, batches=batches))
            cycles[by_list, has_token].append(_run_cycle(images, has_token))
    rows = []
    for by_list in (False, True):
        requests = max(cycle.requests for cycle in cycles[by_list, False])
        assert (requests <= MAX_LIST_REQUESTS) == by_list
        cells = [f"{requests:,}"]
        for has_token in (False, True):
            seconds = _median(cycles[by_list, has_token])
            base = _median(cycles[False, has_token])
            cells += [f"{seconds:.2f} s", f"{base / seconds:.1f}"]
        rows.append(("lists" if by_list else "one by one", *cells))
    print_table(
        f"A cycle over {len(images):,} images at Glance 33 on loopback, {ROUNDS} rounds",
        ("polled by", "requests", "with authentication", "speedup", "with a token", "speedup"),
        rows,
    )


def _run_cycle(images: tuple[ResolvedImage, ...], has_token: bool) -> Cycle:
    """Run the first cycle of an exporter; all images must exist."""
    cloud = {"cloud": "demo", "endpoint": None, "api": "auto"}
    with running_application("", 0, images=images, interval=INTERVAL, **cloud) as application:
        (poller,) = application.pollers
        if has_token:
            # Glance also caches the validation of the token.
            deadline = Deadline(steady() + INTERVAL, steady() + INTERVAL)
            poller.client.choose_version(deadline)
            assert poller.client.list(deadline).failure is None
        before, begun = _requests(application.exporter_metrics), time.perf_counter()
        poller.run_cycle()
        seconds = time.perf_counter() - begun
        exists = [observation.exists for _, observation in application.store.observations()]
        assert exists == [True] * len(images)
        return Cycle(seconds, _requests(application.exporter_metrics) - before)


def _requests(instruments: ExporterMetrics) -> int:
    """Return the number of requests sent to the Image service, successful or not."""
    families = instruments.requests.collect()
    return sum(int(sample.value) for family in families for sample in family.samples)


def _median(cycles: list[Cycle]) -> float:
    return median(cycle.seconds for cycle in cycles)
