"""Lists that fail: splitting, probing, and servers without lists."""

import pytest

from exporter.model.outcome import ImageResult, Reason
from exporter.polling.engine.batching.planner import (
    PROBE_FAILURES_BEFORE_FALLBACK,
    BatchPlanner,
)
from exporter.polling.engine.batching.requests import MIN_LIST_SIZE, one_by_one
from exporter.polling.engine.cycle import MAX_FRESH_LISTS
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind
from tests.polling.engine.batches import (
    IDS,
    ONE_AT_A_TIME,
    REFUSED,
    UNREADABLE,
    FakeCloud,
    list_sizes,
    requests_of,
    run_batches,
    with_list_reply,
)
from tests.support.simulated_cycle import FakeReply, batch_page, failed, found, targets

BROKEN = FakeReply(failed("server_error"))


# Lists that fail


@pytest.mark.parametrize("refusal", [REFUSED, UNREADABLE])
def test_list_that_is_too_long_is_split(refusal: FakeReply) -> None:
    """A probe of one image goes first; once it works, lists are halved until they are accepted."""
    run = run_batches(with_list_reply(FakeCloud(), lists=refusal, over=4), pacing=ONE_AT_A_TIME)
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert list_sizes(run) == [16, 1, 7, 8, 3, 4, 4, 4]
    assert run.ids_requested(RequestKind.POLL) == []


def test_image_that_breaks_every_list_is_requested_by_itself() -> None:
    """The number of requests grows with the logarithm of the length."""
    spoilt = IDS[9]
    run = run_batches(with_list_reply(FakeCloud(), lists=UNREADABLE, about=spoilt))
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert spoilt in run.ids_requested(RequestKind.POLL)
    assert len(run.sent) <= 12


def test_second_probe_is_sent_if_the_first_image_breaks_lists() -> None:
    run = run_batches(
        with_list_reply(FakeCloud(), lists=UNREADABLE, about=IDS[0]), pacing=ONE_AT_A_TIME
    )
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert run.ids_requested(RequestKind.POLL) == [IDS[0]]
    assert list_sizes(run) == [16, 1, 1, 7, 7]


@pytest.mark.parametrize(
    ("refusal", "scouts"), [(REFUSED, 1), (UNREADABLE, PROBE_FAILURES_BEFORE_FALLBACK)]
)
def test_images_are_requested_one_by_one_if_every_list_is_refused(
    refusal: FakeReply, scouts: int
) -> None:
    """The result holds for all batches of the cycle."""
    run = run_batches(
        with_list_reply(FakeCloud(), lists=refusal),
        pacing=ONE_AT_A_TIME,
        batches=[IDS[:6], IDS[6:11], IDS[11:]],
    )
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert sorted(run.ids_requested(RequestKind.POLL)) == list(IDS)
    assert list_sizes(run) == [6] + [1] * scouts
    assert len(run.sent) == 1 + scouts + 16


def test_refused_lists_in_flight_cost_one_probe_each_at_most() -> None:
    batches = [IDS[:5], IDS[5:10], IDS[10:]]
    run = run_batches(with_list_reply(FakeCloud(), lists=REFUSED), batches=batches)
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert len(list_sizes(run)) <= 2 * len(batches)
    assert sorted(run.ids_requested(RequestKind.POLL)) == list(IDS)


def test_images_missing_in_several_lists_share_a_second_list() -> None:
    """A second list is not longer than the planned lists."""
    cloud = FakeCloud(hidden=frozenset((*IDS[:3], *IDS[8:11])))
    run = run_batches(cloud, batches=[IDS[:8], IDS[8:]])
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    lists = requests_of(run, RequestKind.BATCH)
    assert [(request.second_list, len(request.targets)) for request in lists] == [
        (False, 8),
        (False, 8),
        (True, 6),
    ]
    crowded = run_batches(FakeCloud(hidden=frozenset(IDS)), batches=[IDS[:8], IDS[8:]])
    assert [len(request.targets) for request in requests_of(crowded, RequestKind.BATCH)] == [
        8,
        8,
        8,
        8,
    ]


def test_refused_second_lists_do_not_disable_first_lists() -> None:
    cloud = FakeCloud(hidden=frozenset(IDS[:4]))
    run = run_batches(
        with_list_reply(cloud, lists=REFUSED, second_list=True),
        pacing=ONE_AT_A_TIME,
        batches=[(*IDS[:2], *IDS[4:10]), (*IDS[2:4], *IDS[10:])],
    )
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert [request.second_list for request in requests_of(run, RequestKind.BATCH)] == [
        False,
        False,
        True,
        True,
    ]
    run = run_batches(
        with_list_reply(FakeCloud(hidden=frozenset(IDS)), lists=REFUSED, second_list=True)
    )
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert list_sizes(run) == [16, 16, 1]


@pytest.mark.parametrize("reason", ["tls", "rate_limited", "not_polled"])
def test_batch_is_not_split_after_failures_of_the_whole_api(reason: Reason) -> None:
    for batches in ([IDS], [IDS[:8], IDS[8:]]):
        run = run_batches(
            with_list_reply(FakeCloud(), lists=FakeReply(failed(reason)), about=IDS[0]),
            batches=batches,
            pacing=ONE_AT_A_TIME,
        )
        assert {run.outcome_names[image_id] for image_id in batches[0]} == {reason}
        assert set(list_sizes(run)) == {len(batches[0])}
        assert run.ids_requested(RequestKind.POLL) == []


def test_5xx_splits_a_batch_if_other_requests_succeed() -> None:

    def respond(request: PollRequest, now: float) -> FakeReply | ImageResult:
        if IDS[12] in {target.image_id for target in request.targets}:
            return BROKEN
        return FakeCloud()(request, now)

    run = run_batches(respond, batches=[IDS[:8], IDS[8:]])
    assert run.outcome_names == {**dict.fromkeys(IDS, "found"), IDS[12]: "server_error"}
    assert len(run.sent) <= 16


def test_5xx_of_the_first_batch_is_split_after_a_list_succeeded() -> None:

    def respond(request: PollRequest, now: float) -> FakeReply | ImageResult:
        if IDS[1] in {target.image_id for target in request.targets}:
            return BROKEN
        return FakeCloud()(request, now)

    run = run_batches(respond, history=CycleHistory(existing=frozenset(IDS)))
    assert run.outcome_names == {**dict.fromkeys(IDS, "found"), IDS[1]: "server_error"}
    assert list_sizes(run)[:3] == [16, 16, 16]
    assert len(run.ids_requested(RequestKind.LIST)) == 1


def test_5xx_to_everything_splits_nothing() -> None:
    run = run_batches(lambda *_: BROKEN)
    assert set(run.outcome_names.values()) == {"server_error"}
    assert list_sizes(run) == [16, 16, 16]
    assert [request.kind for _, request in run.sent[3:]] == [RequestKind.LIST]
    assert run.cycle.stats.polls == run.cycle.stats.failures["server_error"] == 16


def test_5xx_that_opens_the_breaker_splits_nothing() -> None:
    ids = tuple(f"image-{number}" for number in range(60))
    first = [True]

    def respond(request: PollRequest, _: float) -> FakeReply | ImageResult:
        if first:
            first.clear()
            return batch_page(*(found(target.image_id) for target in request.targets))
        return BROKEN

    run = run_batches(respond, batches=[ids[:20], ids[20:40], ids[40:]], pacing=ONE_AT_A_TIME)
    assert run.cycle.breaker_open
    assert [len(request.targets) for _, request in run.sent] == [
        20,
        20,
        10,
        10,
        5,
        5,
        5,
        5,
        1,
        1,
        3,
    ]
    assert run.cycle.stats.polls == 60


def test_images_of_a_404_list_are_unconfirmed() -> None:
    run = run_batches(
        lambda *_: FakeReply(failed("unconfirmed")), history=CycleHistory(existing=frozenset(IDS))
    )
    assert set(run.outcome_names.values()) == {"unconfirmed"}
    lists = requests_of(run, RequestKind.BATCH)
    assert [request.fresh for request in lists] == [False, *[True] * MAX_FRESH_LISTS, False]


# Support of lists


def test_lists_stay_supported_once_one_has_worked() -> None:
    batches = BatchPlanner(())
    one, many = tuple(targets(IDS[0])), tuple(targets(*IDS))
    batches.after_page(PollRequest(RequestKind.BATCH, many), (), None)
    for _ in range(PROBE_FAILURES_BEFORE_FALLBACK + 1):
        batches.after_refusal(PollRequest(RequestKind.BATCH, one), one, failed("rejected"))
    assert not batches.unsupported(False)
    assert not batches.unsupported(True)


def test_two_images_are_requested_one_by_one_after_a_failure() -> None:
    few = tuple(targets(*IDS[:MIN_LIST_SIZE]))
    assert BatchPlanner(()).shorter_lists(few, False, failed("rejected")) == one_by_one(few)
