from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.outcome import Failed, ImageResult, Reason
from exporter.polling.engine.batching import (
    MAX_PAGES,
    MIN_LIST_SIZE,
    PROBE_FAILURES_BEFORE_FALLBACK,
    BatchPlanner,
    one_by_one,
)
from exporter.polling.engine.cycle import Cycle
from exporter.polling.engine.pacing import BATCH_WEIGHT, MAX_RETRIES, CyclePacing
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind
from tests.support.examples import examples
from tests.support.simulated_cycle import (
    LIST_OK,
    NOT_FOUND,
    PACING,
    START,
    FakeReply,
    Responder,
    SimulatedCycle,
    batch_page,
    failed,
    found,
    image_id_of,
    outcome_name,
    run_cycle,
    targets,
)

IDS = tuple(f"image-{number:02}" for number in range(16))
REFUSED = FakeReply(failed("rejected"), splittable=True)
UNREADABLE = FakeReply(failed("malformed"), splittable=True)
BROKEN = FakeReply(failed("server_error"))
ONE_AT_A_TIME = replace(PACING, concurrency=1)


@dataclass(frozen=True)
class FakeCloud:
    """A simulated cloud: its images, and those that its lists lack.

    ``hidden`` images are only in second lists, and ``unlisted`` ones in none.
    """

    there: frozenset[str] = frozenset(IDS)
    hidden: frozenset[str] = frozenset()
    unlisted: frozenset[str] = frozenset()

    def __call__(self, request: PollRequest, _: float) -> FakeReply | ImageResult:
        """Return the reply to a request."""
        if request.kind is RequestKind.LIST:
            return LIST_OK
        if request.kind is not RequestKind.BATCH:
            image_id = image_id_of(request)
            return found(image_id) if image_id in self.there else NOT_FOUND
        ids = {target.image_id for target in request.targets} & self.there - self.unlisted
        ids = ids & self.hidden if request.second_list else ids - self.hidden
        return batch_page(*map(found, ids))


def requests_of(run: SimulatedCycle, kind: RequestKind) -> list[PollRequest]:
    """Return the requests of this kind, in order."""
    return [request for _, request in run.sent if request.kind is kind]


def list_sizes(run: SimulatedCycle) -> list[int]:
    """Return the number of images that each list request names."""
    return [len(request.targets) for request in requests_of(run, RequestKind.BATCH)]


def run_batches(
    respond: Responder,
    *,
    history: CycleHistory | None = None,
    pacing: CyclePacing = PACING,
    batches: Iterable[tuple[str, ...]] = (IDS,),
    random: float = 0.5,
) -> SimulatedCycle:
    """Run a cycle over the images, requested in these batches."""
    groups = [tuple(targets(*batch)) for batch in batches]
    ids = [target.image_id for group in groups for target in group]
    return run_cycle(ids, respond, history=history, pacing=pacing, groups=groups, random=random)


def with_list_reply(
    respond: Responder,
    *,
    lists: FakeReply,
    over: int = 0,
    about: str = "",
    second_list: bool | None = None,
) -> Responder:
    """Replace the reply to all lists, to lists of more than ``over`` images, or of one image."""

    def respond_to_lists(request: PollRequest, now: float) -> FakeReply | ImageResult:
        ids = {target.image_id for target in request.targets}
        is_replaced = (
            request.kind is RequestKind.BATCH
            and len(ids) > over
            and (not about or about in ids)
            and second_list in {None, request.second_list}
        )
        return lists if is_replaced else respond(request, now)

    return respond_to_lists


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
        FakeCloud(there=frozenset(IDS) - gone), history=CycleHistory(existing=frozenset(IDS))
    )
    assert {
        image_id for image_id, outcome_name in run.outcome_names.items() if outcome_name == "gone"
    } == gone
    assert (
        sorted(run.ids_requested(RequestKind.POLL))
        == sorted(run.ids_requested(RequestKind.RECHECK))
        == sorted(gone)
    )
    assert len(run.ids_requested(RequestKind.LIST)) == 1
    assert len(run.sent) == 2 + 2 * 3 + 1


def test_image_missing_in_lists_but_found_by_the_recheck_is_not_gone() -> None:
    cloud = FakeCloud(unlisted=frozenset(IDS[:2]))

    def respond(request: PollRequest, now: float) -> FakeReply | ImageResult:
        return NOT_FOUND if request.kind is RequestKind.POLL else cloud(request, now)

    assert run_batches(respond).outcome_names == dict.fromkeys(IDS, "found")


def test_one_list_proves_all_404s_of_about_the_same_time() -> None:
    """Without the delay each 404 would cost a list request."""
    gone = IDS[:4]
    cloud = FakeCloud(there=frozenset(IDS[4:]))

    def respond(request: PollRequest, now: float) -> FakeReply | ImageResult:
        if request.kind is RequestKind.RECHECK:
            return FakeReply(NOT_FOUND, 0.1 * (1 + gone.index(image_id_of(request))))
        return cloud(request, now)

    run = run_batches(respond, history=CycleHistory(existing=frozenset(IDS)))
    assert [run.outcome_names[image_id] for image_id in gone] == ["gone"] * 4
    assert len(run.ids_requested(RequestKind.LIST)) == 1


def test_later_batch_is_a_proof() -> None:
    cloud = FakeCloud(there=frozenset(IDS[1:8]))

    def respond(request: PollRequest, now: float) -> FakeReply | ImageResult:
        return failed("forbidden") if request.kind is RequestKind.LIST else cloud(request, now)

    history = CycleHistory(existing=frozenset(IDS[:8]), gone=frozenset(IDS[8:]))
    assert (
        run_batches(respond, history=history, batches=[IDS[:8]]).outcome_names[IDS[0]]
        == "unconfirmed"
    )
    run = run_batches(respond, history=history, batches=[IDS[:8], IDS[8:]])
    assert run.outcome_names[IDS[0]] == "gone"


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
    history = CycleHistory(existing=frozenset(IDS))
    run = run_batches(nothing, history=history)
    assert set(run.outcome_names.values()) == {"unconfirmed"}
    rechecks = run_batches(nothing, history=run.next_history(history))
    assert set(rechecks.outcome_names.values()) == {"gone"}
    assert rechecks.cycle.mass_disappearance


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
    """For all batches of the cycle."""
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


@pytest.mark.parametrize(
    "reason",
    ["connection", "timeout", "tls", "unauthorized", "forbidden", "rate_limited", "api_version"],
)
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
    assert len(run.sent) == 1


# Time, retries, the breaker


@pytest.mark.parametrize("reason", ["connection", "timeout", "rate_limited"])
def test_batch_is_retried_as_a_whole(reason: Reason) -> None:
    says = [FakeReply(failed(reason)), FakeReply(failed(reason)), batch_page(*map(found, IDS))]
    run = run_batches(lambda *_: says.pop(0))
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert list_sizes(run) == [16, 16, 16]
    assert run.cycle.stats.retries == 2
    run = run_batches(lambda *_: FakeReply(failed(reason)))
    assert list_sizes(run) == [16] * (1 + MAX_RETRIES)
    assert run.cycle.stats.failures == {reason: 16}


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
    asked = {request.targets[0].image_id: now for now, request in run.sent}
    assert asked == {IDS[0]: START, IDS[4]: START + 16.0, IDS[8]: START}


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
    words = [outcome_name(result.outcome) for result in cycle.take_results()]
    assert words == ["malformed", "found", "found"]
    assert cycle.stats.polls == 3


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


# Any replies

READINGS = st.sampled_from(["found", "found", "malformed", "absent", "absent"])
FAILURES: st.SearchStrategy[Reason] = st.sampled_from(
    [
        "connection",
        "timeout",
        "server_error",
        "rate_limited",
        "forbidden",
        "unconfirmed",
        "internal",
    ]
)
SECONDS = st.one_of(st.just(0.01), st.floats(0.0, 30.0), st.just(1000.0))
GROUP_SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=4)


@st.composite
def batch_replies(draw: st.DrawFn, request: PollRequest) -> FakeReply:
    """Draw any reply to a list."""
    seconds = draw(SECONDS)
    match draw(st.sampled_from(["listed", "listed", "listed", "failed", "splits"])):
        case "failed":
            return FakeReply(
                failed(draw(FAILURES)), seconds, retry_after=draw(st.sampled_from([None, 5.0]))
            )
        case "splits":
            return replace(draw(st.sampled_from([REFUSED, UNREADABLE])), seconds=seconds)
    says = [(target.image_id, draw(READINGS)) for target in request.targets]
    readings = [
        found(image_id) if what == "found" else Failed("malformed", image_id)
        for image_id, what in says
        if what != "absent"
    ]
    page = batch_page(*readings, next_path=draw(st.sampled_from([None, None, "one", "two"])))
    return replace(page, seconds=seconds)


@examples(300)
@given(st.data(), GROUP_SIZES, st.booleans(), st.booleans())
def test_rules_hold_for_any_replies_to_lists(
    data: st.DataObject, lengths: list[int], breaker_open: bool, suspected: bool
) -> None:
    """Each image has one outcome, is gone only with proof, and takes few requests."""
    ids = [f"image-{number}" for number in range(sum(lengths))]
    left = list(ids)
    groups = [tuple(left.pop(0) for _ in range(length)) for length in lengths]
    living = frozenset(data.draw(st.sets(st.sampled_from(ids))))
    history = CycleHistory(existing=living, breaker_open=breaker_open, mass_404_suspected=suspected)

    def respond(request: PollRequest, _: float) -> FakeReply:
        if request.kind is RequestKind.BATCH:
            return data.draw(batch_replies(request))
        what = data.draw(st.sampled_from(["found", "missing", "missing", "failed"]))
        seconds = data.draw(SECONDS)
        if what == "failed":
            return FakeReply(failed(data.draw(FAILURES)), seconds)
        if not image_id_of(request) or request.kind is RequestKind.LIST:
            return FakeReply(None if what == "found" else failed("server_error"), seconds)
        return FakeReply(found(image_id_of(request)) if what == "found" else NOT_FOUND, seconds)

    run = run_batches(
        respond, history=history, batches=groups, pacing=CyclePacing(60.0, 10.0, 3), random=0.3
    )
    assert sorted(result.target.image_id for result, _ in run.results) == sorted(ids)
    assert run.cycle.stats.polls == len(ids)
    assert run.now <= run.end
    for result, count in run.results:
        image_id = result.target.image_id
        if run.outcome_names[image_id] == "gone":
            check_gone(run, count, image_id, history)
    for image_id in ids:
        assert run.ids_requested(RequestKind.POLL).count(image_id) <= 1 + MAX_RETRIES
        assert run.ids_requested(RequestKind.RECHECK).count(image_id) <= 1 + MAX_RETRIES
    most = 2 * len(ids) + len(groups)
    assert len(requests_of(run, RequestKind.BATCH)) <= (1 + MAX_RETRIES) * (
        most + 2 * most * MAX_PAGES
    )


def check_gone(run: SimulatedCycle, count: int, image_id: str, history: CycleHistory) -> None:
    """Return True if the replies before the result prove that the image is gone."""
    roundtrips = run.roundtrips[:count]
    of_it = [h for h in roundtrips if image_id_of(h.request) == image_id]
    polls = [h for h in of_it if h.request.kind is RequestKind.POLL and h.result == NOT_FOUND]
    rechecks = [
        h.received_at
        for h in of_it
        if h.request.kind is RequestKind.RECHECK
        and h.result == NOT_FOUND
        and any(poll.received_at <= h.sent_at for poll in polls)
    ]
    existing = {image_id for h in roundtrips for image_id in h.listed_ids} | {
        image_id_of(h.request)
        for h in roundtrips
        if h.request.kind is not RequestKind.BATCH and h.result != NOT_FOUND
    }
    proofs = [h.sent_at for h in roundtrips if h.is_list or h.reply.accepted]
    assert any(proof >= confirmed for proof in proofs for confirmed in rechecks)
    if len(history.existing) > 1 and not history.mass_404_suspected:
        failures = {
            target.image_id
            for h in roundtrips
            if isinstance(h.result, Failed)
            for target in h.request.targets_to_fail
        }
        assert history.existing & (existing | failures), "all at once, for the first time"
