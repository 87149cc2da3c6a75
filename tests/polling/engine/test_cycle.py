import itertools

import pytest

from exporter.model.outcome import Failed, ImageResult, Reason
from exporter.model.replies import BatchReply, ImageReply, ListReply, ProbeReply, RequestFacts
from exporter.polling.engine.cycle import Cycle
from exporter.polling.engine.pacing import CyclePacing
from exporter.polling.engine.types import (
    CycleHistory,
    Done,
    PollRequest,
    RequestKind,
    Wait,
    failed_reply,
)
from tests.support.simulated_cycle import (
    FOUND_BEFORE,
    NOT_FOUND,
    PACING,
    START,
    FakeReply,
    SimulatedCycle,
    failed,
    found,
    image_id_of,
    outcome_name,
    replies_by_image,
    replies_in_order,
    run_cycle,
    targets,
)

IDS = [f"image-{number}" for number in range(20)]


def all_found(request: PollRequest, _: float) -> ImageResult:
    """Reply that the image exists."""
    return found(image_id_of(request))


def test_quiet_cycle_is_one_request_per_image() -> None:
    run = run_cycle(IDS, all_found)
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    stats = run.cycle.stats
    assert (stats.polls, stats.found, stats.requests, stats.retries) == (20, 20, 20, 0)
    assert stats.failures.total() == 0
    assert stats.accepted
    assert stats.busy_seconds == pytest.approx(20 * 0.01)


@pytest.mark.parametrize("is_open", [False, True])
def test_cycle_without_images_requests_the_list_for_api_up(is_open: bool) -> None:
    run = run_cycle([], replies_by_image({}), history=CycleHistory(breaker_open=is_open))
    assert [request.kind for _, request in run.sent] == [RequestKind.LIST]
    assert run.cycle.stats.accepted
    assert not run.cycle.breaker_open
    down = run_cycle(
        [], replies_in_order(failed("server_error")), history=CycleHistory(breaker_open=is_open)
    )
    assert not down.cycle.stats.accepted
    assert down.cycle.breaker_open == is_open


def test_requests_in_flight_are_limited_by_the_concurrency() -> None:
    run = run_cycle(IDS, lambda request, now: FakeReply(all_found(request, now), seconds=1.0))
    assert run.most_in_flight == PACING.concurrency
    assert run.now == START + 5.0


@pytest.mark.parametrize("reason", ["connection", "timeout", "server_error", "rate_limited"])
def test_transient_failure_is_retried(reason: Reason) -> None:
    run = run_cycle("a", replies_in_order(failed(reason), failed(reason), found("a")))
    assert run.outcome_names == {"a": "found"}
    assert run.cycle.stats.retries == 2
    assert run.cycle.stats.polls == 1


@pytest.mark.parametrize("reason", ["connection", "timeout", "server_error", "rate_limited"])
def test_retries_are_bounded(reason: Reason) -> None:
    run = run_cycle("a", replies_in_order(failed(reason)))
    assert run.outcome_names == {"a": reason}
    assert len(run.sent) == 3
    assert run.cycle.stats.failures == {reason: 1}


@pytest.mark.parametrize(
    "reason",
    ["tls", "unauthorized", "forbidden", "api_version", "rejected", "malformed", "internal"],
)
def test_permanent_failure_is_not_retried(reason: Reason) -> None:
    run = run_cycle("a", replies_in_order(failed(reason)))
    assert run.outcome_names == {"a": reason}
    assert len(run.sent) == 1


def test_retries_back_off_exponentially_with_jitter() -> None:
    for random in (0.0, 0.5, 1.0):
        run = run_cycle("a", replies_in_order(failed("timeout")), random=random)
        times = [now for now, _ in run.sent]
        waits = [after - before - 0.01 for before, after in itertools.pairwise(times)]
        assert waits == pytest.approx([0.5 * random, 1.0 * random])


def test_no_retry_is_sent_near_the_end_of_the_cycle() -> None:
    run = run_cycle(
        "a", replies_in_order(FakeReply(failed("server_error"), seconds=53.9)), random=1.0
    )
    assert run.outcome_names == {"a": "server_error"}
    assert len(run.sent) == 1


def test_retry_after_delays_all_requests_of_the_cloud() -> None:
    slow_down = FakeReply(failed("rate_limited"), retry_after=20.0)
    pacing = CyclePacing(interval=60.0, timeout=10.0, concurrency=1)
    first = [True]

    def respond(request: PollRequest, now: float) -> FakeReply | ImageResult:
        if first.pop() if first else False:
            return slow_down
        return all_found(request, now)

    run = run_cycle(IDS, respond, pacing=pacing)
    assert set(run.outcome_names.values()) == {"found"}
    assert run.sent[1][0] == pytest.approx(START + 20.01)
    assert run.cycle.stats.retry_after_seconds == pytest.approx(20.0)


def test_overlapping_waits_are_not_added_up() -> None:
    first = iter(
        [
            FakeReply(failed("rate_limited"), retry_after=10.0),
            FakeReply(failed("rate_limited"), retry_after=20.0),
        ]
    )
    run = run_cycle("ab", lambda request, now: next(first, None) or all_found(request, now))
    assert run.cycle.stats.retry_after_seconds == pytest.approx(20.0)
    assert run.cycle.wait_until == pytest.approx(START + 20.01)


def test_retry_after_longer_than_the_cycle_ends_it() -> None:
    pacing = CyclePacing(interval=60.0, timeout=10.0, concurrency=1)
    run = run_cycle(
        "abc", replies_in_order(FakeReply(failed("rate_limited"), retry_after=300.0)), pacing=pacing
    )
    assert run.outcome_names == {"a": "rate_limited", "b": "not_polled", "c": "not_polled"}
    assert run.now < START + 1.0
    late = run_cycle("abc", all_found, history=run.next_history(CycleHistory()), start=START + 60.0)
    assert set(late.outcome_names.values()) == {"not_polled"}
    assert late.sent == []
    assert not late.cycle.breaker_open


def test_retry_after_of_an_earlier_cycle_delays_requests() -> None:
    history = CycleHistory(immediate=frozenset("a"), wait_until=START + 30.0)
    run = run_cycle("a", all_found, history=history)
    assert run.sent[0][0] == START + 30.0


def test_retry_after_ends_a_cycle_that_would_request_the_list() -> None:
    table: dict[str, FakeReply | ImageResult] = {
        "a": NOT_FOUND,
        "b": FakeReply(failed("server_error"), retry_after=300.0),
    }
    run = run_cycle(
        "ab",
        replies_by_image(table),
        history=CycleHistory(gone=frozenset("a"), immediate=frozenset("ab")),
    )
    assert run.outcome_names == {"a": "gone", "b": "server_error"}
    assert run.ids_requested(RequestKind.LIST) == []


def test_polls_are_spread_over_the_interval() -> None:
    """They are even over 80 % of it, with the same offset of each image in every cycle."""
    run = run_cycle(IDS, all_found, history=CycleHistory(existing=frozenset(IDS)))
    times = {image_id_of(request): now for now, request in run.sent if image_id_of(request)}
    assert [times[image_id] for image_id in IDS] == pytest.approx(
        [START + place * 0.8 * 60 / 20 for place in range(20)]
    )


def test_new_images_are_polled_at_once_and_others_at_their_offset() -> None:
    run = run_cycle(
        "ab",
        all_found,
        history=CycleHistory(existing=frozenset("a"), immediate=frozenset("b")),
    )
    assert [now for now, _ in run.sent] == [START, START]
    run = run_cycle(
        "ab",
        all_found,
        history=CycleHistory(existing=frozenset("b"), immediate=frozenset("a")),
    )
    assert [now for now, _ in run.sent] == [START, START + 24.0]


def test_every_image_has_one_outcome_at_the_end() -> None:
    hang = FakeReply(found("x"), seconds=1000.0)
    pacing = CyclePacing(interval=60.0, timeout=10.0, concurrency=2)
    run = run_cycle("abcd", replies_in_order(hang, hang), pacing=pacing)
    assert run.outcome_names == {
        "a": "timeout",
        "b": "timeout",
        "c": "not_polled",
        "d": "not_polled",
    }
    assert run.now == START + 60.0
    assert run.cycle.next(run.now) == Done()


def test_pending_retry_at_the_end_keeps_the_failure() -> None:
    run = run_cycle(
        "ab",
        replies_by_image({"a": failed("connection"), "b": FakeReply(found("b"), seconds=80)}),
        random=1.0,
    )
    assert run.outcome_names == {"a": "connection", "b": "timeout"}
    cycle = Cycle(targets("a"), CycleHistory(immediate=frozenset("a")), PACING, START, lambda: 1.0)
    request = cycle.next(START)
    assert isinstance(request, PollRequest)
    cycle.on_reply(
        request, FakeReply(failed("connection")).reply(request.kind, START), START + 0.01
    )
    assert isinstance(cycle.next(START + 0.01), Wait)
    cycle.close()
    assert [outcome for _, outcome in cycle.results.take_outcomes()] == [failed("connection")]


def test_late_replies_are_ignored() -> None:
    cycle = Cycle(targets("a"), CycleHistory(immediate=frozenset("a")), PACING, START, lambda: 0.5)
    request = cycle.next(START)
    assert isinstance(request, PollRequest)
    cycle.close()
    cycle.close()
    cycle.on_reply(request, FakeReply(found("a")).reply(request.kind, START), START + 61.0)
    assert [outcome for _, outcome in cycle.results.take_outcomes()] == [
        Failed("timeout", "no response before the cycle ended")
    ]


def test_recheck_that_hangs_leaves_the_404_unconfirmed() -> None:
    run = run_cycle(
        "a",
        lambda request, _now: (
            FakeReply(NOT_FOUND, seconds=100.0)
            if request.kind is RequestKind.RECHECK
            else NOT_FOUND
        ),
    )
    assert run.outcome_names == {"a": "unconfirmed"}


def test_found_image_is_retracted_once() -> None:
    run = run_cycle("ab", all_found)
    run.retract("a")
    run.retract("a")
    failed = Failed("malformed", "stray bytes followed the response")
    assert run.retracted == [(targets("a")[0], failed)]
    assert len(run.results) == 2
    assert run.cycle.stats.polls == 2
    assert run.cycle.stats.failures == {"malformed": 1}


def test_gone_image_is_retracted_and_failed_polls_are_not() -> None:
    replies = replies_by_image({"a": NOT_FOUND, "b": failed("forbidden")})
    run = run_cycle("ab", replies, history=FOUND_BEFORE)
    assert run.outcome_names == {"a": "gone", "b": "forbidden"}
    for image_id in ("a", "b", "c"):
        run.retract(image_id)
    assert run.outcome_names == {"a": "malformed", "b": "forbidden"}
    assert len(run.results) == 2
    assert len(run.retracted) == 1


def test_404_is_retracted_before_it_is_confirmed() -> None:
    cycle = Cycle(
        targets("a"),
        CycleHistory(existing=frozenset("a")),
        PACING,
        START,
        lambda: 0.5,
    )
    poll = cycle.next(START)
    assert isinstance(poll, PollRequest)
    cycle.on_reply(poll, FakeReply(NOT_FOUND).reply(poll.kind, START), START)
    recheck = cycle.next(START)
    assert isinstance(recheck, PollRequest)
    assert recheck.kind is RequestKind.RECHECK
    cycle.retract("a")
    cycle.on_reply(recheck, FakeReply(NOT_FOUND).reply(recheck.kind, START + 1), START + 1)
    assert [outcome for _, outcome in cycle.results.take_outcomes()] == [
        Failed("malformed", "stray bytes followed the response")
    ]


def test_image_that_is_added_again_after_a_retraction_is_rechecked() -> None:
    """Two reloads in one cycle remove an image and add it again."""
    cycle = Cycle(
        targets("a"),
        CycleHistory(existing=frozenset("ab")),
        PACING,
        START,
        lambda: 0.5,
    )
    poll = cycle.next(START)
    assert isinstance(poll, PollRequest)
    cycle.on_reply(poll, FakeReply(found("a")).reply(poll.kind, START), START)
    cycle.retract("a")
    assert cycle.add([tuple(targets("a"))], START)
    poll = cycle.next(START)
    assert isinstance(poll, PollRequest)
    cycle.on_reply(poll, FakeReply(NOT_FOUND).reply(poll.kind, START), START)
    recheck = cycle.next(START)
    assert isinstance(recheck, PollRequest)
    assert recheck.kind is RequestKind.RECHECK


def test_gone_image_that_is_added_again_needs_a_proof() -> None:
    """It may have been created again in between, so one 404 of a faulty server is not enough."""
    history = CycleHistory(gone=frozenset("a"), existing=frozenset("b"))
    cycle = Cycle(targets("a", "b"), history, PACING, START, lambda: 0.5)
    assert cycle.add([tuple(targets("a"))], START)
    poll = cycle.next(START)
    assert isinstance(poll, PollRequest)
    cycle.on_reply(poll, FakeReply(NOT_FOUND).reply(poll.kind, START), START)
    assert cycle.results.take_outcomes() == []


def test_next_returns_a_wait_until_the_next_request_is_due() -> None:
    cycle = Cycle(
        targets("a", "b"), CycleHistory(immediate=frozenset("a")), PACING, START, lambda: 0.5
    )
    assert isinstance(cycle.next(START), PollRequest)
    assert cycle.next(START) == Wait(START + 24.0)
    assert isinstance(cycle.next(START + 24.0), PollRequest)
    waiting = Cycle(
        targets("a"),
        CycleHistory(immediate=frozenset("a"), wait_until=START + 1),
        PACING,
        START,
        lambda: 0.5,
    )
    assert waiting.next(START) == Wait(START + 1)
    assert isinstance(waiting.next(START + 1), PollRequest)


def test_late_cycle_catches_up_and_keeps_the_other_offsets() -> None:
    cycle = Cycle(
        targets(*IDS),
        CycleHistory(existing=frozenset(IDS)),
        PACING,
        START,
        lambda: 0.5,
    )
    run = SimulatedCycle(cycle, all_found, now=START + 12.0).run()
    assert set(run.outcome_names.values()) == {"found"}
    assert sum(now < START + 12.1 for now, _ in run.sent) == 6
    assert run.sent[-1][0] == pytest.approx(START + 0.8 * 60 * 19 / 20)


def test_404_of_a_retracted_image_is_not_rechecked() -> None:
    """Its connection was found to be out of step before its reply was taken."""
    cycle = Cycle(
        targets("a"),
        CycleHistory(existing=frozenset("a")),
        PACING,
        START,
        lambda: 0.5,
    )
    poll = cycle.next(START)
    assert isinstance(poll, PollRequest)
    cycle.retract("a")
    cycle.on_reply(poll, FakeReply(NOT_FOUND).reply(poll.kind, START), START)
    following = cycle.next(START)
    assert isinstance(following, PollRequest)
    assert following.kind is RequestKind.LIST
    assert [outcome_name(outcome) for _, outcome in cycle.results.take_outcomes()] == ["malformed"]


def test_added_images_are_polled_in_the_current_cycle() -> None:
    cycle = Cycle(targets("a"), CycleHistory(immediate=frozenset("a")), PACING, START, lambda: 0.5)
    assert cycle.add([tuple(targets("b"))], START)
    run = SimulatedCycle(cycle, all_found).run()
    assert run.outcome_names == {"a": "found", "b": "found"}
    assert not cycle.add([tuple(targets("c"))], START + 1.0)


def test_added_images_are_not_polled_while_the_breaker_is_open() -> None:
    history = CycleHistory(existing=frozenset("a"), breaker_open=True)
    cycle = Cycle(targets("a"), history, PACING, START, lambda: 0.5)
    assert cycle.add([tuple(targets("b"))], START)
    run = SimulatedCycle(cycle, replies_in_order(failed("timeout"))).run()
    assert run.outcome_names == {"a": "timeout", "b": "not_polled"}


@pytest.mark.parametrize("kind", RequestKind)
def test_failed_reply_has_the_type_of_its_kind(kind: RequestKind) -> None:
    facts = RequestFacts(START, START + 1.0)
    reply = failed_reply(PollRequest(kind), failed("internal"), facts)
    assert (reply.facts, reply.failure) == (facts, failed("internal"))
    expected = {
        RequestKind.BATCH: BatchReply,
        RequestKind.LIST: ListReply,
        RequestKind.PROBE: ProbeReply,
    }
    assert type(reply) is expected.get(kind, ImageReply)


@pytest.mark.parametrize(
    "later",
    [FakeReply(found("b"), 0.5), FakeReply(failed("rate_limited"), 0.5, retry_after=1.0)],
    ids=["a response that was in flight", "a shorter wait"],
)
def test_maintenance_lasts_until_its_wait_is_over(later: FakeReply) -> None:
    maintenance = FakeReply(failed("server_error"), 0.01, 3600.0, is_unavailable=True)
    replies = {"a": maintenance, "b": later}
    history = CycleHistory(immediate=frozenset("ab"))
    run = run_cycle("ab", lambda request, _: replies[image_id_of(request)], history=history)
    assert run.cycle.unavailable
    assert run.cycle.wait_until > START + 3000.0


def test_wait_for_a_rate_limit_is_not_maintenance() -> None:
    limit = FakeReply(failed("rate_limited"), 0.01, 3600.0)
    short = FakeReply(failed("server_error"), 0.5, 1.0, is_unavailable=True)
    replies = {"a": limit, "b": short}
    history = CycleHistory(immediate=frozenset("ab"))
    run = run_cycle("ab", lambda request, _: replies[image_id_of(request)], history=history)
    assert not run.cycle.unavailable


def test_evidence_and_polls_take_turns() -> None:
    """Many deleted images must not keep living ones from being polled."""
    ids = [f"image-{number}" for number in range(40)]
    replies: dict[str, FakeReply | ImageResult] = {
        i: FakeReply(NOT_FOUND if n < 10 else found(i), 0.25) for n, i in enumerate(ids)
    }
    pacing = CyclePacing(interval=30.0, timeout=10.0, concurrency=1)
    run = run_cycle(ids, replies_by_image(replies), pacing=pacing)
    found_ids = [i for i, name in run.outcome_names.items() if name == "found"]
    assert len(found_ids) == 30
