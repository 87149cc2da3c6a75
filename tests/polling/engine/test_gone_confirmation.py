"""When a 404 becomes gone: every rule, by whole cycles without threads."""

from collections.abc import Iterator

import pytest

from exporter.model.outcome import Failed, Reading, Reason
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind
from tests.polling.engine.rehearsal import (
    LISTED,
    MISSING,
    Says,
    by_table,
    failed,
    found,
    image_id_of,
    rehearse,
)

AB = frozenset("ab")


def detail(outcome: object) -> str:
    """The words of a failure."""
    assert isinstance(outcome, Failed)
    return outcome.detail


def test_a_404_is_asked_again_on_a_fresh_connection_and_proved_by_the_list() -> None:
    """A 404 of the only image is confirmed, then the list is asked, then the image is gone."""
    run = rehearse("a", by_table({"a": MISSING}))
    assert [ask.kind for _, ask in run.asked] == [
        RequestKind.POLL,
        RequestKind.CONFIRM,
        RequestKind.LIST,
    ]
    assert run.words == {"a": "gone"}
    assert run.cycle.stats.accepted


def test_an_image_found_after_the_confirmed_404_is_the_proof() -> None:
    """No list is needed when another image is found by a question sent after the 404."""
    past = CycleHistory(existing=AB)
    run = rehearse(
        "ab", by_table({"a": MISSING, "b": found("b")}, failed("server_error")), past=past
    )
    assert run.words == {"a": "gone", "b": "found"}
    assert run.kinds(RequestKind.LIST) == []


def test_a_found_image_that_was_asked_before_the_404_proves_nothing() -> None:
    """An answer on its way when the 404 came may be older than the trouble."""
    slow = Says(found("b"), seconds=5.0)
    run = rehearse("ab", by_table({"a": MISSING, "b": slow}, failed("forbidden")))
    assert run.words == {"a": "unconfirmed", "b": "found"}
    assert run.kinds(RequestKind.LIST) == [""]


def test_a_404_that_is_not_repeated_is_no_404() -> None:
    """When the fresh connection finds the image, it was there all the time."""
    first: Iterator[Reading] = iter([MISSING, found("a")])
    run = rehearse("a", lambda _ask, _now: next(first))
    assert run.words == {"a": "found"}


@pytest.mark.parametrize(
    "listing",
    [MISSING, failed("server_error"), failed("malformed"), failed("forbidden"), failed("timeout")],
    ids=["404", "500", "garbage", "403", "timeout"],
)
def test_without_the_list_a_404_is_unconfirmed(listing: Reading) -> None:
    """A list that is none proves nothing, and api_up gets nothing from 404s alone."""
    run = rehearse("a", by_table({"a": MISSING}, listing))
    assert run.words == {"a": "unconfirmed"}
    assert "nothing proves" in detail(run.outcomes["a"])
    assert not run.cycle.stats.accepted


def test_a_list_that_fails_in_passing_is_asked_again_after_a_while() -> None:
    """A 500 of the list is retried with backoff, and the proof then serves."""
    replies: Iterator[Says | Reading] = iter([failed("server_error"), failed("timeout"), LISTED])
    run = rehearse(
        "a", lambda ask, _now: MISSING if image_id_of(ask) else next(replies), random=1.0
    )
    assert run.words == {"a": "gone"}
    times = [now for now, ask in run.asked if ask.kind is RequestKind.LIST]
    assert times[1] - times[0] == pytest.approx(0.51)
    assert times[2] - times[1] == pytest.approx(1.01)
    assert run.cycle.stats.retries == 2


@pytest.mark.parametrize(
    ("reason", "asks"), [("server_error", 3), ("forbidden", 1), ("malformed", 1)]
)
def test_a_list_that_fails_is_asked_a_bounded_number_of_times(reason: Reason, asks: int) -> None:
    """However many 404s wait for the list, its failure is not asked for again and again."""
    run = rehearse("abcdefgh", by_table(dict.fromkeys("abcdefgh", MISSING), failed(reason)))
    assert set(run.words.values()) == {"unconfirmed"}
    assert len(run.kinds(RequestKind.LIST)) == asks


def test_the_confirming_question_fails() -> None:
    """When the second question gets no answer, the text says what it got instead."""
    confirm = failed("forbidden")
    run = rehearse("a", lambda ask, _now: confirm if ask.kind is RequestKind.CONFIRM else MISSING)
    assert run.words == {"a": "unconfirmed"}
    assert "asked again: forbidden" in detail(run.outcomes["a"])


def test_the_confirming_question_is_retried_after_a_passing_failure() -> None:
    """A timeout of the second question costs a retry, not the proof."""
    confirms: Iterator[Reading] = iter([failed("timeout"), MISSING])

    def answers(ask: PollRequest, _: float) -> Says | Reading:
        if ask.kind is RequestKind.CONFIRM:
            return next(confirms)
        return MISSING if image_id_of(ask) else LISTED

    assert rehearse("a", answers).words == {"a": "gone"}


def test_a_witness_is_asked_out_of_turn() -> None:
    """When one of several living images is 404, another is asked at once, not at its own time."""
    past = CycleHistory(existing=frozenset("abc"))
    table: dict[str, Says | Reading] = {"a": MISSING, "b": found("b"), "c": found("c")}
    run = rehearse("abc", by_table(table), past=past)
    assert run.words["a"] == "gone"
    assert len(run.kinds(RequestKind.CANARY)) == 1
    gone_at = next(count for verdict, count in run.verdicts if verdict.target.image_id == "a")
    assert gone_at == 3


def test_witnesses_differ_and_are_few() -> None:
    """Where the witness is 404 too, another one is asked; three at the most."""
    ids = "abcdefgh"
    run = rehearse(
        ids, by_table(dict.fromkeys(ids, MISSING)), past=CycleHistory(existing=frozenset(ids))
    )
    witnesses = run.kinds(RequestKind.CANARY)
    assert len(witnesses) == len(set(witnesses)) == 3


def test_all_at_once_is_unconfirmed_for_one_cycle_and_gone_after_the_second() -> None:
    """A cloud whose images all turn 404 is believed when it says so twice, with proof."""
    before = CycleHistory(existing=AB)
    answers = by_table({"a": MISSING, "b": MISSING})
    first = rehearse("ab", answers, past=before)
    assert first.words == {"a": "unconfirmed", "b": "unconfirmed"}
    assert "all images of the cloud" in detail(first.outcomes["a"])
    assert (first.cycle.all_missing, first.cycle.all_vanished) == (True, False)
    second = rehearse("ab", answers, past=first.past(before))
    assert second.words == {"a": "gone", "b": "gone"}
    assert second.cycle.all_vanished


def test_all_at_once_still_tells_whether_the_api_answers() -> None:
    """In the cycle of suspicion the list is asked once, so that api_up does not lie."""
    run = rehearse("ab", by_table({"a": MISSING, "b": MISSING}), past=CycleHistory(existing=AB))
    assert run.kinds(RequestKind.LIST) == [""]
    assert run.cycle.stats.accepted
    assert set(run.words.values()) == {"unconfirmed"}


def test_a_cycle_in_between_makes_the_suspicion_begin_anew() -> None:
    """An outage between two cycles of 404s leaves the second one a first one."""
    before = CycleHistory(existing=AB)
    missing = by_table({"a": MISSING, "b": MISSING})
    past = rehearse("ab", missing, past=before).past(before)
    past = rehearse("ab", by_table(dict.fromkeys("ab", failed("timeout"))), past=past).past(past)
    assert set(rehearse("ab", missing, past=past).words.values()) == {"unconfirmed"}


def test_an_unproved_second_cycle_is_followed_by_a_third_that_decides() -> None:
    """The suspicion holds while only the proof is missing."""
    past = CycleHistory(existing=AB)
    for listing, expected in ((LISTED, "unconfirmed"), (MISSING, "unconfirmed"), (LISTED, "gone")):
        run = rehearse("ab", by_table({"a": MISSING, "b": MISSING}, listing), past=past)
        assert set(run.words.values()) == {expected}
        past = run.past(past)


def test_one_that_failed_otherwise_makes_it_not_all_at_once() -> None:
    """Where a living image fails for another reason, the list is proof enough for the rest."""
    table: dict[str, Says | Reading] = {"a": MISSING, "b": failed("forbidden")}
    run = rehearse("ab", by_table(table), past=CycleHistory(existing=AB))
    assert run.words == {"a": "gone", "b": "forbidden"}


def test_an_image_known_to_be_gone_needs_no_new_proof() -> None:
    """One 404 keeps it gone, also when nothing proves that the API answers."""
    run = rehearse("a", by_table({"a": MISSING}, MISSING), past=CycleHistory(gone=frozenset("a")))
    assert run.words == {"a": "gone"}
    assert run.kinds(RequestKind.CONFIRM) == []
    assert not run.cycle.stats.accepted


def test_where_all_are_known_to_be_gone_the_list_tells_of_the_api() -> None:
    """404s of images that were gone before leave open whether the API works: it is asked."""
    run = rehearse("ab", by_table({"a": MISSING, "b": MISSING}), past=CycleHistory(gone=AB))
    assert run.kinds(RequestKind.LIST) == [""]
    assert run.cycle.stats.accepted


def test_an_image_found_deleted_proves_too() -> None:
    """An administrator's view of a deleted image is an answer of a working API."""
    deleted = found("b", status="deleted")
    run = rehearse(
        "ab", by_table({"a": MISSING, "b": deleted}, MISSING), past=CycleHistory(existing=AB)
    )
    assert run.words == {"a": "gone", "b": "found"}


def test_a_404_late_in_the_cycle_is_unconfirmed() -> None:
    """What there is no time to prove is not proved."""
    run = rehearse("a", by_table({"a": Says(MISSING, seconds=55.0)}))
    assert run.words == {"a": "unconfirmed"}
    assert run.kinds(RequestKind.CONFIRM) == []


def test_an_api_that_answers_404_to_everything_takes_no_image_however_long() -> None:
    """Cycle after cycle of 404s, the list's included: nothing is ever gone."""
    past = CycleHistory(existing=frozenset("abc"))
    for _ in range(50):
        run = rehearse("abc", by_table(dict.fromkeys("abc", MISSING), MISSING), past=past)
        assert set(run.words.values()) == {"unconfirmed"}
        assert not run.cycle.stats.accepted
        past = run.past(past)
    assert past.existing == frozenset("abc")
