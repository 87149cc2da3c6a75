"""Lists that are refused while images are found, and lists that are too long for a gateway."""

import pytest

from exporter.model.outcome import Failed, ImageResult, Reason
from exporter.polling.engine.batching.failures import KIND_OF_REASON, BatchFailure
from exporter.polling.engine.batching.planner import MAX_IMAGE_CHECKS
from exporter.polling.engine.cycle import MAX_FRESH_LISTS
from exporter.polling.engine.types import (
    CODE_OF_REFUSAL,
    CycleHistory,
    ListExperience,
    PollRequest,
    RequestKind,
)
from tests.polling.engine.batches import (
    IDS,
    ONE_AT_A_TIME,
    REFUSED,
    FakeCloud,
    list_sizes,
    run_batches,
    with_list_reply,
)
from tests.support.simulated_cycle import (
    NOT_FOUND,
    FakeReply,
    Responder,
    SimulatedCycle,
    failed,
    image_id_of,
)

DENIALS: tuple[Reason, ...] = (
    "unauthorized",
    "forbidden",
    "unconfirmed",
    "api_version",
    "rejected",
)
UNANSWERED: tuple[Reason, ...] = ("connection", "timeout")
ID_BYTES = len(IDS[0]) + 1


def denied(reason: Reason) -> FakeReply:
    return FakeReply(Failed(reason, "HTTP 403"))


def lists_in(run: SimulatedCycle) -> ListExperience:
    return run.cycle.history().lists


def too_long(limit: int, reason: Reason, cloud: Responder | None = None) -> Responder:
    return with_list_reply(cloud or FakeCloud(), lists=denied(reason), over=limit)


@pytest.mark.parametrize("reason", [*DENIALS, *UNANSWERED])
def test_images_are_requested_one_by_one_if_only_lists_are_refused(reason: Reason) -> None:
    run = run_batches(with_list_reply(FakeCloud(), lists=denied(reason)), pacing=ONE_AT_A_TIME)
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert sorted(run.ids_requested(RequestKind.POLL)) == list(IDS)
    assert len(list_sizes(run)) <= 2 + MAX_FRESH_LISTS
    assert run.cycle.stats.accepted
    assert lists_in(run).refused_with == CODE_OF_REFUSAL.get(reason, "403")
    assert lists_in(run).max_id_bytes is None


@pytest.mark.parametrize("reason", [*DENIALS, *UNANSWERED])
def test_refusal_of_everything_costs_few_requests(reason: Reason) -> None:
    """The images must not be requested one by one at an API that denies everything."""
    groups = [IDS[:5], IDS[5:10], IDS[10:]]
    run = run_batches(lambda *_: denied(reason), batches=groups, pacing=ONE_AT_A_TIME)
    # Without a response, the circuit breaker may open.
    assert set(run.outcome_names.values()) <= {reason, "not_polled"}
    assert len(run.sent) <= 3 * (1 + MAX_FRESH_LISTS) + 2
    assert not lists_in(run).refused_with


def test_list_that_is_401_costs_no_second_sign_in() -> None:
    """The client renews the token after every 401, so no second list is requested."""
    run = run_batches(with_list_reply(FakeCloud(), lists=denied("unauthorized")))
    assert list_sizes(run) == [16]


@pytest.mark.parametrize("gone", [1, MAX_IMAGE_CHECKS - 1])
def test_image_that_is_404_is_no_evidence_against_the_api(gone: int) -> None:
    """Another image is requested, and is the control of the proof that the first one is gone."""
    cloud = FakeCloud(there=frozenset(IDS[gone:]))
    history = CycleHistory(existing=frozenset(IDS))
    run = run_batches(with_list_reply(cloud, lists=denied("forbidden")), history=history)
    expected = {**dict.fromkeys(IDS, "found"), **dict.fromkeys(IDS[:gone], "gone")}
    assert run.outcome_names == expected
    assert lists_in(run).refused_with == "403"


def test_refused_lists_and_404s_prove_nothing() -> None:
    """A misrouted endpoint denies lists, and knows no image."""
    history = CycleHistory(existing=frozenset(IDS))
    for _ in range(3):
        run = run_batches(
            lambda request, _: (
                NOT_FOUND
                if request.kind in {RequestKind.POLL, RequestKind.RECHECK}
                else failed("forbidden")
            ),
            history=history,
        )
        assert set(run.outcome_names.values()) <= {"unconfirmed", "forbidden"}
        assert len(set(run.ids_requested(RequestKind.POLL))) == MAX_IMAGE_CHECKS
        history = run.next_history(history)


def test_broken_image_is_no_evidence_against_the_api() -> None:
    def respond(request: PollRequest, now: float) -> FakeReply | ImageResult:
        if request.kind is RequestKind.POLL and image_id_of(request) == IDS[0]:
            return failed("malformed")
        return with_list_reply(FakeCloud(), lists=denied("forbidden"))(request, now)

    run = run_batches(respond)
    assert run.outcome_names == {**dict.fromkeys(IDS, "found"), IDS[0]: "malformed"}


def test_outage_that_ends_is_not_taken_for_refused_lists() -> None:
    """The first list, its probe and the image have no response, and all later requests do."""
    silent = 3

    def respond(request: PollRequest, now: float) -> FakeReply | ImageResult:
        nonlocal silent
        silent -= 1
        return denied("connection") if silent >= 0 else FakeCloud()(request, now)

    run = run_batches(respond)
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert (lists_in(run).max_id_bytes, lists_in(run).refused_with) == (None, "")


# Length


@pytest.mark.parametrize("reason", [*UNANSWERED, "forbidden", "unconfirmed", "rejected"])
@pytest.mark.parametrize("limit", [3, 4, 7])
def test_list_that_is_too_long_is_shortened_until_it_works(reason: Reason, limit: int) -> None:
    run = run_batches(too_long(limit, reason), pacing=ONE_AT_A_TIME)
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    lists = lists_in(run)
    assert lists.max_id_bytes is not None
    assert ID_BYTES * limit // 2 <= lists.max_id_bytes <= ID_BYTES * limit
    assert not lists.refused_with


@pytest.mark.parametrize("reason", UNANSWERED)
def test_long_lists_without_a_response_do_not_open_the_circuit_breaker(reason: Reason) -> None:
    ids = tuple(f"image-{number:04}" for number in range(960))
    groups = [ids[start : start + 80] for start in range(0, len(ids), 80)]
    cloud = FakeCloud(there=frozenset(ids))
    run = run_batches(too_long(7, reason, cloud), batches=groups, pacing=ONE_AT_A_TIME)
    assert run.outcome_names == dict.fromkeys(ids, "found")
    assert not run.cycle.breaker_open
    assert run.ids_requested(RequestKind.POLL) == []


def test_image_that_breaks_lists_is_not_taken_for_a_limit_of_the_length() -> None:
    run = run_batches(with_list_reply(FakeCloud(), lists=denied("forbidden"), about=IDS[9]))
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert lists_in(run).max_id_bytes is None
    assert not lists_in(run).refused_with


def test_single_accident_is_not_taken_for_a_limit_of_the_length() -> None:
    replies = [denied("connection")]
    cloud = FakeCloud()
    run = run_batches(lambda request, now: replies.pop() if replies else cloud(request, now))
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert list_sizes(run) == [16, 1, 15]
    assert lists_in(run).max_id_bytes is None


def test_5xx_of_long_lists_is_a_limit_only_if_the_next_cycle_has_it_too() -> None:
    """A single 5xx may be an accident. A small list works first, so none of them is retried."""
    groups = [IDS[:3], IDS[3:]]
    respond = too_long(8, "server_error")
    first = run_batches(respond, batches=groups, pacing=ONE_AT_A_TIME)
    assert lists_in(first).max_id_bytes is None
    history = first.next_history(CycleHistory(existing=frozenset(IDS)))
    second = run_batches(respond, batches=groups, history=history, pacing=ONE_AT_A_TIME)
    assert lists_in(second).max_id_bytes == 7 * ID_BYTES
    healthy = run_batches(FakeCloud(), batches=groups, history=history, pacing=ONE_AT_A_TIME)
    assert lists_in(healthy).max_id_bytes is None


def test_list_with_deferred_images_that_is_refused_loses_none_of_them() -> None:
    """A gateway hangs up on long lists, and the service refuses those of medium length."""

    def respond(request: PollRequest, now: float) -> FakeReply | ImageResult:
        if request.kind is RequestKind.BATCH and len(request.targets) > 8:
            return denied("connection")
        return with_list_reply(FakeCloud(), lists=REFUSED, over=4)(request, now)

    run = run_batches(respond, pacing=ONE_AT_A_TIME)
    assert run.outcome_names == dict.fromkeys(IDS, "found")


def test_refused_second_lists_do_not_turn_first_lists_off() -> None:
    cloud = FakeCloud(hidden=frozenset(IDS[:4]))
    run = run_batches(with_list_reply(cloud, lists=denied("forbidden"), second_list=True))
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert sorted(run.ids_requested(RequestKind.POLL)) == list(IDS[:4])
    assert not lists_in(run).refused_with


def test_experience_names_the_refusal() -> None:
    refusals = {
        Failed("forbidden", "HTTP 403"): "403",
        Failed("unauthorized", "sign-in: the configured token is refused"): "401",
        Failed("unconfirmed", "the list of images is 404"): "404",
        Failed("connection", "closed"): "closed",
        Failed("connection"): "connection",
    }
    for refusal, words in refusals.items():
        assert ListExperience().with_refusal(refusal).refused_with == words


def test_every_denial_has_a_kind() -> None:
    assert {r for r, kind in KIND_OF_REASON.items() if kind is BatchFailure.DENIED} == set(DENIALS)
    assert {r for r, kind in KIND_OF_REASON.items() if kind is BatchFailure.NO_RESPONSE} == set(
        UNANSWERED
    )


def test_control_of_a_proof_is_an_image_if_lists_are_refused() -> None:
    gone = IDS[5]
    cloud = FakeCloud(there=frozenset(IDS) - {gone})

    def respond(request: PollRequest, now: float) -> FakeReply | ImageResult:
        if request.kind is RequestKind.LIST:
            return failed("forbidden")
        return with_list_reply(cloud, lists=denied("forbidden"))(request, now)

    run = run_batches(respond, history=CycleHistory(existing=frozenset(IDS)))
    assert run.outcome_names == {**dict.fromkeys(IDS, "found"), gone: "gone"}
    controls = {request.control for _, request in run.sent if request.kind is RequestKind.PROBE}
    assert controls <= set(IDS) - {gone}
