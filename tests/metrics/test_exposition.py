"""The exposition kept in memory, held against prometheus_client's own rendering."""

import gzip
import threading
import zlib
from collections import Counter as Count
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics_format
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.metrics import exposition as module
from exporter.metrics.collector import CloudCollector, ImageCollector
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.exposition import Exposition
from exporter.metrics.family import Family
from exporter.metrics.image_metrics import Seen
from exporter.metrics.render import lines
from exporter.model.cloud import CloudState
from exporter.model.image import STATUSES, Image
from exporter.model.outcome import Failed, Found, Gone, Outcome
from exporter.model.target import Target
from exporter.store import Store
from tests.support.clock import FakeClock

MAX_STALE = 100.0
IDS = ("one", "two", "three")


class Scene:
    """A store with three targets, the exposition of it, and the plain collectors."""

    def __init__(self, expect: tuple[tuple[str, object], ...] = ()) -> None:
        self.clock = FakeClock()
        self.store = Store()
        self.expect = expect
        self.targets = [Target("lab", each, f"alias {each}", expect=expect) for each in IDS]
        self.store.watch(CloudState("lab", 60.0), self.targets)
        self.own = CollectorRegistry()
        self.count = Counter("own", "Of the exporter's own.", registry=self.own)
        Gauge("other", 'A "quoted" help\nin two lines \\.', registry=self.own).set(1)
        self.own.register(CloudCollector(self.store))
        self.exposition = Exposition(self.store, self.own, self.clock)

    def end(self, place: int, outcome: Outcome) -> None:
        """A poll of one target ends so."""
        key = self.targets[place].key
        before = self.store.observation(key)
        self.store.observe(key, before.after(outcome, self.clock(), MAX_STALE))

    def join(self) -> None:
        """Another cloud with one more target is watched."""
        target = Target(f"cloud {len(self.targets)}", "one", "one", expect=self.expect)
        self.targets.append(target)
        self.store.watch(CloudState(target.cloud, 60.0), [target])

    def served(self, openmetrics: bool, compressed: bool = False) -> bytes:
        """What a scrape gets, unpacked."""
        body = self.exposition.body(openmetrics=openmetrics, compressed=compressed)
        whole = b"".join(body.pieces)
        assert len(whole) == body.size
        if not compressed:
            return whole
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        unpacked = unpacker.decompress(whole)
        assert unpacker.eof
        assert not unpacker.unused_data
        return unpacked

    def plain(self, openmetrics: bool) -> bytes:
        """What prometheus_client makes of the same."""
        registry = CollectorRegistry()
        registry.register(ImageCollector(self.store, self.clock))
        if not openmetrics:
            return generate_latest(registry) + generate_latest(self.own)
        images: bytes = openmetrics_format.generate_latest(registry)  # type: ignore[no-untyped-call]
        own: bytes = openmetrics_format.generate_latest(self.own)  # type: ignore[no-untyped-call]
        return images.removesuffix(b"# EOF\n") + own


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
    st.builds(Found, IMAGES), st.just(Gone()), st.just(Failed("timeout", "no answer"))
)


@dataclass(frozen=True)
class End:
    """A poll of one target ends."""

    place: int
    outcome: Outcome

    def __call__(self, scene: Scene) -> None:
        """Lets it happen."""
        scene.end(self.place % len(scene.targets), self.outcome)


@dataclass(frozen=True)
class Pass:
    """Time passes."""

    seconds: float

    def __call__(self, scene: Scene) -> None:
        """Lets it happen."""
        scene.clock.advance(self.seconds)


@dataclass(frozen=True)
class Reset:
    """The wall clock is set."""

    seconds: float

    def __call__(self, scene: Scene) -> None:
        """Lets it happen."""
        scene.clock.set_wall(self.seconds)


@dataclass(frozen=True)
class Join:
    """Another cloud is watched."""

    def __call__(self, scene: Scene) -> None:
        """Lets it happen."""
        scene.join()


STEPS = st.lists(
    st.one_of(
        st.builds(End, st.integers(0, 4), OUTCOMES),
        st.builds(End, st.integers(0, 4), OUTCOMES),
        st.builds(Pass, st.floats(1, 150)),
        st.builds(Reset, st.floats(2, 1e9) | st.floats(-1e9, -2)),
        st.builds(Join),
    ),
    max_size=12,
)
EXPECTATIONS = st.sampled_from(
    ((), (("status", ("active",)), ("max_age", 1.6e9)), (("max_age", 9e8),))
)


@settings(max_examples=100, deadline=None)
@given(STEPS, EXPECTATIONS)
def test_it_equals_what_prometheus_client_renders(
    steps: list[Callable[[Scene], None]], expect: tuple[tuple[str, object], ...]
) -> None:
    """After any sequence of answers and times it is, byte for byte, the plain collector's."""
    scene = Scene(expect)
    for step in steps:
        step(scene)
        for openmetrics in (False, True):
            expected = scene.plain(openmetrics)
            assert scene.served(openmetrics) == expected
            assert scene.served(openmetrics, compressed=True) == expected


@settings(max_examples=50, deadline=None)
@given(STEPS, EXPECTATIONS)
def test_it_equals_it_also_when_scrapes_are_rare(
    steps: list[Callable[[Scene], None]], expect: tuple[tuple[str, object], ...]
) -> None:
    """Any number of changes between two scrapes come to the same."""
    scene = Scene(expect)
    scene.served(True, compressed=True)
    for step in steps:
        step(scene)
    assert scene.served(True, compressed=True) == scene.plain(True)


def test_both_formats_parse() -> None:
    """prometheus_client's own parsers read both, and OpenMetrics ends in its one end mark."""
    scene = Scene()
    scene.end(0, Found(Image("v1", "one", "active", name='a "b"\n\\c')))
    text, openmetrics = scene.served(False), scene.served(True)
    assert {family.name for family in parse_text(text.decode())} >= {"openstack_image_exists"}
    families = parse_openmetrics(openmetrics.decode())  # type: ignore[no-untyped-call]
    assert list(families)
    assert openmetrics.count(b"# EOF") == 1
    assert openmetrics.endswith(b"# EOF\n")


def test_time_alone_drops_values() -> None:
    """With no poll at all, values and exists 1 are gone once max_stale has passed, for good."""
    scene = Scene()
    scene.end(0, Found(Image("v1", "one", "active", size_bytes=5)))
    scene.end(1, Gone())
    assert b'openstack_image_size_bytes{cloud="lab",image="alias one"' in scene.served(False)
    scene.clock.advance(MAX_STALE + 1)
    stale = scene.served(False)
    assert b"openstack_image_size_bytes{" not in stale
    assert b'openstack_image_exists{cloud="lab",image="alias one"' not in stale
    assert b'openstack_image_exists{cloud="lab",image="alias two",image_id="two"} 0.0' in stale
    scene.end(0, Found(Image("v1", "one", "active", size_bytes=5)))
    assert b'openstack_image_size_bytes{cloud="lab",image="alias one"' in scene.served(False)


def test_an_expectation_that_time_breaks_is_shown_broken() -> None:
    """An image that grows too old between two polls changes its series at that moment."""
    scene = Scene((("max_age", 50.0),))
    scene.end(0, Found(Image("v1", "one", "active", created_at=scene.clock().wall)))
    series = b'openstack_image_expectation_met{cloud="lab",expectation="max_age",image="alias one"'
    assert series + b',image_id="one"} 1.0' in scene.served(False)
    scene.clock.advance(51)
    assert series + b',image_id="one"} 0.0' in scene.served(False)


def test_an_expectation_is_judged_again_when_the_clock_is_set() -> None:
    """A wall clock that was wrong and is set right shows in the verdicts at once."""
    scene = Scene((("max_age", 50.0),))
    scene.end(0, Found(Image("v1", "one", "active", created_at=scene.clock().wall + 1000)))
    series = b'openstack_image_expectation_met{cloud="lab",expectation="max_age",image="alias one"'
    for forward, met in ((2000, b"0.0"), (-2000, b"1.0")):
        scene.clock.set_wall(forward)
        assert series + b',image_id="one"} ' + met in scene.served(False)


def test_time_is_not_rendered_for_those_it_does_not_concern(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When the values of one image are past their time, the others are left as they are."""
    scene = Scene((("max_age", 1e6),))
    scene.end(0, Found(Image("v1", "one", "active", created_at=scene.clock().wall)))
    scene.clock.advance(MAX_STALE / 2)
    for place in (1, 2):
        scene.end(place, Found(Image("v1", IDS[place], "active", created_at=scene.clock().wall)))
    scene.served(False)
    rendered: list[int] = []
    monkeypatch.setattr(module, "lines", _counting(rendered))
    scene.clock.advance(MAX_STALE / 2 + 1)
    assert scene.served(False) == scene.plain(False)
    assert set(rendered) == {1}
    rendered.clear()
    scene.clock.advance(MAX_STALE)
    assert scene.served(False) == scene.plain(False)
    assert set(rendered) == {2}


def test_an_error_while_rendering_loses_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be rendered is tried again by the next scrape, the image as a whole."""
    scene = Scene()
    scene.served(False)
    scene.end(0, Found(Image("v1", "one", "active", size_bytes=5)))
    calls = iter(range(100))

    def fail(family: Family[Seen], views: list[Seen]) -> list[bytes]:
        if next(calls) == 2:
            raise MemoryError
        return lines(family, views)

    with monkeypatch.context() as patch:
        patch.setattr(module, "lines", fail)
        with pytest.raises(MemoryError):
            scene.served(False)
    assert scene.served(False) == scene.plain(False)
    assert scene.served(True, compressed=True) == scene.plain(True)


def test_no_family_stands_twice() -> None:
    """What is of images and what is the exporter's own have no name in common."""
    store = Store()
    store.watch(CloudState("lab", 60.0), [Target("lab", "one", "one")])
    own = ExporterMetrics("0")
    own.registry.register(CloudCollector(store))
    own.watch("lab")
    kept = Exposition(store, own.registry, FakeClock())
    for openmetrics in (False, True):
        whole = b"".join(kept.body(openmetrics=openmetrics, compressed=False).pieces)
        for word in (b"HELP", b"TYPE"):
            names = [
                line.split()[2] for line in whole.splitlines() if line.startswith(b"# " + word)
            ]
            assert [name for name, times in Count(names).items() if times > 1] == []
            assert b"openstack_image_exists" in names


def _counting(calls: list[int]) -> Callable[..., list[bytes]]:
    original = lines

    def counted(family: object, views: object) -> list[bytes]:
        calls.append(len(views))  # type: ignore[arg-type]
        return original(family, views)  # type: ignore[arg-type]

    return counted


def test_only_what_changed_is_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape after no change renders no image, one after a change that image alone."""
    scene = Scene()
    for place in range(len(IDS)):
        scene.end(place, Found(Image("v1", IDS[place], "active")))
    scene.served(False)
    rendered: list[int] = []
    monkeypatch.setattr(module, "lines", _counting(rendered))
    scene.count.inc()
    for place in range(len(IDS)):
        # The same answer again: a poll, but no change.
        scene.end(place, Found(Image("v1", IDS[place], "active")))
    before = scene.exposition.body(openmetrics=False, compressed=False)
    assert rendered == []
    scene.end(1, Found(Image("v1", "two", "deactivated")))
    after = scene.exposition.body(openmetrics=False, compressed=False)
    assert rendered
    assert set(rendered) == {1}
    assert before.pieces[0] is after.pieces[0]


def test_a_scrape_sees_each_image_whole() -> None:
    """While images change as fast as they can, no scrape shows half of a change."""
    scene = Scene()
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            scene.end(
                0, Found(Image("v1", "one", "active", size_bytes=number, min_disk_bytes=number))
            )

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for turn in range(60):
            shown = scene.served(False, compressed=bool(turn % 2)).decode()
            numbers = {
                line.rpartition(" ")[2]
                for line in shown.splitlines()
                if line.startswith(("openstack_image_size_bytes{", "openstack_image_min_disk_"))
            }
            assert len(numbers) <= 1
            assert shown.count("# TYPE openstack_image_exists ") == 1
    finally:
        stop.set()
        changing.join()


def test_the_same_bytes_for_the_same_content() -> None:
    """The packed body does not depend on when it was packed."""
    scene = Scene()
    first = scene.exposition.body(openmetrics=True, compressed=True)
    second = scene.exposition.body(openmetrics=True, compressed=True)
    assert b"".join(first.pieces) == b"".join(second.pieces)
    assert gzip.decompress(b"".join(first.pieces)) == scene.served(True)


def test_a_new_target_is_seen_by_the_next_scrape() -> None:
    """Watching another cloud changes the layout, and all of it is served."""
    scene = Scene()
    scene.served(False)
    scene.store.watch(CloudState("other", 60.0), [Target("other", "four", "four")])
    assert b'openstack_image_target_info{cloud="other"' in scene.served(False)
    assert scene.served(True, compressed=True) == scene.plain(True)


def test_an_observation_without_an_end_is_valid_for_ever() -> None:
    """What was never answered has no value that time could take."""
    scene = Scene()
    scene.end(0, Failed("connection"))
    assert scene.store.observation(scene.targets[0].key).valid_until == inf
    scene.clock.advance(1e9)
    assert scene.served(False) == scene.plain(False)
