from dataclasses import replace

import pytest

from exporter.model.image import STATUSES
from exporter.model.observation import NEVER_POLLED, Observation
from exporter.model.outcome import Failed, Found, Gone
from exporter.model.status import PROBLEMS, STATES, ImageStatus, image_status, severity, state_of
from exporter.model.target import Target
from tests.support.images import ACTIVE, ID, MAX_STALE, START, TARGET, later, observed

DELETED = replace(ACTIVE, status="deleted", deleted=True)
FAILED = Failed("timeout")


def status_of(observation: Observation, **expect: object) -> ImageStatus:
    """Return the status of an image with these expectations."""
    return image_status(Target("lab", ID, "a", expect=tuple(expect.items())), observation, START)


@pytest.mark.parametrize(
    ("observation", "state", "problems"),
    [
        (NEVER_POLLED, "pending", ()),
        (observed(FAILED), "unknown", ("unknown", "failing")),
        (observed(Found(ACTIVE)), "active", ()),
        (observed(Found(ACTIVE), FAILED), "active", ("failing",)),
        (observed(Gone()), "gone", ("gone",)),
        (observed(Gone(), FAILED), "gone", ("gone", "failing")),
        (observed(Found(DELETED)), "deleted", ("gone",)),
        (observed(Found(replace(ACTIVE, status="queued"))), "queued", ("not_active",)),
        (observed(Found(replace(ACTIVE, status="odd"))), "other", ("not_active",)),
    ],
)
def test_state_and_problems_follow_the_last_poll(
    observation: Observation, state: str, problems: tuple[str, ...]
) -> None:
    status = status_of(observation)
    assert (status.state, status.problems) == (state, problems)


def test_gone_and_unknown_outlast_the_last_successful_poll() -> None:
    much_later = later(1e9)
    assert state_of(observed(Gone()).as_of(much_later)) == "gone"
    assert state_of(observed(Found(ACTIVE)).as_of(much_later)) == "unknown"


@pytest.mark.parametrize("state", STATES)
def test_only_active_is_good_news(state: str) -> None:
    expected = {"active": "good", "pending": "unknown", "unknown": "unknown"}
    assert severity(state) == expected.get(state, "bad")


@pytest.mark.parametrize("status", ["gone", "unknown", "pending", "other", ""])
def test_undocumented_status_is_the_state_other(status: str) -> None:
    """A tenant or service must not be able to fake a state such as ``gone``."""
    assert status_of(observed(Found(replace(ACTIVE, status=status)))).state == "other"


def test_expired_image_is_unknown() -> None:
    observation = observed(Found(ACTIVE))
    status = image_status(TARGET, observation, later(MAX_STALE + 1))
    assert (status.state, status.problems, status.observation.image) == (
        "unknown",
        ("unknown",),
        None,
    )


def test_expected_status_or_absence_is_not_a_problem() -> None:
    deactivated = observed(Found(replace(ACTIVE, status="deactivated")))
    assert status_of(deactivated, status=("active", "deactivated")).problems == ()
    assert status_of(deactivated, protected=True).problems == ("not_active",)
    assert status_of(observed(Gone()), exists=False).problems == ()
    assert status_of(observed(Found(DELETED)), exists=False, protected=True).problems == ()


def test_unexpected_existence_is_a_problem() -> None:
    assert status_of(observed(Found(ACTIVE)), exists=False).problems == ("unexpected",)
    assert status_of(observed(Gone()), exists=True).problems == ("gone", "unexpected")


def test_failed_check_is_a_problem_and_unverifiable_one_is_not() -> None:
    observation = observed(Found(replace(ACTIVE, public=None)))
    status = status_of(observation, status=("queued",), protected=False, public=True, max_age=1e12)
    assert status.problems == ("unexpected",)
    met = {result.expectation: result.met for result in status.check_results}
    assert met == {"status": False, "protected": False, "public": None, "max_age": True}
    assert [result.expectation for result in status.failed_checks] == ["status", "protected"]
    assert status.unverifiable == ("public",)


@pytest.mark.parametrize("observation", [NEVER_POLLED, observed(Gone()), observed(Found(DELETED))])
def test_gone_image_has_no_failed_or_unverifiable_expectations(observation: Observation) -> None:
    status = status_of(observation, public=True)
    assert (status.failed_checks, status.unverifiable) == ((), ())


def test_ranks_are_worst_first_then_pending_then_healthy() -> None:
    ranks = [
        status_of(observed(Found(ACTIVE), Gone())).rank,
        status_of(observed(Found(replace(ACTIVE, status="killed")))).rank,
        status_of(observed(Found(ACTIVE)), protected=False).rank,
        status_of(observed(FAILED)).rank,
        status_of(observed(Found(ACTIVE), FAILED)).rank,
        status_of(NEVER_POLLED).rank,
        status_of(observed(Found(ACTIVE))).rank,
    ]
    assert ranks == list(range(len(PROBLEMS) + 2))


def test_every_documented_status_is_a_state() -> None:
    assert set(STATES) == {*STATUSES, "gone", "unknown", "pending", "other"}
