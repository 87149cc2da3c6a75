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


def stands(observation: Observation, **expect: object) -> ImageStatus:
    """How an image stands of which this is expected."""
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
def test_a_target_stands_as_it_was_last_seen(
    observation: Observation, state: str, problems: tuple[str, ...]
) -> None:
    """Its state is a word of the table, its problems are in the order of theirs."""
    stood = stands(observation)
    assert (stood.state, stood.problems) == (state, problems)


def test_gone_and_unknown_outlast_the_last_successful_poll() -> None:
    much_later = later(1e9)
    assert state_of(observed(Gone()).as_of(much_later)) == "gone"
    assert state_of(observed(Found(ACTIVE)).as_of(much_later)) == "unknown"


@pytest.mark.parametrize("state", STATES)
def test_only_active_is_good_news(state: str) -> None:
    expected = {"active": "good", "pending": "unknown", "unknown": "unknown"}
    assert severity(state) == expected.get(state, "bad")


@pytest.mark.parametrize("status", ["gone", "unknown", "pending", "other", ""])
def test_a_status_cannot_pass_for_a_state(status: str) -> None:
    """A status that the API makes up is another one, whatever word it is."""
    assert stands(observed(Found(replace(ACTIVE, status=status)))).state == "other"


def test_values_past_their_time_are_not_known() -> None:
    """Once values are dropped, also without a poll that fails, nothing is known."""
    observation = observed(Found(ACTIVE))
    stood = image_status(TARGET, observation, later(MAX_STALE + 1))
    assert (stood.state, stood.problems, stood.observation.image) == ("unknown", ("unknown",), None)


def test_what_is_expected_is_no_problem() -> None:
    """A status that will do is as good as active, and an absence that is expected is none."""
    deactivated = observed(Found(replace(ACTIVE, status="deactivated")))
    assert stands(deactivated, status=("active", "deactivated")).problems == ()
    assert stands(deactivated, protected=True).problems == ("not_active",)
    assert stands(observed(Gone()), exists=False).problems == ()
    assert stands(observed(Found(DELETED)), exists=False, protected=True).problems == ()


def test_existence_may_be_unexpected() -> None:
    """An image that should not be there is as wrong as one that should and is not."""
    assert stands(observed(Found(ACTIVE)), exists=False).problems == ("unexpected",)
    assert stands(observed(Gone()), exists=True).problems == ("gone", "unexpected")


def test_what_is_not_as_expected_is_a_problem() -> None:
    """Expectations that are not met are named; one that cannot be judged is named apart."""
    observation = observed(Found(replace(ACTIVE, public=None)))
    stood = stands(observation, status=("queued",), protected=False, public=True, max_age=1e12)
    assert stood.problems == ("unexpected",)
    met = {each.expectation: each.met for each in stood.check_results}
    assert met == {"status": False, "protected": False, "public": None, "max_age": True}
    assert [each.expectation for each in stood.failed_checks] == ["status", "protected"]
    assert stood.unverifiable == ("public",)


@pytest.mark.parametrize("observation", [NEVER_POLLED, observed(Gone()), observed(Found(DELETED))])
def test_nothing_is_untold_of_what_is_not_there(observation: Observation) -> None:
    """Of an image that does not exist, nothing is said of expectations."""
    stood = stands(observation, public=True)
    assert (stood.failed_checks, stood.unverifiable) == ((), ())


def test_worst_comes_first() -> None:
    """Ranks are in the order of the table, then what is not polled yet, then what is well."""
    ranks = [
        stands(observed(Found(ACTIVE), Gone())).rank,
        stands(observed(Found(replace(ACTIVE, status="killed")))).rank,
        stands(observed(Found(ACTIVE)), protected=False).rank,
        stands(observed(FAILED)).rank,
        stands(observed(Found(ACTIVE), FAILED)).rank,
        stands(NEVER_POLLED).rank,
        stands(observed(Found(ACTIVE))).rank,
    ]
    assert ranks == list(range(len(PROBLEMS) + 2))


def test_every_status_is_a_state() -> None:
    """The table of states has Glance's statuses, and the four that an image can be in without."""
    assert set(STATES) == {*STATUSES, "gone", "unknown", "pending", "other"}
