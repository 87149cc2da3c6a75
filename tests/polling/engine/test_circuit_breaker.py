import itertools

import pytest

from exporter.model.outcome import ImageResult, Reason
from exporter.polling.engine.circuit_breaker import BREAKING, NEUTRAL, CircuitBreaker
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind
from tests.support.simulated_cycle import (
    NOT_FOUND,
    PACING,
    START,
    FakeReply,
    failed,
    found,
    image_id_of,
    replies_by_image,
    replies_in_order,
    run_cycle,
)

IDS = [f"image-{number}" for number in range(40)]
LIVING = CycleHistory(existing=frozenset(IDS))


@pytest.mark.parametrize(("concurrency", "failures"), [(1, 10), (5, 10), (6, 12), (16, 32)])
def test_it_opens_after_so_many_failures_in_a_row(concurrency: int, failures: int) -> None:
    """Twice the concurrency, ten at the least."""
    breaker = CircuitBreaker(concurrency, is_open=False)
    for _ in range(failures - 1):
        breaker.record_failure("timeout")
    assert not breaker.is_open
    breaker.record_failure("server_error")
    assert breaker.is_open


@pytest.mark.parametrize("reason", ["forbidden", "unauthorized", "malformed", "rate_limited"])
def test_any_answer_closes_it(reason: Reason) -> None:
    """An answer that is not 5xx ends the streak, whatever it says."""
    breaker = CircuitBreaker(1, is_open=True)
    breaker.record_failure(reason)
    assert not breaker.is_open
    for _ in range(9):
        breaker.record_failure("timeout")
    assert not breaker.is_open


@pytest.mark.parametrize("reason", sorted(NEUTRAL))
def test_what_was_not_asked_says_nothing(reason: Reason) -> None:
    """It neither opens the breaker nor closes it."""
    shut, wide = CircuitBreaker(1, is_open=False), CircuitBreaker(1, is_open=True)
    for _ in range(100):
        shut.record_failure(reason)
        wide.record_failure(reason)
    assert (shut.is_open, wide.is_open) == (False, True)


@pytest.mark.parametrize("reason", sorted(BREAKING))
def test_a_cycle_stops_asking_an_api_that_does_not_answer(reason: Reason) -> None:
    """After ten failures the rest is not polled, and what failed keeps its reason."""
    run = run_cycle(IDS, replies_by_image(dict.fromkeys(IDS, failed(reason)), failed(reason)))
    assert run.cycle.breaker_open
    assert set(run.outcome_names.values()) == {reason, "not_polled"}
    assert len(run.sent) <= 10 + PACING.concurrency


def test_one_probe_a_cycle_goes_round_the_images() -> None:
    """While it is open a different image is asked in each cycle, once."""
    history = CycleHistory(existing=frozenset("abc"), breaker_open=True, probe_count=1)
    probes = []
    for _ in range(6):
        run = run_cycle("abc", replies_in_order(failed("timeout")), history=history)
        assert sorted(run.outcome_names.values()) == ["not_polled", "not_polled", "timeout"]
        assert run.cycle.breaker_open
        assert len(run.sent) == 1
        probes += run.ids_requested(RequestKind.POLL)
        history = run.next_history(history)
    assert set(probes[:3]) == set("abc")
    assert probes[:3] == probes[3:]


@pytest.mark.parametrize("answer", [found(IDS[0]), NOT_FOUND, failed("forbidden")])
def test_the_probe_that_is_answered_closes_it_and_all_resume_spread(answer: ImageResult) -> None:
    """The rest of the images follow over the rest of the time, not all at once."""
    first = iter([answer])

    def answers(request: PollRequest, _: float) -> FakeReply | ImageResult:
        return next(first, None) or found(image_id_of(request))

    history = CycleHistory(existing=frozenset(IDS), breaker_open=True)
    run = run_cycle(IDS, answers, history=history)
    assert not run.cycle.breaker_open
    assert [each for each, said in run.outcome_names.items() if said != "found"] in ([], [IDS[0]])
    polls = sorted(now for now, request in run.sent if request.kind is RequestKind.POLL)[1:]
    gaps = [after - before for before, after in itertools.pairwise(polls)]
    assert min(gaps) > 0.5
    assert polls[-1] > START + 30.0


def test_an_answer_on_its_way_closes_it_within_the_cycle() -> None:
    """A request that was in flight when it opened can close it, and the rest is asked."""
    slow = FakeReply(found("slow"), seconds=3.0)

    def answers(request: PollRequest, now: float) -> FakeReply | ImageResult:
        if image_id_of(request) == "slow":
            return slow
        return failed("timeout") if now < START + 3.0 else found(image_id_of(request))

    run = run_cycle(["slow", *IDS], answers, random=0.1)
    assert not run.cycle.breaker_open
    words = list(run.outcome_names.values())
    assert words.count("timeout") <= 10 + PACING.concurrency
    assert words.count("found") == len(words) - words.count("timeout")


def test_404s_that_wait_for_their_proof_are_unconfirmed_when_it_opens() -> None:
    """With the breaker open nothing more is asked, the list neither."""

    def answers(request: PollRequest, _: float) -> FakeReply | ImageResult:
        if image_id_of(request) == IDS[0]:
            return (
                FakeReply(NOT_FOUND, seconds=0.001)
                if request.kind is RequestKind.POLL
                else FakeReply(NOT_FOUND, 5.0)
            )
        return failed("connection")

    run = run_cycle(IDS, answers)
    assert run.outcome_names[IDS[0]] == "unconfirmed"
    assert "gone" not in run.outcome_names.values()


def test_a_probe_keeps_to_the_wait_it_was_told() -> None:
    """Retry-After comes before the breaker's probe."""
    history = CycleHistory(existing=frozenset("ab"), breaker_open=True, wait_until=START + 7.0)
    run = run_cycle("ab", replies_in_order(failed("timeout")), history=history)
    assert [now for now, _ in run.sent] == [START + 7.0]
