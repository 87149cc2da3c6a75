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
def test_breaker_opens_after_failures_in_a_row(concurrency: int, failures: int) -> None:
    breaker = CircuitBreaker(concurrency, is_open=False)
    for _ in range(failures - 1):
        breaker.record_failure("timeout")
    assert not breaker.is_open
    breaker.record_failure("server_error")
    assert breaker.is_open


@pytest.mark.parametrize("reason", ["forbidden", "unauthorized", "malformed", "rate_limited"])
def test_breaker_closes_at_any_response_but_a_5xx(reason: Reason) -> None:
    breaker = CircuitBreaker(1, is_open=True)
    breaker.record_failure(reason)
    assert not breaker.is_open
    for _ in range(9):
        breaker.record_failure("timeout")
    assert not breaker.is_open


@pytest.mark.parametrize("reason", sorted(NEUTRAL))
def test_neutral_failures_do_not_change_the_breaker(reason: Reason) -> None:
    shut, wide = CircuitBreaker(1, is_open=False), CircuitBreaker(1, is_open=True)
    for _ in range(100):
        shut.record_failure(reason)
        wide.record_failure(reason)
    assert (shut.is_open, wide.is_open) == (False, True)


@pytest.mark.parametrize("reason", sorted(BREAKING))
def test_open_breaker_stops_the_cycle(reason: Reason) -> None:
    run = run_cycle(IDS, replies_by_image(dict.fromkeys(IDS, failed(reason)), failed(reason)))
    assert run.cycle.breaker_open
    assert set(run.outcome_names.values()) == {reason, "not_polled"}
    assert len(run.sent) <= 10 + PACING.concurrency


def test_each_cycle_probes_another_image() -> None:
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


@pytest.mark.parametrize("reply", [found(IDS[0]), NOT_FOUND, failed("forbidden")])
def test_polls_resume_spread_after_a_probe_succeeded(reply: ImageResult) -> None:
    first = iter([reply])

    def respond(request: PollRequest, _: float) -> FakeReply | ImageResult:
        return next(first, None) or found(image_id_of(request))

    history = CycleHistory(existing=frozenset(IDS), breaker_open=True)
    run = run_cycle(IDS, respond, history=history)
    assert not run.cycle.breaker_open
    assert [image_id for image_id, said in run.outcome_names.items() if said != "found"] in (
        [],
        [IDS[0]],
    )
    polls = sorted(now for now, request in run.sent if request.kind is RequestKind.POLL)[1:]
    gaps = [after - before for before, after in itertools.pairwise(polls)]
    assert min(gaps) > 0.5
    assert polls[-1] > START + 30.0


def test_response_in_flight_closes_the_breaker() -> None:
    slow = FakeReply(found("slow"), seconds=3.0)

    def respond(request: PollRequest, now: float) -> FakeReply | ImageResult:
        if image_id_of(request) == "slow":
            return slow
        return failed("timeout") if now < START + 3.0 else found(image_id_of(request))

    run = run_cycle(["slow", *IDS], respond, random=0.1)
    assert not run.cycle.breaker_open
    words = list(run.outcome_names.values())
    assert words.count("timeout") <= 10 + PACING.concurrency
    assert words.count("found") == len(words) - words.count("timeout")


def test_404s_are_unconfirmed_when_the_breaker_opens() -> None:

    def respond(request: PollRequest, _: float) -> FakeReply | ImageResult:
        if image_id_of(request) == IDS[0]:
            return (
                FakeReply(NOT_FOUND, seconds=0.001)
                if request.kind is RequestKind.POLL
                else FakeReply(NOT_FOUND, 5.0)
            )
        return failed("connection")

    run = run_cycle(IDS, respond)
    assert run.outcome_names[IDS[0]] == "unconfirmed"
    assert "gone" not in run.outcome_names.values()


def test_probe_waits_for_retry_after() -> None:
    history = CycleHistory(existing=frozenset("ab"), breaker_open=True, wait_until=START + 7.0)
    run = run_cycle("ab", replies_in_order(failed("timeout")), history=history)
    assert [now for now, _ in run.sent] == [START + 7.0]
