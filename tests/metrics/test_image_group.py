from dataclasses import replace

from prometheus_client import CollectorRegistry

from exporter.metrics.exposition import Exposition
from exporter.metrics.image_group import ImageGroup, group_targets, render_image
from exporter.metrics.images.view import view_of
from exporter.metrics.render_cache import RenderCache
from exporter.model.cloud import CloudState
from exporter.model.observation import ALL_ASPECTS
from exporter.model.outcome import Failed, Found, Gone
from exporter.model.target import Target, TargetKey
from exporter.store import Store
from tests.support.clock import FakeClock
from tests.support.images import COMPLETE, MAX_STALE, START, observed

SIZE = 4


def targets(names: str) -> list[Target]:
    """Return a target for each letter."""
    return [Target("lab", name, name) for name in names]


def regroup(groups: list[ImageGroup], names: str) -> tuple[list[ImageGroup], list[str]]:
    """Divide targets into groups again, and return the groups and their letters."""
    result = group_targets(targets(names), groups, SIZE, lambda group: ImageGroup(group, Store()))
    return result, ["".join(target.alias for target in group.targets) for group in result]


def test_groups_have_at_most_their_size() -> None:
    assert regroup([], "")[1] == []
    assert regroup([], "abcd")[1] == ["abcd"]
    assert regroup([], "abcdefghi")[1] == ["abcd", "efgh", "i"]


def test_unchanged_groups_are_kept() -> None:
    before, _ = regroup([], "abcdefghijkl")
    after, letters = regroup(before, "xabcdefgijkl")
    assert letters == ["x", "abcd", "efg", "ijkl"]
    assert (after[1], after[3]) == (before[0], before[2])
    after, letters = regroup(before, "efghabcd")
    assert letters == ["efgh", "abcd"]
    assert after == [before[1], before[0]]


def test_small_groups_are_not_kept() -> None:
    before, _ = regroup([], "abcde")
    after, letters = regroup(before, "abcdef")
    assert letters == ["abcd", "ef"]
    assert after[0] is before[0]


def test_change_of_a_target_that_was_removed_meanwhile_is_ignored() -> None:
    store = Store()
    store.add_cloud(CloudState("lab", 60.0), targets("a"))
    cache = RenderCache(store)
    cache.set_targets(store.targets())
    cache.mark_changed({TargetKey("lab", "removed"): ALL_ASPECTS})
    assert [list(group.dirty.aspects) for group in cache.dirty_groups()] == [[0]]


def test_series_of_an_image_are_the_lines_on_metrics() -> None:
    store = Store()
    labels = (("team", "web"), ("tier", ""))
    labelled = [replace(target, operator_labels=labels) for target in targets("ab")]
    store.add_cloud(CloudState("lab", 60.0), labelled)
    store.observe(TargetKey("lab", "a"), observed(Found(COMPLETE)))
    store.observe(TargetKey("lab", "b"), observed(Found(COMPLETE), Gone()))
    body = Exposition(store, CollectorRegistry(), lambda: START).body(
        openmetrics=False, compressed=False
    )
    lines = b"".join(body).decode().splitlines()
    for target, observation in store.observations():
        series = render_image(view_of(target, observation, START))
        assert series.splitlines() == [line for line in lines if f'"{target.image_id}"' in line]


def test_values_of_a_retracted_poll_are_dropped_if_those_before_it_have_expired() -> None:
    (target,) = targets("a")
    store, clock = Store(), FakeClock()
    store.add_cloud(CloudState("lab", 60.0), [target])
    exposition = Exposition(store, CollectorRegistry(), clock)
    before = store.observation(target.key).with_outcome(Found(COMPLETE), clock(), MAX_STALE)
    store.observe(target.key, before)
    exposition.render_group()
    clock.advance(MAX_STALE + 1)
    exposition.render_group()
    found = before.with_outcome(Found(COMPLETE), clock(), MAX_STALE)
    store.observe(target.key, found)
    exposition.render_group()
    retracted = found.with_replaced_outcome(before, Failed("malformed"), clock(), MAX_STALE)
    store.observe(target.key, retracted)
    body = b"".join(exposition.body(openmetrics=False, compressed=False)).decode()
    lines = [line for line in body.splitlines() if not line.startswith("#")]
    assert lines == render_image(view_of(target, retracted, clock())).splitlines()
    assert not any(line.startswith("openstack_image_size_bytes") for line in lines)
