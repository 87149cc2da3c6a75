from collections.abc import Iterable, Set
from dataclasses import replace
from itertools import pairwise
from math import inf
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.image_metrics import IMAGE_FAMILIES
from exporter.metrics.images.view import view_of
from exporter.model.changes import (
    COUNTED_ATTRIBUTES,
    NO_CHANGE_COUNTS,
    NO_CHANGE_TIMES,
    Change,
    ChangeCounts,
    ChangeTimes,
)
from exporter.model.image import STATUSES, Image
from exporter.model.observation import NEVER_POLLED, NO_ASPECTS, Aspect, Observation
from exporter.model.outcome import REASONS, Failed, Found, Gone, GoneEvidence, Outcome, Reason
from tests.support.images import ACTIVE, ID, MAX_STALE, START, TARGET, later, observed

DELETED = replace(ACTIVE, status="deleted", deleted=True, deleted_at=5.0)
PENDING = replace(ACTIVE, status="pending_delete", deleted_at=5.0)


def each_minute(*outcomes: Outcome, before: Observation = NEVER_POLLED) -> Observation:
    return observed(*outcomes, before=before, apart=60)


FOUND = each_minute(Found(ACTIVE, "req-1"))
GONE = each_minute(Found(ACTIVE), Gone("req-2"))


def test_never_polled_target_has_no_values() -> None:
    assert (NEVER_POLLED.exists, NEVER_POLLED.image, NEVER_POLLED.poll_success) == (
        None,
        None,
        False,
    )
    assert NEVER_POLLED.as_of(later(1e9)) is NEVER_POLLED
    assert NEVER_POLLED.valid_until == inf


def test_existing_image_keeps_all_values() -> None:
    assert (FOUND.exists, FOUND.image, FOUND.poll_success) == (True, ACTIVE, True)
    assert (FOUND.polled_at, FOUND.last_success_at, FOUND.changed_at) == (START, START, None)
    assert (FOUND.request_id, FOUND.failure) == ("req-1", None)


@pytest.mark.parametrize("image", [DELETED, PENDING, replace(DELETED, status="active")])
def test_deleted_image_keeps_status_and_deletion_time(image: Image) -> None:
    """An administrator gets a 200 for a deleted image."""
    observation = each_minute(Found(ACTIVE), Found(image))
    remains = Image("v1", ID, image.status, deleted=True, deleted_at=5.0)
    assert (observation.exists, observation.image, observation.poll_success) == (
        False,
        remains,
        True,
    )
    assert observation.change_counts.existence == 1


def test_gone_image_has_no_values_and_the_poll_succeeded() -> None:
    assert (GONE.exists, GONE.image, GONE.poll_success) == (False, None, True)
    assert (GONE.request_id, GONE.last_success_at) == ("req-2", later(60))


@pytest.mark.parametrize("before", [NEVER_POLLED, FOUND, GONE, each_minute(Found(DELETED))])
@pytest.mark.parametrize("reason", REASONS)
def test_failure_changes_only_poll_success(reason: Reason, before: Observation) -> None:
    failed = Failed(reason, "why", "req-3")
    observation = before.with_outcome(failed, later(120), MAX_STALE)
    assert observation == replace(
        before,
        poll_success=False,
        failure=failed,
        request_id="req-3",
        polled_at=later(120),
        state_since=before.state_since or later(120),
        new_changes=(),
    )


def test_state_since_is_when_existence_and_status_were_first_seen() -> None:
    renamed, queued = replace(ACTIVE, name="other"), replace(ACTIVE, status="queued")
    steps: list[tuple[Outcome, float]] = [
        (Failed("timeout"), 0),
        (Failed("timeout"), 0),
        (Found(ACTIVE), 120),
        (Found(ACTIVE), 120),
        (Found(renamed), 120),
        (Failed("timeout"), 120),
        (Found(queued), 360),
        (Found(DELETED), 420),
        (Found(PENDING), 480),
        (Gone(), 540),
        (Gone(), 540),
        (Found(ACTIVE), 660),
    ]
    observation = NEVER_POLLED
    for number, (outcome, since) in enumerate(steps):
        observation = observation.with_outcome(outcome, later(60 * number), MAX_STALE)
        assert observation.state_since == later(since)


def test_expired_state_dates_from_its_expiry() -> None:
    """A proved absence keeps its date."""
    assert FOUND.as_of(later(MAX_STALE + 500)).state_since == later(MAX_STALE)
    deleted = each_minute(Found(ACTIVE), Found(DELETED))
    assert deleted.as_of(later(MAX_STALE + 500)).state_since == later(60)


@pytest.mark.parametrize(
    ("outcome", "rendered_at", "changed"),
    [
        (Found(ACTIVE), MAX_STALE, NO_ASPECTS),
        (Found(ACTIVE), MAX_STALE + 1, {Aspect.EXISTS, Aspect.IMAGE}),
        (Failed("timeout"), MAX_STALE + 1, {Aspect.POLL_SUCCESS}),
    ],
)
def test_values_that_are_valid_again_are_a_change(
    outcome: Outcome, rendered_at: float, changed: Set[Aspect]
) -> None:
    after = FOUND.with_outcome(outcome, later(MAX_STALE + 2), MAX_STALE)
    assert after.changed_aspects(FOUND, later(rendered_at).monotonic) == changed


def test_last_change_stays_until_the_next() -> None:
    renamed = replace(ACTIVE, name="other")
    observation = each_minute(Found(ACTIVE), Found(renamed), Found(renamed), Failed("timeout"))
    assert (observation.last_changes, observation.changed_at) == (
        (Change("name", "golden", "other"),),
        later(60),
    )
    assert observation.new_changes == ()
    assert each_minute(Gone(), before=observation).last_changes == (
        Change("existence", "there", "gone"),
    )


@pytest.mark.parametrize("success", [Found(ACTIVE), Gone()])
def test_success_ends_a_failure(success: Outcome) -> None:
    observation = each_minute(Failed("timeout", "why", "req-3"), success)
    assert observation.poll_success
    assert observation.failure is None
    assert observation.request_id == ""


@pytest.mark.parametrize("failures", [0, 5])
def test_values_expire_after_max_stale_despite_failures(failures: int) -> None:
    observation = each_minute(Found(ACTIVE), *[Failed("timeout")] * failures)
    assert observation.valid_until == START.monotonic + MAX_STALE
    assert observation.as_of(later(MAX_STALE)) is observation
    stale = observation.as_of(later(MAX_STALE + 0.001))
    assert (stale.exists, stale.image) == (None, None)
    assert (stale.poll_success, stale.change_counts) == (failures == 0, observation.change_counts)
    assert stale.valid_until == inf


def test_equal_response_extends_the_validity() -> None:
    observation = each_minute(Found(ACTIVE), Found(ACTIVE))
    assert observation.as_of(later(60 + MAX_STALE)).image == ACTIVE
    assert observation.as_of(later(60 + MAX_STALE + 1)).image is None


@pytest.mark.parametrize("last", [Gone(), Found(DELETED)])
def test_proved_disappearance_never_expires(last: Outcome) -> None:
    """The values of a deleted image do."""
    observation = each_minute(Found(ACTIVE), last, Failed("connection")).as_of(later(1e9))
    assert (observation.exists, observation.image) == (False, None)
    assert (observation.poll_success, observation.change_counts.existence) == (False, 1)


def test_response_is_compared_with_expired_values() -> None:
    back = FOUND.with_outcome(Found(replace(ACTIVE, public=True)), later(1e6), MAX_STALE)
    assert back.change_counts == ChangeCounts(public=1)
    assert back.as_of(later(1e6)).exists is True


def test_change_is_new_once_and_keeps_its_date() -> None:
    changed = each_minute(Found(ACTIVE), Found(replace(ACTIVE, name="silver")))
    assert changed.changed_at == later(60)
    assert [change.what for change in changed.new_changes] == ["name"]
    calm = changed.with_outcome(Found(replace(ACTIVE, name="silver")), later(120), MAX_STALE)
    assert (calm.changed_at, calm.new_changes) == (later(60), ())
    assert changed.with_outcome(Failed("timeout"), later(120), MAX_STALE).changed_at == later(60)


def test_change_counts_survive_failures_absence_and_deactivation() -> None:
    other = replace(ACTIVE, digests=(("md5", "0" * 32),))
    deactivated = replace(ACTIVE, status="deactivated")
    history: list[Outcome] = [Found(ACTIVE), Failed("timeout"), Gone(), Gone(), Failed("timeout")]
    history += [Found(deactivated), Found(deactivated), Failed("server_error"), Found(other)]
    assert each_minute(*history).change_counts == ChangeCounts(existence=2, status=2, content=1)


def test_equal_image_is_kept_only_once() -> None:
    """Separate copies of thousands of images would fill the memory over months."""
    again = FOUND.with_outcome(Found(replace(ACTIVE)), later(60), MAX_STALE)
    assert again.image is FOUND.image
    assert again.change_baseline.image is FOUND.change_baseline.image


def test_times_of_changes_survive_failures_and_equal_responses_as_one_object() -> None:
    changed = each_minute(Found(ACTIVE), Found(replace(ACTIVE, protected=False)))
    assert changed.change_times == ChangeTimes(unprotected=later(60).wall)
    again = each_minute(Failed("timeout"), Found(replace(ACTIVE, protected=False)), before=changed)
    assert again.change_times is changed.change_times
    assert FOUND.change_times is NO_CHANGE_TIMES


def test_first_response_and_a_correction_set_no_time_but_that_of_the_disappearance() -> None:
    deactivated = replace(ACTIVE, status="deactivated", protected=False, public=True)
    corrected = each_minute(Found(ACTIVE), Found(deactivated, corrects=True))
    assert corrected.change_times is NO_CHANGE_TIMES
    deleted = each_minute(Found(ACTIVE), Found(DELETED, corrects=True))
    assert deleted.change_times == ChangeTimes(gone=later(60).wall)


def test_time_alone_is_a_change_of_the_counts() -> None:
    """The series of both are rendered together."""
    one, other = (replace(FOUND, change_times=ChangeTimes(status=at)) for at in (1.0, 2.0))
    assert other.changed_aspects(one, -inf) == {Aspect.CHANGE_COUNTS}
    assert one.changed_aspects(replace(one, change_times=ChangeTimes(status=1.0)), -inf) == set()


# Any history

IMAGES = st.builds(
    Image,
    api=st.sampled_from(["v1", "v2"]),
    id=st.just(ID),
    status=st.sampled_from(["active", "active", "queued", "deactivated", "deleted", "odd"]),
    deleted=st.sampled_from([None, False, False, True]),
    name=st.sampled_from([None, "a", "b"]),
    protected=st.sampled_from([None, False, True]),
    public=st.sampled_from([None, False, True]),
    visibility=st.sampled_from([None, "public", "private"]),
    size_bytes=st.sampled_from([None, 0, 1, 2]),
    digests=st.sampled_from([(), (("md5", "a"),), (("md5", "b"),), (("sha", "a"),)]),
)
OUTCOMES = st.one_of(IMAGES.map(Found), st.just(Gone()), st.sampled_from(list(REASONS)).map(Failed))


class Step(NamedTuple):
    """Outcome of a poll, and the seconds since the previous one."""

    outcome: Outcome
    wait: float


STEPS = st.lists(
    st.builds(Step, OUTCOMES, st.sampled_from([0.0, 60.0, MAX_STALE, MAX_STALE + 1])), min_size=1
)


def count_transitions(values: Iterable[object]) -> int:
    """Return how often a value is followed by a different one."""
    return sum(one != other for one, other in pairwise(values))


def count_changes(outcomes: list[Outcome]) -> ChangeCounts:
    """Return the changes in a whole history, counted from all outcomes at once."""
    successes = [outcome for outcome in outcomes if not isinstance(outcome, Failed)]
    images = [outcome.image for outcome in successes if isinstance(outcome, Found)]
    pairs = list(pairwise(images))
    # A response without digest and size says nothing about the content.
    active = [
        image
        for image in images
        if image.status == "active" and not image.deleted and (image.digests or image.size_bytes)
    ]
    return ChangeCounts(
        existence=count_transitions(
            isinstance(outcome, Found) and outcome.image.exists for outcome in successes
        ),
        status=count_transitions(image.status for image in images),
        content=sum(has_new_content(one, other) for one, other in pairwise(active)),
        **{
            attribute: sum(
                new.exists
                and None not in {getattr(old, attribute), getattr(new, attribute)}
                and getattr(old, attribute) != getattr(new, attribute)
                and (attribute != "name" or old.api == new.api)
                for old, new in pairs
            )
            for attribute in COUNTED_ATTRIBUTES
        },
    )


def has_new_content(old: Image, new: Image) -> bool:
    """Return True if two active images of one API version are known to have different bytes."""
    if old.api != new.api:
        return False
    if old.digests and new.digests and old.digests[0][0] == new.digests[0][0]:
        return old.digests != new.digests
    return bool(old.size_bytes and new.size_bytes and old.size_bytes != new.size_bytes)


def new_times(before: ChangeCounts, after: Observation, at: float) -> dict[str, float]:
    """Return the times of changes that a poll sets, from the counts before and the state after."""
    image, counts = after.image, after.change_counts
    happened = {
        "status": counts.status > before.status,
        "content": counts.content > before.content,
        "gone": counts.existence > before.existence and after.exists is False,
        "back": counts.existence > before.existence and after.exists is True,
        "public": counts.public > before.public and image and image.public,
        "unprotected": counts.protected > before.protected and image and not image.protected,
    }
    return {kind: at for kind, has_happened in happened.items() if has_happened}


def values(name: str, observation: Observation, seconds: float) -> list[float]:
    """Return the values of one family at a time."""
    family = next(family for family in IMAGE_FAMILIES if family.name == name)
    return [*family.samples(view_of(TARGET, observation, later(seconds))).values()]


@given(STEPS, st.sampled_from([0.0, 60.0, MAX_STALE, MAX_STALE + 1]))
def test_any_history_obeys_the_rules(steps: list[Step], wait: float) -> None:
    """Counts match the history, and values depend on the last success and the time."""
    observation, clock, succeeded_at, last = NEVER_POLLED, 0.0, -inf, None
    counts = NO_CHANGE_COUNTS
    times: dict[str, float] = {}
    for number, step in enumerate(steps, 1):
        clock += step.wait
        observation = observation.with_outcome(step.outcome, later(clock), MAX_STALE)
        if not isinstance(step.outcome, Failed):
            succeeded_at, last = clock, step.outcome
        past = [step.outcome for step in steps[:number]]
        assert observation.change_counts == count_changes(past)
        for field in ChangeCounts.__slots__:
            assert getattr(observation.change_counts, field) >= getattr(counts, field)
        times |= new_times(counts, observation, later(clock).wall)
        assert observation.change_times == ChangeTimes(**times)
        counts = observation.change_counts
        assert observation.poll_success is not isinstance(step.outcome, Failed)
    clock += wait
    at = observation.as_of(later(clock))
    fresh = clock - succeeded_at <= MAX_STALE
    there = isinstance(last, Found) and last.image.exists
    assert at.exists is (None if last is None or (there and not fresh) else there)
    assert (at.image is not None) is (fresh and isinstance(last, Found))
    assert (at.change_counts, at.poll_success) == (counts, observation.poll_success)
    assert at.change_times == ChangeTimes(**times)
    statuses = values("openstack_image_status", observation, clock)
    assert sorted(statuses) == ([0.0] * len(STATUSES) + [1.0] if at.image else [])
    assert values("openstack_image_poll_success", observation, clock) == [at.poll_success]


@given(STEPS)
def test_series_change_only_at_valid_until(steps: list[Step]) -> None:
    observation = NEVER_POLLED
    for step in steps:
        observation = observation.with_outcome(step.outcome, START, MAX_STALE)

    def series(seconds: float) -> list[object]:
        view = view_of(TARGET, observation, later(seconds))
        return [family.samples(view) for family in IMAGE_FAMILIES]

    end = min(observation.valid_until - START.monotonic, 1e9)
    assert series(end) == series(0.0)
    if observation.valid_until < inf:
        assert series(end + 1) != series(0.0)


@pytest.mark.parametrize(("skew", "since"), [(None, None), (-2.5, START.wall - 2.5)])
def test_changes_count_from_the_first_poll_by_the_clock_of_the_service(
    skew: float | None, since: float | None
) -> None:
    first = NEVER_POLLED.with_outcome(Found(ACTIVE), START, MAX_STALE, skew)
    second = first.with_outcome(Found(ACTIVE), later(60), MAX_STALE, 100.0)
    expected = NEVER_POLLED.change_baseline.since if since is None else since
    assert [each.change_baseline.since for each in (first, second)] == [expected, expected]


def test_evidence_remains_until_the_image_is_found() -> None:
    evidence = GoneEvidence(first_404_at=START.monotonic + 30, probes=3)
    gone = each_minute(Found(ACTIVE), Gone("req-2", evidence), Gone("req-3"))
    assert (gone.gone_evidence, gone.first_404_at) == (evidence, START.wall + 30)
    found = each_minute(Found(ACTIVE), before=gone)
    assert (found.gone_evidence, found.first_404_at) == (None, None)


def test_replaced_outcome_counts_no_change_twice_and_none_back() -> None:
    gone = FOUND.with_outcome(Gone("req-2"), later(60), MAX_STALE)
    failed = Failed("unconfirmed")
    replaced = gone.with_replaced_outcome(FOUND, failed, later(60), MAX_STALE)
    assert (replaced.exists, replaced.image, replaced.failure) == (True, ACTIVE, failed)
    assert replaced.change_counts == gone.change_counts
    assert replaced.change_times == gone.change_times == ChangeTimes(gone=later(60).wall)
    again = replaced.with_outcome(Found(ACTIVE), later(120), MAX_STALE)
    assert again.change_counts == gone.change_counts
    assert again.change_times is gone.change_times
