"""Evidence while requests for it fail or find no time, by whole cycles without threads."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest

from exporter.model.image import Image
from exporter.model.outcome import Found, GoneEvidence, ImageResult
from exporter.polling.engine.contradictions import USUAL, ContradictionMemory
from exporter.polling.engine.controls import MAX_FAILURES_AMONG_SERVERS, MAX_LIST_FAILURES
from exporter.polling.engine.evidence_requests import MAX_ATTEMPTS, RESPONSES_PER_FAILURE
from exporter.polling.engine.older_responses import LATE_RECHECKS
from exporter.polling.engine.pacing import CyclePacing
from exporter.polling.engine.suspect import MAX_PROBES
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind, Suspicion
from tests.support.simulated_cycle import (
    FOUND_BEFORE,
    LIST_OK,
    NOT_FOUND,
    START,
    FakeReply,
    SimulatedCycle,
    detail,
    evidence,
    failed,
    found,
    image_id_of,
    replies_by_image,
    run_cycle,
)

AB = frozenset("ab")
OLD = Found(Image("v2", "a", "active", created_at=1000.0, updated_at=2000.0))
NEW = Found(Image("v2", "a", "active", created_at=1000.0, updated_at=3000.0))
NEW_WAS_SEEN = CycleHistory(any_found=True, existing=frozenset("a"), seen={"a": NEW.image})
SHORT = CyclePacing(interval=2.0, timeout=1.0, concurrency=4)


def run_with_recheck_replies(
    replies: Iterator[ImageResult], first: ImageResult, history: CycleHistory
) -> SimulatedCycle:
    """Run a cycle in which the rechecks of image ``a`` have these replies; ``b`` is found."""

    def respond(request: PollRequest, _: float) -> ImageResult:
        if image_id_of(request) == "b":
            return found("b")
        return next(replies) if request.kind is RequestKind.RECHECK else first

    return run_cycle("ab", respond, history=history)


def test_failed_recheck_requires_two_more() -> None:
    answers: Iterator[ImageResult] = iter([failed("timeout"), *[NOT_FOUND] * 20])
    run = run_with_recheck_replies(answers, NOT_FOUND, CycleHistory(any_found=True, existing=AB))
    assert run.outcome_names["a"] == "gone"
    assert evidence(run, "a").rechecks == USUAL.rechecks + RESPONSES_PER_FAILURE


def test_image_is_not_gone_while_as_many_requests_fail_as_are_404() -> None:
    """Perhaps one of two servers lacks the image, and the other one does not respond."""
    history = CycleHistory(any_found=True, existing=AB)
    for _ in range(5):
        answers: Iterator[ImageResult] = itertools.cycle([NOT_FOUND, failed("server_error")])
        run = run_with_recheck_replies(answers, NOT_FOUND, history)
        assert run.outcome_names["a"] == "unconfirmed"
        assert "too many requests for its evidence failed: server_error" in detail(
            run.outcomes["a"]
        )
        assert len(run.ids_requested(RequestKind.RECHECK)) < MAX_ATTEMPTS * sum(USUAL[:2])
        history = run.next_history(history)


def test_next_cycle_has_to_agree_on_a_404_after_several_failures() -> None:
    history = CycleHistory(any_found=True, existing=AB)
    names = []
    for _ in range(2):
        answers: Iterator[ImageResult] = itertools.cycle([*[NOT_FOUND] * 3, failed("connection")])
        run = run_with_recheck_replies(answers, NOT_FOUND, history)
        names.append(run.outcome_names["a"])
        if names == ["unconfirmed"]:
            assert detail(run.outcomes["a"]).endswith("because some requests failed")
        history = run.next_history(history)
    assert names == ["unconfirmed", "gone"]


def test_older_response_is_not_believed_while_as_many_requests_fail() -> None:
    answers: Iterator[ImageResult] = itertools.cycle([failed("rate_limited"), OLD])
    run = run_with_recheck_replies(answers, OLD, NEW_WAS_SEEN)
    assert run.outcome_names["a"] == "unconfirmed"


def test_next_cycle_has_to_agree_on_an_older_response_after_several_failures() -> None:
    history = NEW_WAS_SEEN
    names = []
    for _ in range(2):
        answers: Iterator[ImageResult] = itertools.cycle([failed("timeout"), *[OLD] * 5])
        run = run_with_recheck_replies(answers, OLD, history)
        names.append(run.outcome_names["a"])
        if names == ["unconfirmed"]:
            assert detail(run.outcomes["a"]).endswith("because some requests failed")
        history = replace(run.next_history(history), seen=history.seen)
    assert names == ["unconfirmed", "found"]


def test_image_that_was_created_after_its_first_404_is_found_at_once() -> None:
    """Servers that contradict each other must not hide it."""
    created = Found(Image("v2", "a", "active", created_at=START + 5000.0))
    history = CycleHistory(
        gone=frozenset("a"),
        gone_since={"a": START - 600.0},
        service_clock=5000.0,
        contradictions=ContradictionMemory(until=1e9),
    )
    run = run_cycle("a", lambda *_: created, history=history)
    assert run.outcomes == {"a": created}
    assert run.ids_requested(RequestKind.RECHECK) == []


@pytest.mark.parametrize(
    ("clock", "gone_since"),
    [(None, {"a": START - 600.0}), (5000.0, {}), (5000.0, {"a": START + 600.0})],
    ids=["no clock", "no first 404", "created before its first 404"],
)
def test_image_that_may_be_older_than_its_first_404_is_rechecked(
    clock: float | None, gone_since: dict[str, float]
) -> None:
    created = Found(Image("v2", "a", "active", created_at=START + 5000.0))
    history = CycleHistory(gone=frozenset("a"), gone_since=gone_since, service_clock=clock)
    run = run_cycle("a", lambda *_: created, history=history)
    assert run.outcomes == {"a": created}
    assert len(run.ids_requested(RequestKind.RECHECK)) == USUAL.rechecks


def test_only_control_may_be_404_often_while_servers_contradict_each_other() -> None:
    answers: Iterator[ImageResult] = itertools.cycle(
        [*[NOT_FOUND] * 4, *[found("b")] * 2, *[NOT_FOUND] * 4, *[found("b")] * 2]
    )

    def respond(request: PollRequest, _: float) -> FakeReply | ImageResult:
        if request.kind is RequestKind.POLL and image_id_of(request) == "b":
            return found("b")
        return next(answers) if image_id_of(request) == "b" else NOT_FOUND

    history = CycleHistory(
        existing=AB,
        contradictions=ContradictionMemory(until=1e9),
        suspicions={"a": Suspicion(GoneEvidence(START - 60.0), 20, 6, 27, is_complete=True)},
        immediate=frozenset("b"),
    )
    run = run_cycle("ab", respond, history=history)
    assert run.outcome_names == {"a": "gone", "b": "found"}


def test_list_that_has_worked_may_fail_often() -> None:
    """It is the only control, and half of the servers do not have it."""
    in_a_row = MAX_FAILURES_AMONG_SERVERS // 2 + 1
    assert in_a_row > MAX_LIST_FAILURES
    lists: Iterator[FakeReply | ImageResult] = itertools.cycle(
        [LIST_OK, LIST_OK, *[NOT_FOUND] * in_a_row]
    )
    pacing = CyclePacing(interval=600.0, timeout=10.0, concurrency=1)
    run = run_cycle(
        "a",
        lambda request, _: NOT_FOUND if image_id_of(request) else next(lists),
        history=FOUND_BEFORE,
        pacing=pacing,
    )
    assert run.outcome_names == {"a": "gone"}


def test_late_response_is_confirmed_by_several_short_cycles() -> None:
    """Its 60 rechecks need more time than one cycle has."""
    history = replace(
        CycleHistory(any_found=True, existing=frozenset("a"), seen={"a": OLD.image}),
        seen_since={"a": 4000.0},
    )
    names, rechecks = [], 0
    for _ in range(4):
        run = run_cycle("a", lambda *_: FakeReply(NEW, seconds=0.15), history=history, pacing=SHORT)
        names.append(run.outcome_names["a"])
        rechecks += len(run.ids_requested(RequestKind.RECHECK))
        if names[-1] == "found":
            break
        history = replace(
            run.next_history(history), seen=history.seen, seen_since=history.seen_since
        )
    assert names[0] == "unconfirmed"
    assert names[-1] == "found"
    assert rechecks <= LATE_RECHECKS + 4 * len(names)


def test_another_late_response_starts_its_rechecks_again() -> None:
    history = replace(
        CycleHistory(any_found=True, existing=frozenset("a"), seen={"a": OLD.image}),
        seen_since={"a": 4000.0},
    )
    run = run_cycle("a", lambda *_: FakeReply(NEW, seconds=0.15), history=history, pacing=SHORT)
    assert run.cycle.history().older_repeated["a"].responses > 10
    other = Found(replace(NEW.image, updated_at=3500.0))
    history = replace(history, older_repeated=run.cycle.history().older_repeated)
    run = run_cycle("a", lambda *_: other, history=history)
    assert run.outcomes == {"a": other}
    assert len(run.ids_requested(RequestKind.RECHECK)) == LATE_RECHECKS


@pytest.mark.parametrize(
    ("contradictions", "expected"),
    [(ContradictionMemory(), True), (ContradictionMemory(until=1e9), False)],
    ids=["usual", "contradictions"],
)
def test_evidence_counts_in_the_next_cycle_unless_servers_contradict_each_other(
    contradictions: ContradictionMemory, expected: bool
) -> None:
    history = replace(NEW_WAS_SEEN, contradictions=contradictions)
    run = run_cycle("a", lambda *_: FakeReply(OLD, seconds=0.9), history=history, pacing=SHORT)
    assert detail(run.outcomes["a"]).endswith("there was no time to confirm it")
    assert bool(run.cycle.history().older_repeated) is expected


@pytest.mark.parametrize("first", [OLD, NOT_FOUND], ids=["older", "404"])
def test_failures_cancel_responses_that_count_in_the_next_cycle(first: ImageResult) -> None:
    """One of the rechecks failed, and four were like the first response."""
    answers: Iterator[ImageResult] = iter([first, *[first] * 4, failed("timeout")])

    def respond(request: PollRequest, _: float) -> FakeReply | ImageResult:
        if image_id_of(request) == "b":
            return found("b")
        return FakeReply(next(answers, first), seconds=0.55)

    pacing = replace(SHORT, concurrency=3)
    run = run_cycle("ab", respond, history=replace(NEW_WAS_SEEN, existing=AB), pacing=pacing)
    next_history = run.next_history(NEW_WAS_SEEN)
    equal = sum(
        trip.result == first and trip.request.kind is not RequestKind.PROBE
        for trip in run.roundtrips
    )
    if first is OLD:
        counted = next_history.older_repeated["a"].responses
    else:
        counted = 1 + next_history.suspicions["a"].rechecks
    assert counted == equal - RESPONSES_PER_FAILURE > 0


def test_mass_404_is_confirmed_by_several_short_cycles() -> None:
    """Three probes with a list need more time than one cycle has."""
    history = CycleHistory(any_found=True, existing=AB)
    slow = replies_by_image(
        dict.fromkeys("ab", FakeReply(NOT_FOUND, seconds=0.35)), replace(LIST_OK, seconds=0.35)
    )
    names = []
    for _ in range(8):
        run = run_cycle("ab", slow, history=history, pacing=replace(SHORT, concurrency=2))
        names.append(set(run.outcome_names.values()))
        history = run.next_history(history)
    assert names[:2] == [{"unconfirmed"}, {"unconfirmed"}]
    assert names[-1] == {"gone"}


def test_probes_of_an_earlier_cycle_are_shared_only_with_those_that_were_404_in_it() -> None:
    """Now the API responds 404 to everything, and ``c`` was never requested before."""
    replies = replies_by_image(dict.fromkeys("abc", NOT_FOUND), NOT_FOUND)
    probed = Suspicion(GoneEvidence(START - 60.0), 7, 3, 11, is_complete=False, shared=3)
    shared = Suspicion(GoneEvidence(START - 60.0), 7, 0, 8, is_complete=False, shared=3)
    history = CycleHistory(suspicions={"a": probed, "b": shared})
    run = run_cycle("abc", replies, history=history)
    assert run.outcome_names == {"a": "gone", "b": "gone", "c": "unconfirmed"}


def test_shared_probes_do_not_count_once_an_image_is_found() -> None:
    """The images were not 404 for one reason."""
    shared = Suspicion(GoneEvidence(START - 60.0), 8, 0, 9, is_complete=False, shared=3)
    history = CycleHistory(suspicions=dict.fromkeys("ab", shared), immediate=frozenset("c"))
    replies = replies_by_image({"a": NOT_FOUND, "b": NOT_FOUND, "c": found("c")})
    run = run_cycle("abc", replies, history=history)
    assert evidence(run, "a").probes == evidence(run, "b").probes == USUAL.probes


def test_probes_of_one_image_are_limited_in_a_cycle() -> None:
    """After a run of 40 wrong 404s, 120 rechecks are required, and no probe is conclusive."""
    answers: Iterator[ImageResult] = itertools.cycle([found("b"), NOT_FOUND])

    def respond(request: PollRequest, _: float) -> FakeReply | ImageResult:
        return next(answers) if image_id_of(request) == "b" else NOT_FOUND

    memory = ContradictionMemory(until=1e9, longest_run=40)
    history = CycleHistory(
        any_found=True, existing=AB, contradictions=memory, immediate=frozenset("b")
    )
    run = run_cycle("ab", respond, history=history)
    assert run.outcome_names["a"] == "unconfirmed"
    assert "no control could be found" in detail(run.outcomes["a"])
    probes = [request for _, request in run.sent if request.kind is RequestKind.PROBE]
    assert len(probes) == MAX_PROBES
