"""Batches: images that lists have or lack, pages, retries and time."""

from collections import Counter
from dataclasses import replace

import pytest

from exporter.model.outcome import Failed, ImageResult, Reason
from exporter.polling.engine.batching.planner import MAX_PAGES
from exporter.polling.engine.contradictions import USUAL
from exporter.polling.engine.cycle import Cycle
from exporter.polling.engine.pacing import BATCH_WEIGHT, MAX_RETRIES
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind
from tests.polling.engine.batches import (
    IDS,
    ONE_AT_A_TIME,
    REFUSED,
    FakeCloud,
    list_sizes,
    requests_of,
    run_batches,
    with_list_reply,
)
from tests.support.simulated_cycle import (
    NOT_FOUND,
    PACING,
    START,
    FakeReply,
    batch_page,
    failed,
    found,
    outcome_name,
    targets,
)

# Images on lists


def test_existing_images_of_a_batch_take_one_request() -> None:
    run = run_batches(FakeCloud())
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert list_sizes(run) == [16]
    assert len(run.sent) == 1
    stats = run.cycle.stats
    assert (stats.polls, stats.found, stats.requests, stats.accepted) == (16, 16, 1, True)


def test_second_list_is_requested_for_missing_images_only() -> None:
    run = run_batches(FakeCloud(hidden=frozenset(IDS[3:7])))
    assert set(run.outcome_names.values()) == {"found"}
    first, second = requests_of(run, RequestKind.BATCH)
    assert (first.second_list, second.second_list) == (False, True)
    assert {target.image_id for target in second.targets} == set(IDS[3:7])
    assert len(run.sent) == 2


def test_image_in_no_list_is_requested_by_itself() -> None:
    run = run_batches(FakeCloud(unlisted=frozenset(IDS[:4])))
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert sorted(run.ids_requested(RequestKind.POLL)) == sorted(IDS[:4])
    assert len(run.sent) == 2 + 4


def test_single_remaining_image_needs_no_second_list() -> None:
    run = run_batches(FakeCloud(hidden=frozenset(IDS[:1])))
    assert set(run.outcome_names.values()) == {"found"}
    assert list_sizes(run) == [16]
    assert run.ids_requested(RequestKind.POLL) == [IDS[0]]


def test_image_missing_in_a_batch_needs_the_same_proof_as_by_v1() -> None:
    """A list without an image proves nothing about it."""
    gone = frozenset(IDS[:3])
    run = run_batches(
        FakeCloud(there=frozenset(IDS) - gone),
        history=CycleHistory(existing=frozenset(IDS)),
    )
    assert {
        image_id for image_id, outcome_name in run.outcome_names.items() if outcome_name == "gone"
    } == gone
    assert sorted(run.ids_requested(RequestKind.POLL)) == sorted(gone)
    assert set(run.ids_requested(RequestKind.RECHECK)) == gone
    assert len(run.sent) == 2 + 3 * (1 + USUAL.rechecks + USUAL.probes)


def test_image_missing_in_lists_but_found_by_the_recheck_is_not_gone() -> None:
    cloud = FakeCloud(unlisted=frozenset(IDS[:2]))

    def respond(request: PollRequest, now: float) -> FakeReply | ImageResult:
        return NOT_FOUND if request.kind is RequestKind.POLL else cloud(request, now)

    assert run_batches(respond).outcome_names == dict.fromkeys(IDS, "found")


def test_images_of_a_batch_are_the_controls() -> None:
    """No list is needed, although the API would refuse it."""
    gone = IDS[:4]
    cloud = FakeCloud(there=frozenset(IDS[4:]))

    def respond(request: PollRequest, now: float) -> FakeReply | ImageResult:
        return failed("forbidden") if request.kind is RequestKind.LIST else cloud(request, now)

    run = run_batches(respond, history=CycleHistory(existing=frozenset(IDS)))
    assert [run.outcome_names[image_id] for image_id in gone] == ["gone"] * 4
    controls = {request.control for request in requests_of(run, RequestKind.PROBE)}
    assert controls == set(IDS[4:])


def test_gone_image_takes_one_request() -> None:
    gone = IDS[0]
    run = run_batches(
        FakeCloud(there=frozenset(IDS[1:])),
        history=CycleHistory(existing=frozenset(IDS[1:]), gone=frozenset({gone})),
        batches=[IDS[1:], (gone,)],
    )
    assert run.outcome_names == {**dict.fromkeys(IDS, "found"), gone: "gone"}
    assert [request.kind for _, request in run.sent] == [RequestKind.BATCH, RequestKind.POLL]


def test_mass_404_in_batches_is_confirmed_in_the_second_cycle() -> None:
    nothing = FakeCloud(there=frozenset())
    history = CycleHistory(any_found=True, existing=frozenset(IDS))
    run = run_batches(nothing, history=history)
    assert set(run.outcome_names.values()) == {"unconfirmed"}
    rechecks = run_batches(nothing, history=run.next_history(history))
    assert set(rechecks.outcome_names.values()) == {"gone"}
    assert rechecks.cycle.doubts.gone.mass.has_disappeared


def test_malformed_entry_fails_its_own_image_only() -> None:
    spoiled = Failed("malformed", IDS[4])
    others = [found(image_id) for image_id in IDS if image_id != IDS[4]]
    run = run_batches(lambda *_: batch_page(spoiled, *others))
    assert run.outcome_names == {**dict.fromkeys(IDS, "found"), IDS[4]: "malformed"}
    assert len(run.sent) == 1


def test_listed_image_that_was_not_requested_is_ignored() -> None:
    run = run_batches(lambda *_: batch_page(found("stranger"), *map(found, IDS)))
    assert run.outcome_names == dict.fromkeys(IDS, "found")


# Pages


def test_pages_are_followed() -> None:

    def respond(request: PollRequest, _: float) -> FakeReply:
        start = int(request.page or "0")
        further = str(start + 4) if start + 4 < len(IDS) else None
        return batch_page(*map(found, IDS[start : start + 4]), next_path=further)

    run = run_batches(respond)
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert [request.page for _, request in run.sent] == [None, "4", "8", "12"]
    assert list_sizes(run) == [16, 12, 8, 4]


def test_number_of_pages_is_bounded() -> None:
    cloud = FakeCloud()

    def respond(request: PollRequest, now: float) -> FakeReply | ImageResult:
        if request.kind is not RequestKind.BATCH:
            return cloud(request, now)
        return batch_page(next_path=f"{request.page_number}")

    run = run_batches(respond)
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert len(list_sizes(run)) == 2 * (MAX_PAGES + 1)
    assert sorted(run.ids_requested(RequestKind.POLL)) == list(IDS)


def test_page_that_links_to_itself_is_the_last() -> None:
    cloud = FakeCloud()

    def respond(request: PollRequest, now: float) -> FakeReply | ImageResult:
        return (
            batch_page(next_path="again")
            if request.kind is RequestKind.BATCH
            else cloud(request, now)
        )

    run = run_batches(respond)
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert len(list_sizes(run)) == 4


# Time, retries, the breaker


@pytest.mark.parametrize("reason", ["connection", "timeout", "rate_limited"])
def test_batch_is_retried_as_a_whole_if_lists_worked_before(reason: Reason) -> None:
    history = CycleHistory(listed=dict.fromkeys(IDS, False))
    says = [FakeReply(failed(reason)), FakeReply(failed(reason)), batch_page(*map(found, IDS))]
    run = run_batches(lambda *_: says.pop(0), history=history)
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert list_sizes(run) == [16, 16, 16]
    assert run.cycle.stats.retries == 2
    assert run.cycle.history().lists.max_id_bytes is None
    run = run_batches(lambda *_: FakeReply(failed(reason)), history=history)
    assert list_sizes(run)[: 1 + MAX_RETRIES] == [16] * (1 + MAX_RETRIES)
    assert run.cycle.stats.failures == {reason: 16}
    assert len(run.ids_requested(RequestKind.POLL)) <= 1 + MAX_RETRIES


def test_failed_page_is_retried_alone() -> None:
    says = [
        batch_page(*map(found, IDS[:8]), next_path="two"),
        FakeReply(failed("connection")),
        batch_page(*map(found, IDS[8:])),
    ]
    run = run_batches(lambda *_: says.pop(0))
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert [request.page for _, request in run.sent] == [None, "two", "two"]
    assert list_sizes(run) == [16, 8, 8]


def test_images_not_requested_after_a_split_keep_its_reason() -> None:
    slow = replace(REFUSED, seconds=20.0)
    run = run_batches(with_list_reply(FakeCloud(), lists=slow), pacing=ONE_AT_A_TIME)
    assert list_sizes(run) == [16, 1]
    assert run.now <= START + PACING.interval
    assert run.cycle.stats.polls == 16
    slow = replace(REFUSED, seconds=54.5)
    run = run_batches(with_list_reply(FakeCloud(), lists=slow), pacing=ONE_AT_A_TIME)
    assert set(run.outcome_names.values()) == {"rejected"}


def test_retry_after_delays_splits() -> None:
    run = run_batches(
        with_list_reply(FakeCloud(), lists=replace(REFUSED, retry_after=20.0), over=8)
    )
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert run.sent[1][0] >= START + 20.0
    run = run_batches(
        with_list_reply(FakeCloud(), lists=replace(REFUSED, retry_after=300.0), over=8)
    )
    assert set(run.outcome_names.values()) == {"rejected"}
    assert len(run.sent) == 1


def test_batch_in_flight_at_the_deadline_times_out() -> None:
    hang = FakeReply(None, seconds=1000.0)
    run = run_batches(lambda *_: hang, batches=[IDS[:8], IDS[8:]], pacing=ONE_AT_A_TIME)
    assert [run.outcome_names[image_id] for image_id in IDS] == ["timeout"] * 8 + ["not_polled"] * 8
    assert run.cycle.stats.polls == 16
    assert len(run.results) == 16


def test_images_deferred_by_a_probe_time_out_with_it() -> None:

    def respond(request: PollRequest, _: float) -> FakeReply:
        return REFUSED if len(request.targets) > 1 else FakeReply(None, seconds=1000.0)

    run = run_batches(respond)
    assert set(run.outcome_names.values()) == {"timeout"}
    assert len(run.results) == 16


def test_breaker_probe_is_one_image_and_leaves_its_batch() -> None:
    history = CycleHistory(existing=frozenset(IDS), breaker_open=True, probe_count=3)
    run = run_batches(FakeCloud(), history=history, batches=[IDS[:8], IDS[8:]])
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    first, *others = [request for _, request in run.sent]
    assert (first.kind, first.targets) == (RequestKind.POLL, (targets(*IDS)[3],))
    assert [len(request.targets) for request in others] == [7, 8]
    shut = run_batches(lambda *_: FakeReply(failed("timeout")), history=history)
    assert shut.outcome_names == {**dict.fromkeys(IDS, "not_polled"), IDS[3]: "timeout"}
    assert len(shut.sent) == 1


def test_batch_with_a_new_image_is_requested_at_once() -> None:
    new = frozenset({IDS[9]})
    run = run_batches(
        FakeCloud(),
        history=CycleHistory(existing=frozenset(IDS) - new, immediate=new),
        batches=[IDS[:4], IDS[4:8], IDS[8:]],
        pacing=replace(PACING, concurrency=2 * BATCH_WEIGHT),
    )
    started_at = {request.targets[0].image_id: now for now, request in run.sent}
    assert started_at == {IDS[0]: START, IDS[4]: START + 16.0, IDS[8]: START}


@pytest.mark.parametrize("concurrency", [1, BATCH_WEIGHT - 1, BATCH_WEIGHT, 3 * BATCH_WEIGHT])
def test_few_lists_are_in_flight_at_once(concurrency: int) -> None:
    """Requests for single images do not wait for them."""
    lists = [IDS[start : start + 3] for start in range(0, 15, 3)]
    one_by_one = IDS[15:]
    pacing = replace(PACING, concurrency=concurrency)
    run = run_batches(
        FakeCloud(), batches=[*lists, *((image_id,) for image_id in one_by_one)], pacing=pacing
    )
    assert set(run.outcome_names.values()) == {"found"}
    starts = [now for now, request in run.sent if request.kind is RequestKind.BATCH]
    most = max(1, concurrency // BATCH_WEIGHT)
    assert max(Counter(starts).values()) == min(most, len(lists))
    assert run.cycle.stats.busy_seconds == pytest.approx(
        0.01 * (len(one_by_one) + BATCH_WEIGHT * len(lists))
    )
    if concurrency > 1:
        assert min(now for now, request in run.sent if request.kind is RequestKind.POLL) == START


def test_image_decided_while_its_batch_is_in_flight_keeps_its_outcome() -> None:
    group = tuple(targets(*IDS[:3]))
    cycle = Cycle(
        group, CycleHistory(immediate=frozenset(IDS)), PACING, START, lambda: 0.5, groups=[group]
    )
    request = cycle.next(START)
    assert isinstance(request, PollRequest)
    cycle.retract(IDS[0])
    cycle.on_reply(request, batch_page(*map(found, IDS[:3])).reply(request.kind, START), START + 1)
    words = [outcome_name(outcome) for _, outcome in cycle.results.take_outcomes()]
    assert words == ["malformed", "found", "found"]
    assert cycle.stats.polls == 3
