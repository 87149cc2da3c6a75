"""Every rule that decides if a 404 means gone, by whole cycles without threads."""

import itertools
from collections import Counter
from collections.abc import Iterator

import pytest

from exporter.model.contradiction import ContradictionKind
from exporter.model.image import Image
from exporter.model.outcome import (
    Found,
    GoneEvidence,
    ImageResult,
    NotFound,
    Reason,
)
from exporter.polling.engine.contradictions import USUAL, ContradictionMemory
from exporter.polling.engine.pacing import CyclePacing
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind, Suspicion
from tests.support.simulated_cycle import (
    FOUND_BEFORE,
    LIST_OK,
    NOT_FOUND,
    START,
    FakeReply,
    detail,
    evidence,
    failed,
    found,
    image_id_of,
    replies_by_image,
    requests_of,
    run_cycle,
)

AB = frozenset("ab")


def waiting(image_id: str) -> dict[str, Suspicion]:
    """Return the suspicion of an image whose evidence was complete in the last cycle."""
    return {image_id: Suspicion(GoneEvidence(START - 60.0), 20, 6, 27, is_complete=True)}


def test_single_404_is_rechecked_and_probed_with_the_list_as_control() -> None:
    run = run_cycle("a", replies_by_image({"a": NOT_FOUND}), history=FOUND_BEFORE)
    kinds = Counter(request.kind for _, request in run.sent)
    assert kinds == {RequestKind.POLL: 1, RequestKind.RECHECK: 8, RequestKind.PROBE: 3}
    assert run.outcome_names == {"a": "gone"}
    assert run.cycle.stats.accepted
    assert evidence(run, "a").controls == ("list",)


def test_gone_image_has_its_evidence() -> None:
    run = run_cycle("ab", replies_by_image({"a": NotFound("req-1"), "b": found("b")}))
    proof = evidence(run, "a")
    assert (proof.rechecks, proof.probes, proof.cycles) == (8, 3, 1)
    assert proof.controls == ("b",)
    assert proof.request_ids == ("req-1",) * 12
    assert len(proof.connections) == 3
    assert proof.first_404_at == pytest.approx(START, abs=0.1)


def test_deleted_image_costs_at_most_20_requests_more() -> None:
    table: dict[str, FakeReply | ImageResult] = {i: found(i) for i in "bcdefgh"}
    run = run_cycle("abcdefgh", replies_by_image({"a": NOT_FOUND, **table}))
    assert run.outcome_names["a"] == "gone"
    assert requests_of(run) - len("abcdefgh") <= 20


def test_evidence_is_gathered_in_few_round_trips() -> None:
    """A right 404 is confirmed by as many requests at once as there were 404s before."""
    pacing = CyclePacing(interval=60.0, timeout=10.0, concurrency=16)
    run = run_cycle("ab", replies_by_image({"a": NOT_FOUND, "b": found("b")}), pacing=pacing)
    times = [now for now, request in run.sent if request.kind is RequestKind.RECHECK]
    assert len(set(times)) == 2
    assert run.now - START < 0.1


def test_probe_without_its_control_is_not_conclusive() -> None:
    """The control is 404 too, so the server of that connection knows no image."""
    answers: Iterator[ImageResult] = itertools.cycle([found("b"), found("b"), NOT_FOUND])

    def respond(request: PollRequest, _: float) -> ImageResult:
        if image_id_of(request) == "a":
            return NOT_FOUND
        return next(answers) if request.kind is RequestKind.PROBE else found("b")

    run = run_cycle(
        "ab", respond, history=CycleHistory(any_found=True, existing=AB, suspicions=waiting("a"))
    )
    assert run.outcome_names == {"a": "gone", "b": "found"}
    assert evidence(run, "a").probes == 6
    assert run.ids_requested(RequestKind.PROBE).count("a") > 6


def test_image_found_by_a_probe_is_not_gone() -> None:
    def respond(request: PollRequest, _: float) -> ImageResult:
        if image_id_of(request) == "a" and request.kind is not RequestKind.PROBE:
            return NOT_FOUND
        return found(image_id_of(request))

    run = run_cycle("ab", respond, history=CycleHistory(any_found=True, existing=AB))
    assert run.outcome_names == {"a": "found", "b": "found"}
    assert [c.kind for c in run.contradictions] == [ContradictionKind.NOT_FOUND]


def test_contradiction_raises_the_evidence_that_later_404s_need() -> None:
    first: Iterator[ImageResult] = iter([NOT_FOUND, NOT_FOUND, found("a")])
    before = CycleHistory(any_found=True, existing=AB)
    run = run_cycle(
        "ab",
        lambda request, _: next(first, found("a")) if image_id_of(request) == "a" else found("b"),
        history=before,
    )
    assert run.outcome_names == {"a": "found", "b": "found"}
    assert run.cycle.history().contradictions.longest_run == 2
    history = run.next_history(before)
    missing = replies_by_image({"a": NOT_FOUND, "b": found("b")})
    second = run_cycle("ab", missing, history=history)
    assert second.outcome_names == {"a": "unconfirmed", "b": "found"}
    assert len(second.ids_requested(RequestKind.RECHECK)) == 20
    assert len(second.ids_requested(RequestKind.PROBE)) == 6
    third = run_cycle("ab", missing, history=second.next_history(history))
    assert third.outcome_names == {"a": "gone", "b": "found"}
    assert evidence(third, "a").cycles == 2


def test_image_found_between_two_cycles_starts_its_evidence_again() -> None:
    distrust = ContradictionMemory(until=1e9)
    history = CycleHistory(any_found=True, existing=AB, contradictions=distrust)
    for reply, expected in (
        (NOT_FOUND, "unconfirmed"),
        (found("a"), "found"),
        (NOT_FOUND, "unconfirmed"),
        (NOT_FOUND, "gone"),
    ):
        run = run_cycle("ab", replies_by_image({"a": reply, "b": found("b")}), history=history)
        assert run.outcome_names["a"] == expected
        history = run.next_history(history)


def test_incomplete_cycle_ends_the_agreement_of_two_cycles() -> None:
    """The image may have been created again and lost by one server in between."""
    distrust = ContradictionMemory(until=1e9)
    history = CycleHistory(any_found=True, existing=AB, contradictions=distrust)
    missing = replies_by_image({"a": NOT_FOUND, "b": found("b")})
    no_control = replies_by_image({"a": NOT_FOUND, "b": failed("forbidden")}, failed("forbidden"))
    names = []
    for respond in (missing, no_control, missing, missing):
        run = run_cycle("ab", respond, history=history)
        names.append(run.outcome_names["a"])
        history = run.next_history(history)
    assert names == ["unconfirmed", "unconfirmed", "unconfirmed", "gone"]


def test_image_that_may_have_been_created_meanwhile_is_no_contradiction() -> None:
    """It was never seen before, or its times show that it is newer than the 404."""
    answers: Iterator[ImageResult] = iter([NOT_FOUND])
    run = run_cycle("a", lambda *_: next(answers, found("a")))
    assert (run.outcome_names, run.contradictions) == ({"a": "found"}, [])
    created = Found(Image("v2", "a", "queued", created_at=START + 5000.0))
    history = CycleHistory(
        existing=frozenset("a"),
        seen={"a": Image("v2", "a", "active", created_at=1.0)},
        service_clock=5000.0,
    )
    answers = iter([NOT_FOUND])
    run = run_cycle("a", lambda *_: next(answers, created), history=history)
    assert (run.outcome_names, run.contradictions) == ({"a": "found"}, [])


def test_server_that_refuses_requests_does_not_end_the_search_for_evidence() -> None:
    """One of three servers has another policy."""
    answers: Iterator[ImageResult] = itertools.cycle([NOT_FOUND, NOT_FOUND, failed("forbidden")])
    run = run_cycle(
        "ab", lambda request, _: next(answers) if image_id_of(request) == "a" else found("b")
    )
    assert run.outcome_names == {"a": "gone", "b": "found"}


def test_images_known_to_be_gone_do_not_weaken_the_evidence_for_another() -> None:
    ids = ["a", *(f"gone-{number}" for number in range(160))]
    history = CycleHistory(any_found=True, existing=frozenset("a"), gone=frozenset(ids[1:]))
    run = run_cycle(ids, replies_by_image(dict.fromkeys(ids, NOT_FOUND)), history=history)
    assert run.outcome_names["a"] == "gone"
    assert run.ids_requested(RequestKind.RECHECK).count("a") == USUAL.rechecks


def test_image_without_a_control_costs_few_requests_in_later_cycles() -> None:
    history = CycleHistory(any_found=True, existing=frozenset("a"))
    counts = []
    for _ in range(3):
        run = run_cycle(
            "a", replies_by_image({"a": NOT_FOUND}, failed("forbidden")), history=history
        )
        assert run.outcome_names == {"a": "unconfirmed"}
        counts.append(requests_of(run))
        history = run.next_history(history)
    assert counts[1] == counts[2] <= 8


def test_image_that_only_lists_have_does_not_raise_the_evidence_for_others() -> None:
    history = CycleHistory(any_found=True, existing=frozenset("a"))
    listed = FakeReply(None, listed_ids=("a",))
    for _ in range(4):
        run = run_cycle("a", replies_by_image({"a": NOT_FOUND}, listed), history=history)
        history = run.next_history(history)
        assert history.contradictions.longest_run == 1


def test_contradiction_is_forgotten_after_an_hour() -> None:
    run = run_cycle(
        "ab",
        replies_by_image({"a": NOT_FOUND, "b": found("b")}),
        history=CycleHistory(
            any_found=True, existing=AB, contradictions=ContradictionMemory(until=START - 1)
        ),
    )
    assert run.outcome_names["a"] == "gone"


def test_evidence_of_a_cycle_that_ended_too_soon_is_continued() -> None:
    """A slow API must not keep a deletion from ever being reported."""
    history = CycleHistory(any_found=True, existing=AB)
    table: dict[str, FakeReply | ImageResult] = {
        "a": FakeReply(NOT_FOUND, seconds=9.0),
        "b": FakeReply(found("b"), seconds=9.0),
    }
    names = []
    for _ in range(4):
        run = run_cycle("ab", replies_by_image(table), history=history)
        names.append(run.outcome_names["a"])
        history = run.next_history(history)
    assert names[0] == "unconfirmed"
    assert "gone" in names


def test_image_found_by_the_recheck_is_not_gone() -> None:
    first: Iterator[ImageResult] = iter([NOT_FOUND])
    run = run_cycle("a", lambda _request, _now: next(first, found("a")))
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
def test_404_is_unconfirmed_if_the_list_fails(list_reply: ImageResult) -> None:
    """The API is not reported as up either."""
    run = run_cycle("a", replies_by_image({"a": NOT_FOUND}, list_reply))
    assert run.outcome_names == {"a": "unconfirmed"}
    assert "nothing proves" in detail(run.outcomes["a"])
    assert not run.cycle.stats.accepted


def test_probe_is_sent_again_with_backoff_after_a_transient_failure() -> None:
    replies: Iterator[FakeReply | ImageResult] = iter([failed("server_error")])
    pacing = CyclePacing(interval=60.0, timeout=10.0, concurrency=1)
    run = run_cycle(
        "a",
        lambda request, _now: NOT_FOUND if image_id_of(request) else next(replies, LIST_OK),
        history=FOUND_BEFORE,
        random=1.0,
        pacing=pacing,
    )
    assert run.outcome_names == {"a": "gone"}
    assert run.cycle.stats.retries == 1
    assert run.now - START > 0.5


@pytest.mark.parametrize("reason", ["server_error", "forbidden", "malformed"])
def test_failing_list_is_requested_a_bounded_number_of_times(reason: Reason) -> None:
    """The number does not depend on the number of 404s that wait for it."""
    run = run_cycle(
        "abcdefgh", replies_by_image(dict.fromkeys("abcdefgh", NOT_FOUND), failed(reason))
    )
    assert set(run.outcome_names.values()) == {"unconfirmed"}
    assert len(run.ids_requested(RequestKind.PROBE)) <= 12


def test_failed_recheck_leaves_the_404_unconfirmed() -> None:
    recheck = failed("forbidden")
    run = run_cycle(
        "a", lambda request, _now: recheck if request.kind is RequestKind.RECHECK else NOT_FOUND
    )
    assert run.outcome_names == {"a": "unconfirmed"}
    assert "recheck failed: forbidden" in detail(run.outcomes["a"])


@pytest.mark.parametrize(
    ("recheck", "list_reply", "expected"),
    [
        (NOT_FOUND, failed("forbidden"), "nothing proves that the API responds"),
        (failed("forbidden"), LIST_OK, "the recheck failed: forbidden"),
        (FakeReply(NOT_FOUND, seconds=100.0), LIST_OK, "the cycle ended before it could be proved"),
        (NOT_FOUND, FakeReply(None, seconds=100.0), "the cycle ended before it could be proved"),
        (FakeReply(NOT_FOUND, seconds=55.0), LIST_OK, "the cycle ended before it could be proved"),
        (
            FakeReply(NOT_FOUND, retry_after=300.0),
            LIST_OK,
            "the cycle ended before it could be proved",
        ),
    ],
    ids=[
        "list failed",
        "recheck failed",
        "recheck hangs",
        "list hangs",
        "no time for the list",
        "Retry-After until the next cycle",
    ],
)
def test_unconfirmed_names_the_missing_evidence(
    recheck: FakeReply | ImageResult, list_reply: FakeReply | ImageResult, expected: str
) -> None:
    replies = {RequestKind.LIST: list_reply, RequestKind.RECHECK: recheck}
    run = run_cycle("a", lambda request, _now: replies.get(request.kind, NOT_FOUND))
    assert run.outcome_names == {"a": "unconfirmed"}
    assert expected in detail(run.outcomes["a"])


def test_recheck_is_retried_after_a_transient_failure() -> None:
    answers: Iterator[ImageResult] = iter([failed("timeout")])

    def respond(request: PollRequest, _: float) -> FakeReply | ImageResult:
        if request.kind is RequestKind.RECHECK:
            return next(answers, NOT_FOUND)
        return NOT_FOUND if image_id_of(request) else LIST_OK

    assert run_cycle("a", respond, history=FOUND_BEFORE).outcome_names == {"a": "gone"}


def test_gone_image_stays_gone_without_a_new_proof() -> None:
    run = run_cycle(
        "a",
        replies_by_image({"a": NOT_FOUND}, NOT_FOUND),
        history=CycleHistory(gone=frozenset("a")),
    )
    assert run.outcome_names == {"a": "gone"}
    assert run.ids_requested(RequestKind.RECHECK) == []
    assert not run.cycle.stats.accepted


def test_list_shows_if_the_api_works_when_all_images_were_gone() -> None:
    run = run_cycle(
        "ab", replies_by_image({"a": NOT_FOUND, "b": NOT_FOUND}), history=CycleHistory(gone=AB)
    )
    assert run.ids_requested(RequestKind.LIST) == [""]
    assert run.cycle.stats.accepted


def test_image_found_deleted_is_a_proof() -> None:
    """An administrator still sees deleted images."""
    deleted = found("b", status="deleted")
    run = run_cycle(
        "ab",
        replies_by_image({"a": NOT_FOUND, "b": deleted}, NOT_FOUND),
        history=CycleHistory(any_found=True, existing=AB),
    )
    assert run.outcome_names == {"a": "gone", "b": "found"}


def test_404_late_in_the_cycle_is_unconfirmed() -> None:
    run = run_cycle("a", replies_by_image({"a": FakeReply(NOT_FOUND, seconds=55.0)}))
    assert run.outcome_names == {"a": "unconfirmed"}
    assert run.ids_requested(RequestKind.RECHECK) == []


def test_no_image_is_gone_while_the_api_responds_404_to_everything() -> None:
    history = CycleHistory(any_found=True, existing=frozenset("abc"))
    for _ in range(50):
        run = run_cycle(
            "abc", replies_by_image(dict.fromkeys("abc", NOT_FOUND), NOT_FOUND), history=history
        )
        assert set(run.outcome_names.values()) == {"unconfirmed"}
        assert not run.cycle.stats.accepted
        history = run.next_history(history)
    assert history.existing == frozenset("abc")
