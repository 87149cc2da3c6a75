"""When a 404 becomes gone: every rule, by whole cycles without threads."""

from collections.abc import Iterator

import pytest

from exporter.model.outcome import Failed, ImageResult, Reason
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind
from tests.support.simulated_cycle import (
    LIST_OK,
    NOT_FOUND,
    FakeReply,
    failed,
    found,
    image_id_of,
    replies_by_image,
    run_cycle,
)

AB = frozenset("ab")


def detail(outcome: object) -> str:
    """The words of a failure."""
    assert isinstance(outcome, Failed)
    return outcome.detail


def test_a_404_is_asked_again_on_a_fresh_connection_and_proved_by_the_list() -> None:
    """A 404 of the only image is confirmed, then the list is asked, then the image is gone."""
    run = run_cycle("a", replies_by_image({"a": NOT_FOUND}))
    assert [request.kind for _, request in run.sent] == [
        RequestKind.POLL,
        RequestKind.CONFIRM,
        RequestKind.LIST,
    ]
    assert run.outcome_names == {"a": "gone"}
    assert run.cycle.stats.accepted


def test_an_image_found_after_the_confirmed_404_is_the_proof() -> None:
    """No list is needed when another image is found by a question sent after the 404."""
    history = CycleHistory(existing=AB)
    run = run_cycle(
        "ab",
        replies_by_image({"a": NOT_FOUND, "b": found("b")}, failed("server_error")),
        history=history,
    )
    assert run.outcome_names == {"a": "gone", "b": "found"}
    assert run.ids_requested(RequestKind.LIST) == []


def test_a_found_image_that_was_asked_before_the_404_proves_nothing() -> None:
    """An answer on its way when the 404 came may be older than the trouble."""
    slow = FakeReply(found("b"), seconds=5.0)
    run = run_cycle("ab", replies_by_image({"a": NOT_FOUND, "b": slow}, failed("forbidden")))
    assert run.outcome_names == {"a": "unconfirmed", "b": "found"}
    assert run.ids_requested(RequestKind.LIST) == [""]


def test_a_404_that_is_not_repeated_is_no_404() -> None:
    """When the fresh connection finds the image, it was there all the time."""
    first: Iterator[ImageResult] = iter([NOT_FOUND, found("a")])
    run = run_cycle("a", lambda _ask, _now: next(first))
    assert run.outcome_names == {"a": "found"}


@pytest.mark.parametrize(
    "list_reply",
    [
        NOT_FOUND,
        failed("server_error"),
        failed("malformed"),
        failed("forbidden"),
        failed("timeout"),
    ],
    ids=["404", "500", "garbage", "403", "timeout"],
)
def test_without_the_list_a_404_is_unconfirmed(list_reply: ImageResult) -> None:
    """A list that is none proves nothing, and api_up gets nothing from 404s alone."""
    run = run_cycle("a", replies_by_image({"a": NOT_FOUND}, list_reply))
    assert run.outcome_names == {"a": "unconfirmed"}
    assert "nothing proves" in detail(run.outcomes["a"])
    assert not run.cycle.stats.accepted


def test_a_list_that_fails_in_passing_is_asked_again_after_a_while() -> None:
    """A 500 of the list is retried with backoff, and the proof then serves."""
    replies: Iterator[FakeReply | ImageResult] = iter(
        [failed("server_error"), failed("timeout"), LIST_OK]
    )
    run = run_cycle(
        "a", lambda request, _now: NOT_FOUND if image_id_of(request) else next(replies), random=1.0
    )
    assert run.outcome_names == {"a": "gone"}
    times = [now for now, request in run.sent if request.kind is RequestKind.LIST]
    assert times[1] - times[0] == pytest.approx(0.51)
    assert times[2] - times[1] == pytest.approx(1.01)
    assert run.cycle.stats.retries == 2


@pytest.mark.parametrize(
    ("reason", "asks"), [("server_error", 3), ("forbidden", 1), ("malformed", 1)]
)
def test_a_list_that_fails_is_asked_a_bounded_number_of_times(reason: Reason, asks: int) -> None:
    """However many 404s wait for the list, its failure is not asked for again and again."""
    run = run_cycle(
        "abcdefgh", replies_by_image(dict.fromkeys("abcdefgh", NOT_FOUND), failed(reason))
    )
    assert set(run.outcome_names.values()) == {"unconfirmed"}
    assert len(run.ids_requested(RequestKind.LIST)) == asks


def test_the_confirming_question_fails() -> None:
    """When the second question gets no answer, the text says what it got instead."""
    confirm = failed("forbidden")
    run = run_cycle(
        "a", lambda request, _now: confirm if request.kind is RequestKind.CONFIRM else NOT_FOUND
    )
    assert run.outcome_names == {"a": "unconfirmed"}
    assert "second request failed: forbidden" in detail(run.outcomes["a"])


def test_the_confirming_question_is_retried_after_a_passing_failure() -> None:
    """A timeout of the second question costs a retry, not the proof."""
    confirms: Iterator[ImageResult] = iter([failed("timeout"), NOT_FOUND])

    def answers(request: PollRequest, _: float) -> FakeReply | ImageResult:
        if request.kind is RequestKind.CONFIRM:
            return next(confirms)
        return NOT_FOUND if image_id_of(request) else LIST_OK

    assert run_cycle("a", answers).outcome_names == {"a": "gone"}


def test_a_witness_is_asked_out_of_turn() -> None:
    """When one of several living images is 404, another is asked at once, not at its own time."""
    history = CycleHistory(existing=frozenset("abc"))
    table: dict[str, FakeReply | ImageResult] = {"a": NOT_FOUND, "b": found("b"), "c": found("c")}
    run = run_cycle("abc", replies_by_image(table), history=history)
    assert run.outcome_names["a"] == "gone"
    assert len(run.ids_requested(RequestKind.CANARY)) == 1
    gone_at = next(count for result, count in run.results if result.target.image_id == "a")
    assert gone_at == 3


def test_witnesses_differ_and_are_few() -> None:
    """Where the witness is 404 too, another one is asked; three at the most."""
    ids = "abcdefgh"
    run = run_cycle(
        ids,
        replies_by_image(dict.fromkeys(ids, NOT_FOUND)),
        history=CycleHistory(existing=frozenset(ids)),
    )
    witnesses = run.ids_requested(RequestKind.CANARY)
    assert len(witnesses) == len(set(witnesses)) == 3


def test_all_at_once_is_unconfirmed_for_one_cycle_and_gone_after_the_second() -> None:
    """A cloud whose images all turn 404 is believed when it says so twice, with proof."""
    before = CycleHistory(existing=AB)
    answers = replies_by_image({"a": NOT_FOUND, "b": NOT_FOUND})
    first = run_cycle("ab", answers, history=before)
    assert first.outcome_names == {"a": "unconfirmed", "b": "unconfirmed"}
    assert "all images of the cloud" in detail(first.outcomes["a"])
    assert (first.cycle.history().suspect_mass_404, first.cycle.mass_disappearance) == (True, False)
    second = run_cycle("ab", answers, history=first.next_history(before))
    assert second.outcome_names == {"a": "gone", "b": "gone"}
    assert second.cycle.mass_disappearance


def test_all_at_once_still_tells_whether_the_api_answers() -> None:
    """In the cycle of suspicion the list is asked once, so that api_up does not lie."""
    run = run_cycle(
        "ab", replies_by_image({"a": NOT_FOUND, "b": NOT_FOUND}), history=CycleHistory(existing=AB)
    )
    assert run.ids_requested(RequestKind.LIST) == [""]
    assert run.cycle.stats.accepted
    assert set(run.outcome_names.values()) == {"unconfirmed"}


def test_a_cycle_in_between_makes_the_suspicion_begin_anew() -> None:
    """An outage between two cycles of 404s leaves the second one a first one."""
    before = CycleHistory(existing=AB)
    missing = replies_by_image({"a": NOT_FOUND, "b": NOT_FOUND})
    history = run_cycle("ab", missing, history=before).next_history(before)
    history = run_cycle(
        "ab", replies_by_image(dict.fromkeys("ab", failed("timeout"))), history=history
    ).next_history(history)
    assert set(run_cycle("ab", missing, history=history).outcome_names.values()) == {"unconfirmed"}


def test_an_unproved_second_cycle_is_followed_by_a_third_that_decides() -> None:
    """The suspicion holds while only the proof is missing."""
    history = CycleHistory(existing=AB)
    for list_reply, expected in (
        (LIST_OK, "unconfirmed"),
        (NOT_FOUND, "unconfirmed"),
        (LIST_OK, "gone"),
    ):
        run = run_cycle(
            "ab", replies_by_image({"a": NOT_FOUND, "b": NOT_FOUND}, list_reply), history=history
        )
        assert set(run.outcome_names.values()) == {expected}
        history = run.next_history(history)


def test_one_that_failed_otherwise_makes_it_not_all_at_once() -> None:
    """Where a living image fails for another reason, the list is proof enough for the rest."""
    table: dict[str, FakeReply | ImageResult] = {"a": NOT_FOUND, "b": failed("forbidden")}
    run = run_cycle("ab", replies_by_image(table), history=CycleHistory(existing=AB))
    assert run.outcome_names == {"a": "gone", "b": "forbidden"}


def test_an_image_known_to_be_gone_needs_no_new_proof() -> None:
    """One 404 keeps it gone, also when nothing proves that the API answers."""
    run = run_cycle(
        "a",
        replies_by_image({"a": NOT_FOUND}, NOT_FOUND),
        history=CycleHistory(gone=frozenset("a")),
    )
    assert run.outcome_names == {"a": "gone"}
    assert run.ids_requested(RequestKind.CONFIRM) == []
    assert not run.cycle.stats.accepted


def test_where_all_are_known_to_be_gone_the_list_tells_of_the_api() -> None:
    """404s of images that were gone before leave open whether the API works: it is asked."""
    run = run_cycle(
        "ab", replies_by_image({"a": NOT_FOUND, "b": NOT_FOUND}), history=CycleHistory(gone=AB)
    )
    assert run.ids_requested(RequestKind.LIST) == [""]
    assert run.cycle.stats.accepted


def test_an_image_found_deleted_proves_too() -> None:
    """An administrator's view of a deleted image is an answer of a working API."""
    deleted = found("b", status="deleted")
    run = run_cycle(
        "ab",
        replies_by_image({"a": NOT_FOUND, "b": deleted}, NOT_FOUND),
        history=CycleHistory(existing=AB),
    )
    assert run.outcome_names == {"a": "gone", "b": "found"}


def test_a_404_late_in_the_cycle_is_unconfirmed() -> None:
    """What there is no time to prove is not proved."""
    run = run_cycle("a", replies_by_image({"a": FakeReply(NOT_FOUND, seconds=55.0)}))
    assert run.outcome_names == {"a": "unconfirmed"}
    assert run.ids_requested(RequestKind.CONFIRM) == []


def test_an_api_that_answers_404_to_everything_takes_no_image_however_long() -> None:
    """Cycle after cycle of 404s, the list's included: nothing is ever gone."""
    history = CycleHistory(existing=frozenset("abc"))
    for _ in range(50):
        run = run_cycle(
            "abc", replies_by_image(dict.fromkeys("abc", NOT_FOUND), NOT_FOUND), history=history
        )
        assert set(run.outcome_names.values()) == {"unconfirmed"}
        assert not run.cycle.stats.accepted
        history = run.next_history(history)
    assert history.existing == frozenset("abc")
