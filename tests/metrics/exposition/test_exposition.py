"""The exposition compared with what prometheus_client renders from the plain collectors."""

import gzip
import threading
from collections import Counter as Count
from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.metrics import image_group, render_cache
from exporter.metrics.cloud_collector import CloudCollector
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.exposition import Exposition
from exporter.metrics.family import Family
from exporter.metrics.images.view import ImageView
from exporter.metrics.sample_lines import SubjectLabels, render_samples
from exporter.model.cloud import CloudState
from exporter.model.image import STATUSES, Image
from exporter.model.outcome import Failed, Found, Gone, Outcome
from exporter.model.target import Target
from exporter.store import Store
from tests.metrics.exposition.watched_cloud import MAX_STALE, WatchedCloud
from tests.support.clock import FakeClock
from tests.support.examples import examples

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)

IMAGES = st.builds(
    Image,
    api=st.just("v1"),
    id=st.just("one"),
    status=st.sampled_from((*STATUSES, "other")),
    name=st.none() | TEXTS,
    size_bytes=st.none() | st.integers(0, 2**63 - 1),
    protected=st.none() | st.booleans(),
    public=st.none() | st.booleans(),
    deleted=st.none() | st.booleans(),
    created_at=st.none() | st.floats(0, 2e9),
    digests=st.sampled_from(((), (("md5", "abc"),), (("md5", "d"), ("sha512", "e")))),
    properties=st.lists(st.tuples(st.sampled_from("ab"), TEXTS), max_size=1).map(tuple),
)

OUTCOMES = st.one_of(
    st.builds(Found, IMAGES), st.just(Gone()), st.just(Failed("timeout", "no response"))
)


@dataclass(frozen=True)
class Poll:
    """A step: record the outcome of a poll of one target."""

    number: int
    outcome: Outcome

    def __call__(self, watched: WatchedCloud) -> None:
        """Run the step."""
        if watched.targets:
            watched.poll(self.number % len(watched.targets), self.outcome)


@dataclass(frozen=True)
class Wait:
    """A step: let time pass."""

    seconds: float

    def __call__(self, watched: WatchedCloud) -> None:
        """Run the step."""
        watched.clock.advance(self.seconds)


@dataclass(frozen=True)
class SetClock:
    """A step: set the wall clock forward or back."""

    seconds: float

    def __call__(self, watched: WatchedCloud) -> None:
        """Run the step."""
        watched.clock.set_wall(self.seconds)


@dataclass(frozen=True)
class AddCloud:
    """A step: watch another cloud."""

    def __call__(self, watched: WatchedCloud) -> None:
        """Run the step."""
        watched.add_cloud()


@dataclass(frozen=True)
class ReplaceTarget:
    """A step: watch another image instead of one."""

    removed: int
    position: int

    def __call__(self, watched: WatchedCloud) -> None:
        """Run the step."""
        watched.replace_targets(self.removed, self.position)


@dataclass(frozen=True)
class RenderGroup:
    """A step: render in advance, as the thread does."""

    def __call__(self, watched: WatchedCloud) -> None:
        """Run the step."""
        watched.exposition.render_group()


Step = Callable[[WatchedCloud], None]

STEPS = st.lists(
    st.one_of(
        st.builds(Poll, st.integers(0, 4), OUTCOMES),
        st.builds(Poll, st.integers(0, 4), OUTCOMES),
        st.builds(Wait, st.floats(1, 150)),
        st.builds(SetClock, st.floats(2, 1e9) | st.floats(-1e9, -2)),
        st.builds(AddCloud),
        st.builds(ReplaceTarget, st.integers(0, 4), st.integers(0, 4)),
        st.builds(RenderGroup),
    ),
    max_size=12,
)

EXPECTATIONS = st.sampled_from(
    ((), (("status", ("active",)), ("max_age", 1.6e9)), (("max_age", 9e8),))
)


@examples(100)
@given(STEPS, EXPECTATIONS)
def test_scrape_equals_what_prometheus_client_renders(
    steps: list[Step], expect: tuple[tuple[str, object], ...]
) -> None:
    watched = WatchedCloud(expect)
    for step in steps:
        step(watched)
        for openmetrics in (False, True):
            expected = watched.expected(openmetrics)
            assert watched.scrape(openmetrics) == expected
            assert watched.scrape(openmetrics, compressed=True) == expected


@examples(50)
@given(STEPS, EXPECTATIONS)
def test_scrape_after_many_changes_equals_what_prometheus_client_renders(
    steps: list[Step], expect: tuple[tuple[str, object], ...]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render_cache, "TARGETS_PER_GROUP", 2)
        watched = WatchedCloud(expect)
        watched.scrape(True, compressed=True)
        for step in steps:
            step(watched)
        assert watched.scrape(True, compressed=True) == watched.expected(True)


def test_both_formats_parse() -> None:
    watched = WatchedCloud()
    watched.poll(0, Found(Image("v1", "one", "active", name='a "b"\n\\c')))
    text, openmetrics = watched.scrape(False), watched.scrape(True)
    assert {family.name for family in parse_text(text.decode())} >= {"openstack_image_exists"}
    families = parse_openmetrics(openmetrics.decode())  # type: ignore[no-untyped-call]
    assert list(families)
    assert openmetrics.count(b"# EOF") == 1
    assert openmetrics.endswith(b"# EOF\n")


def test_values_are_dropped_after_max_stale_without_a_poll() -> None:
    watched = WatchedCloud()
    watched.poll(0, Found(Image("v1", "one", "active", size_bytes=5)))
    watched.poll(1, Gone())
    assert b'openstack_image_size_bytes{cloud="lab",image="alias one"' in watched.scrape(False)
    watched.clock.advance(MAX_STALE + 1)
    stale = watched.scrape(False)
    assert b"openstack_image_size_bytes{" not in stale
    assert b'openstack_image_exists{cloud="lab",image="alias one"' not in stale
    assert b'openstack_image_exists{cloud="lab",image="alias two",image_id="two"} 0.0' in stale
    watched.poll(0, Found(Image("v1", "one", "active", size_bytes=5)))
    assert b'openstack_image_size_bytes{cloud="lab",image="alias one"' in watched.scrape(False)


def test_expectation_result_changes_with_time_between_polls() -> None:
    watched = WatchedCloud((("max_age", 50.0),))
    watched.poll(0, Found(Image("v1", "one", "active", created_at=watched.clock().wall)))
    series = b'openstack_image_expectation_met{cloud="lab",expectation="max_age",image="alias one"'
    assert series + b',image_id="one"} 1.0' in watched.scrape(False)
    watched.clock.advance(51)
    assert series + b',image_id="one"} 0.0' in watched.scrape(False)


def test_expectation_is_evaluated_again_when_the_clock_is_set() -> None:
    watched = WatchedCloud((("max_age", 50.0),))
    watched.poll(0, Found(Image("v1", "one", "active", created_at=watched.clock().wall + 1000)))
    series = b'openstack_image_expectation_met{cloud="lab",expectation="max_age",image="alias one"'
    for forward, met in ((2000, b"0.0"), (-2000, b"1.0")):
        watched.clock.set_wall(forward)
        assert series + b',image_id="one"} ' + met in watched.scrape(False)


def test_error_while_rendering_loses_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = WatchedCloud()
    watched.scrape(False)
    watched.poll(0, Found(Image("v1", "one", "active", size_bytes=5)))
    calls = iter(range(100))

    def fail(
        family: Family[ImageView], labels: SubjectLabels, views: Collection[ImageView]
    ) -> list[str]:
        if next(calls) == 2:
            raise MemoryError
        return render_samples(family, labels, views)

    with monkeypatch.context() as patch:
        patch.setattr(image_group, "render_samples", fail)
        with pytest.raises(MemoryError):
            watched.scrape(False)
    assert watched.scrape(False) == watched.expected(False)
    assert watched.scrape(True, compressed=True) == watched.expected(True)


def test_metric_families_are_unique() -> None:
    store = Store()
    store.add_cloud(CloudState("lab", 60.0), [Target("lab", "one", "one")])
    exporter_metrics = ExporterMetrics("0")
    exporter_metrics.registry.register(CloudCollector(store))
    exporter_metrics.add_cloud("lab")
    exposition = Exposition(store, exporter_metrics.registry, FakeClock())
    for openmetrics in (False, True):
        text = b"".join(exposition.body(openmetrics=openmetrics, compressed=False))
        for word in (b"HELP", b"TYPE"):
            names = [line.split()[2] for line in text.splitlines() if line.startswith(b"# " + word)]
            assert [name for name, times in Count(names).items() if times > 1] == []
            assert b"openstack_image_exists" in names


def test_cloud_that_was_removed_and_added_again_starts_unknown() -> None:
    watched = WatchedCloud()
    watched.poll(0, Found(Image("v1", "one", "active", size_bytes=5)))
    watched.scrape(False)
    watched.store.remove_cloud("lab")
    watched.store.add_cloud(CloudState("lab", 60.0), watched.targets)
    assert watched.scrape(False) == watched.expected(False)
    assert b"openstack_image_size_bytes{" not in watched.scrape(False)


def test_scrape_never_shows_half_of_a_change() -> None:
    watched = WatchedCloud()
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            watched.poll(
                0, Found(Image("v1", "one", "active", size_bytes=number, min_disk_bytes=number))
            )

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for turn in range(60):
            text = watched.scrape(False, compressed=bool(turn % 2)).decode()
            numbers = {
                line.rpartition(" ")[2]
                for line in text.splitlines()
                if line.startswith(("openstack_image_size_bytes{", "openstack_image_min_disk_"))
            }
            assert len(numbers) <= 1
            assert text.count("# TYPE openstack_image_exists ") == 1
    finally:
        stop.set()
        changing.join()


def test_equal_content_is_compressed_to_equal_bytes() -> None:
    watched = WatchedCloud()
    first = watched.exposition.body(openmetrics=True, compressed=True)
    second = watched.exposition.body(openmetrics=True, compressed=True)
    assert b"".join(first) == b"".join(second)
    assert gzip.decompress(b"".join(first)) == watched.scrape(True)


def test_new_target_is_in_the_next_scrape() -> None:
    watched = WatchedCloud()
    watched.scrape(False)
    watched.store.add_cloud(CloudState("other", 60.0), [Target("other", "four", "four")])
    assert b'openstack_image_target_info{cloud="other"' in watched.scrape(False)
    assert watched.scrape(True, compressed=True) == watched.expected(True)


def test_image_that_was_never_polled_never_expires() -> None:
    watched = WatchedCloud()
    watched.poll(0, Failed("connection"))
    assert watched.store.observation(watched.targets[0].key).valid_until == inf
    watched.clock.advance(1e9)
    assert watched.scrape(False) == watched.expected(False)
