"""What a cycle takes at a real Glance: by lists of many images, and one image at a time."""

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
from tests.benchmarks.polling import built
from tests.benchmarks.report import table
from tests.openstack.stack import OpenStack

OF_EACH_KIND = 250
ROUNDS = 3
MOST_REQUESTS = 30

INTERVAL = 600.0
"""Seconds: no cycle is cut short, however slow the machine."""

USUAL_TOKEN_CACHE = 300
"""Seconds, Glance's own default: a shorter one would cost the way with more requests more."""


class Cycle(NamedTuple):
    """What one cycle took: seconds, and requests to Glance."""

    seconds: float
    requests: int


@pytest.fixture(scope="module")
def openstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenStack]:
    """Keystone and Glance, running; Glance believes tokens for as long as it usually does."""
    folder = tmp_path_factory.mktemp("openstack")
    with OpenStack(folder, token_cache=USUAL_TOKEN_CACHE) as running:
        yield running


@pytest.fixture(scope="module")
def images(openstack: OpenStack) -> tuple[ResolvedImage, ...]:
    """Images of all kinds that ``demo`` can see, in turn: those that plain lists leave out too."""
    made = []
    for _ in range(OF_EACH_KIND):
        private, hidden, community, offered = (str(uuid4()) for _ in range(4))
        openstack.demo.create(private, "private")
        openstack.demo.create(hidden, "hidden", os_hidden=True)
        openstack.other.create(community, "community", visibility="community")
        openstack.other.create(offered, "offered", visibility="shared")
        openstack.other.share(offered, openstack.demo.project_id)
        made += [private, hidden, community, offered]
    return tuple(ResolvedImage(each, each) for each in made)


@pytest.mark.usefixtures("clouds_yaml")
def test_cycle(images: tuple[ResolvedImage, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Prints requests and time of a cycle by lists, and of one that asks for each image.

    All else is the same: the daemon's own parts at its default concurrency. Signing in is timed
    apart, since it is done once in a token's life, and costs both ways the same.
    """
    cycles: dict[tuple[bool, bool], list[Cycle]] = defaultdict(list)
    for _ in range(ROUNDS):
        for in_lists, signed_in in product((False, True), repeat=2):
            batches = V2.batches if in_lists else None
            monkeypatch.setitem(API_VERSIONS, V2.name, replace(V2, batches=batches))
            cycles[in_lists, signed_in].append(_cycle(images, signed_in))
    rows = []
    for in_lists in (False, True):
        requests = max(each.requests for each in cycles[in_lists, False])
        assert (requests <= MOST_REQUESTS) == in_lists
        cells = [f"{requests:,}"]
        for signed_in in (False, True):
            seconds, base = (_median(cycles[each, signed_in]) for each in (in_lists, False))
            cells += [f"{seconds:.2f} s", f"{base / seconds:.1f}"]
        rows.append(("lists" if in_lists else "one by one", *cells))
    table(
        f"A cycle over {len(images):,} images at Glance 33 on loopback, {ROUNDS} rounds",
        ("asked for", "requests", "with sign-in", "times as fast", "signed in", "times as fast"),
        rows,
    )


def _cycle(images: tuple[ResolvedImage, ...], signed_in: bool) -> Cycle:
    """A cycle of an exporter that has just been started; every image has to be found."""
    where = {"cloud": "demo", "endpoint": None, "api": "auto"}
    with built("", 0, images=images, interval=INTERVAL, **where) as parts:
        (poller,) = parts.pollers
        if signed_in:
            # Glance knows the token from then on, too.
            window = Deadline(steady() + INTERVAL, steady() + INTERVAL)
            poller.client.choose_version(window)
            assert poller.client.list(window).failure is None
        before, begun = _requests(parts.exporter_metrics), time.perf_counter()
        poller.run_cycle()
        seconds = time.perf_counter() - begun
        seen = [observation.change_baseline.exists for _, observation in parts.store.observations()]
        assert seen == [True] * len(images)
        return Cycle(seconds, _requests(parts.exporter_metrics) - before)


def _requests(instruments: ExporterMetrics) -> int:
    """How many requests the Image service was sent, whatever came of them."""
    families = instruments.requests.collect()
    return sum(int(sample.value) for family in families for sample in family.samples)


def _median(cycles: list[Cycle]) -> float:
    return median(each.seconds for each in cycles)
