"""The records of a state file over a restart: all values remain, and times keep their meaning."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from exporter.model.changes import ChangeEvent
from exporter.model.instant import Instant
from exporter.model.observation import NEVER_POLLED, Observation
from exporter.model.outcome import Failed, Found, Gone, GoneEvidence
from exporter.model.status import image_status
from exporter.model.units import SizeRange
from exporter.state.records import (
    ClockShift,
    image_record,
    read_expectations,
    written_expectations,
)
from exporter.store import Store
from tests.state.histories import (
    STEPS,
    WAITS,
    Step,
    polled,
    rebooted,
    restarted,
    saved,
)
from tests.support.images import ACTIVE, MAX_STALE, START, TARGET, later, observed
from tests.support.reference_collector import StoreCollector

EXPECTING = replace(TARGET, expect=(("exists", True), ("status", ("active",)), ("protected", True)))


def restarted_observation(observation: Observation, down: float = 0.0) -> Observation:
    """Return an observation after a reboot that takes ``down`` seconds."""
    record = image_record(TARGET.key, observation, ())
    return ClockShift.between(START, rebooted(down)).observation(record)


def exposition(store: Store, now: Instant) -> bytes:
    """Return the metrics of a store at a time."""
    registry = CollectorRegistry()
    registry.register(StoreCollector(store, lambda: now))
    return generate_latest(registry)


@example([Step(Found(ACTIVE), 0), Step(Gone(), 0), Step(Found(ACTIVE), 0)], 0)
@given(STEPS, WAITS)
def test_metrics_after_a_restart_are_those_without_one(steps: list[Step], down: float) -> None:
    store, clock = polled(EXPECTING, steps)
    state = saved(store, later(clock))
    end = rebooted(clock + down)
    after = restarted(state, end, EXPECTING)
    assert exposition(after, end) == exposition(store, later(clock + down))
    key = EXPECTING.key
    one, other = store.find(key), after.find(key)
    assert one is not None
    assert other is not None
    assert one.observation.change_baseline == other.observation.change_baseline
    statuses = (
        image_status(EXPECTING, image.observation, now)
        for image, now in ((one, later(clock + down)), (other, end))
    )
    assert len({(status.state, status.problems) for status in statuses}) == 1
    assert [event.at.wall for event in one.changes] == [event.at.wall for event in other.changes]
    assert [event[1:] for event in one.changes] == [event[1:] for event in other.changes]


@given(STEPS, STEPS)
def test_polls_after_a_restart_find_the_changes_that_they_would_have_found_without_one(
    before: list[Step], after: list[Step]
) -> None:
    store, clock = polled(TARGET, before)
    observation = store.observation(TARGET.key)
    continued = restarted(saved(store, later(clock)), rebooted(clock), TARGET).observation(
        TARGET.key
    )
    for step in after:
        clock += step.wait
        observation = observation.with_outcome(step.outcome, later(clock), MAX_STALE)
        moment = Instant(rebooted(0).monotonic + clock, later(clock).wall)
        continued = continued.with_outcome(step.outcome, moment, MAX_STALE)
        assert continued.change_counts == observation.change_counts
        assert continued.change_times == observation.change_times
        assert continued.new_changes == observation.new_changes
        assert continued.exists is observation.exists


@pytest.mark.parametrize(
    ("down", "exists"), [(0.0, True), (MAX_STALE - 1, True), (MAX_STALE + 1, None), (1e6, None)]
)
def test_values_expire_as_without_a_restart(down: float, exists: bool | None) -> None:
    after = restarted_observation(observed(Found(ACTIVE)), down).as_of(rebooted(down))
    assert (after.exists, after.image) == (exists, ACTIVE if exists else None)


def test_values_expire_at_once_if_the_clock_was_set_back() -> None:
    """Any time may have passed meanwhile, so the values may be too old."""
    before = observed(Found(ACTIVE), Found(replace(ACTIVE, status="deactivated")))
    now = rebooted(-1.0)
    record = image_record(TARGET.key, before, ())
    after = ClockShift.between(START, now).observation(record)
    moment_later = Instant(now.monotonic + 0.001, now.wall)
    assert (after.as_of(moment_later).exists, after.as_of(moment_later).image) == (None, None)
    assert after.change_counts.status == 1
    polled_again = after.with_outcome(Found(ACTIVE), moment_later, MAX_STALE)
    assert (polled_again.exists, polled_again.change_counts.status) == (True, 2)


@pytest.mark.parametrize("down", [-1.0, 0.0, 1e6])
def test_image_that_was_gone_stays_gone(down: float) -> None:
    evidence = GoneEvidence(START.monotonic - 10.0, probes=3)
    after = restarted_observation(observed(Found(ACTIVE), Gone("req", evidence)), down)
    assert after.as_of(rebooted(max(down, 0.0) + 1e9)).exists is False
    assert after.gone_evidence is not None
    assert after.gone_evidence.first_404_at == rebooted(0).monotonic - 10.0 - max(0.0, down)
    assert after.first_404_at == START.wall - 10.0
    assert after.change_counts.existence == 1


@pytest.mark.parametrize("down", [-1.0, 0.0, 1e6])
def test_times_of_a_poll_are_as_long_ago_as_without_a_restart(down: float) -> None:
    before = observed(Found(ACTIVE), Found(replace(ACTIVE, status="deactivated")))
    assert before.changed_at is not None
    event = ChangeEvent(before.changed_at, before.last_changes, "req")
    shift = ClockShift.between(START, rebooted(down))
    record = image_record(TARGET.key, before, [event])
    after = shift.observation(record)
    ((_, event_after),) = shift.events(record)
    at = Instant(before.changed_at.monotonic + shift.delta, before.changed_at.wall)
    assert START.monotonic + shift.delta == rebooted(0).monotonic - max(0.0, down)
    assert [after.polled_at, after.last_success_at, after.changed_at, after.state_since] == [at] * 4
    assert event_after == event._replace(at=at)


def test_failure_is_no_evidence_after_a_restart() -> None:
    unconfirmed = Failed("unconfirmed", "404, but no control could be found")
    after = restarted_observation(observed(Found(ACTIVE), unconfirmed))
    assert (after.exists, after.poll_success, after.failure) == (True, False, unconfirmed)
    assert after.gone_evidence is None


def test_image_is_written_once() -> None:
    record = image_record(TARGET.key, observed(Found(ACTIVE)), ())
    assert record.observation.image is None
    assert restarted_observation(observed(Found(ACTIVE))).image == ACTIVE


def test_never_polled_image_is_never_polled_after_a_restart() -> None:
    assert restarted_observation(NEVER_POLLED) == NEVER_POLLED


@given(st.sampled_from([(1, 2), (None, 5), (7, None)]))
def test_expectations_keep_their_types(sizes: tuple[int | None, int | None]) -> None:
    expect = (
        ("exists", True),
        ("status", ("active", "queued")),
        ("size", SizeRange(*sizes)),
        ("properties", (("os_distro", "debian"),)),
        ("max_age", 5.0),
    )
    read = read_expectations(written_expectations(expect))
    assert read == expect
    assert isinstance(dict(read)["size"], SizeRange)
