"""Every rule that decides if a 404 means gone, by whole cycles without threads."""

from collections.abc import Iterator

import pytest

from exporter.model.outcome import Failed, ImageResult, Reason
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind
from tests.support.simulated_cycle import (
    LIST_OK,
    NOT_FOUND,
    FakeReply,
    failed,
    found,
    image_id_of,
    replies_by_image,
    run_cycle,
)

AB = frozenset("ab")


def detail(outcome: object) -> str:
    """Return the detail of a failure."""
    assert isinstance(outcome, Failed)
    return outcome.detail


def test_single_404_is_rechecked_and_proved_by_the_list() -> None:
    run = run_cycle("a", replies_by_image({"a": NOT_FOUND}))
    assert [request.kind for _, request in run.sent] == [
        RequestKind.POLL,
        RequestKind.RECHECK,
        RequestKind.LIST,
    ]
    assert run.outcome_names == {"a": "gone"}
    assert run.cycle.stats.accepted


def test_image_found_after_the_recheck_is_the_proof() -> None:
    """No list is needed if a request sent after the recheck's 404 finds another image."""
    history = CycleHistory(existing=AB)
    run = run_cycle(
        "ab",
        replies_by_image({"a": NOT_FOUND, "b": found("b")}, failed("server_error")),
        history=history,
    )
    assert run.outcome_names == {"a": "gone", "b": "found"}
    assert run.ids_requested(RequestKind.LIST) == []


def test_response_to_a_request_before_the_404_proves_nothing() -> None:
    """The response may be older than the cause of the 404."""
    slow = FakeReply(found("b"), seconds=5.0)
    run = run_cycle("ab", replies_by_image({"a": NOT_FOUND, "b": slow}, failed("forbidden")))
    assert run.outcome_names == {"a": "unconfirmed", "b": "found"}
    assert run.ids_requested(RequestKind.LIST) == [""]


def test_image_found_by_the_recheck_is_not_gone() -> None:
    first: Iterator[ImageResult] = iter([NOT_FOUND, found("a")])
    run = run_cycle("a", lambda _request, _now: next(first))
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


def test_list_is_retried_with_backoff_after_a_transient_failure() -> None:
    replies: Iterator[FakeReply | ImageResult] = iter(
        [failed("server_error"), failed("timeout"), LIST_OK]
    )
    run = run_cycle(
        "a", lambda request, _now: NOT_FOUND if image_id_of(request) else next(replies), random=1.0
    )
    assert run.outcome_names == {"a": "gone"}
    times = [now for now, request in run.sent if request.kind is RequestKind.LIST]
    assert times[1] - times[0] == pytest.approx(0.51)
    assert times[2] - times[1] == pytest.approx(1.01)
    assert run.cycle.stats.retries == 2


@pytest.mark.parametrize(
    ("reason", "asks"), [("server_error", 3), ("forbidden", 1), ("malformed", 1)]
)
def test_failing_list_is_requested_a_bounded_number_of_times(reason: Reason, asks: int) -> None:
    """The number does not depend on the number of 404s that wait for it."""
    run = run_cycle(
        "abcdefgh", replies_by_image(dict.fromkeys("abcdefgh", NOT_FOUND), failed(reason))
    )
    assert set(run.outcome_names.values()) == {"unconfirmed"}
    assert len(run.ids_requested(RequestKind.LIST)) == asks


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
    replies = {RequestKind.POLL: NOT_FOUND, RequestKind.RECHECK: recheck}
    run = run_cycle("a", lambda request, _now: replies.get(request.kind, list_reply))
    assert run.outcome_names == {"a": "unconfirmed"}
    assert expected in detail(run.outcomes["a"])


def test_recheck_is_retried_after_a_transient_failure() -> None:
    confirms: Iterator[ImageResult] = iter([failed("timeout"), NOT_FOUND])

    def respond(request: PollRequest, _: float) -> FakeReply | ImageResult:
        if request.kind is RequestKind.RECHECK:
            return next(confirms)
        return NOT_FOUND if image_id_of(request) else LIST_OK

    assert run_cycle("a", respond).outcome_names == {"a": "gone"}


def test_canary_is_requested_at_once() -> None:
    """Another existing image is requested early if one of several is 404."""
    history = CycleHistory(existing=frozenset("abc"))
    table: dict[str, FakeReply | ImageResult] = {"a": NOT_FOUND, "b": found("b"), "c": found("c")}
    run = run_cycle("abc", replies_by_image(table), history=history)
    assert run.outcome_names["a"] == "gone"
    assert len(run.ids_requested(RequestKind.CANARY)) == 1
    gone_at = next(count for target, _, count in run.results if target.image_id == "a")
    assert gone_at == 3


def test_canaries_differ_and_are_at_most_three() -> None:
    ids = "abcdefgh"
    run = run_cycle(
        ids,
        replies_by_image(dict.fromkeys(ids, NOT_FOUND)),
        history=CycleHistory(existing=frozenset(ids)),
    )
    canaries = run.ids_requested(RequestKind.CANARY)
    assert len(canaries) == len(set(canaries)) == 3


def test_mass_404_is_unconfirmed_at_first_and_gone_after_the_second_cycle() -> None:
    before = CycleHistory(existing=AB)
    respond = replies_by_image({"a": NOT_FOUND, "b": NOT_FOUND})
    first = run_cycle("ab", respond, history=before)
    assert first.outcome_names == {"a": "unconfirmed", "b": "unconfirmed"}
    assert "all images of the cloud" in detail(first.outcomes["a"])
    assert (first.cycle.history().mass_404_suspected, first.cycle.mass_disappearance) == (
        True,
        False,
    )
    second = run_cycle("ab", respond, history=first.next_history(before))
    assert second.outcome_names == {"a": "gone", "b": "gone"}
    assert second.cycle.mass_disappearance


def test_removal_of_all_images_after_a_mass_404_is_no_mass_disappearance() -> None:
    history = CycleHistory(existing=frozenset(), mass_404_suspected=True)
    run = run_cycle("c", replies_by_image({"c": found("c")}), history=history)
    assert not run.cycle.mass_disappearance


def test_mass_404_requests_the_list_once_for_api_up() -> None:
    run = run_cycle(
        "ab", replies_by_image({"a": NOT_FOUND, "b": NOT_FOUND}), history=CycleHistory(existing=AB)
    )
    assert run.ids_requested(RequestKind.LIST) == [""]
    assert run.cycle.stats.accepted
    assert set(run.outcome_names.values()) == {"unconfirmed"}


def test_outage_between_two_mass_404s_starts_the_suspicion_again() -> None:
    before = CycleHistory(existing=AB)
    missing = replies_by_image({"a": NOT_FOUND, "b": NOT_FOUND})
    history = run_cycle("ab", missing, history=before).next_history(before)
    history = run_cycle(
        "ab", replies_by_image(dict.fromkeys("ab", failed("timeout"))), history=history
    ).next_history(history)
    assert set(run_cycle("ab", missing, history=history).outcome_names.values()) == {"unconfirmed"}


def test_suspected_mass_404_lasts_while_only_the_proof_is_missing() -> None:
    history = CycleHistory(existing=AB)
    for list_reply, expected in (
        (LIST_OK, "unconfirmed"),
        (NOT_FOUND, "unconfirmed"),
        (LIST_OK, "gone"),
    ):
        run = run_cycle(
            "ab", replies_by_image({"a": NOT_FOUND, "b": NOT_FOUND}, list_reply), history=history
        )
        assert set(run.outcome_names.values()) == {expected}
        history = run.next_history(history)


def test_404_with_another_failure_is_not_a_mass_404() -> None:
    """In that case the list is enough proof."""
    table: dict[str, FakeReply | ImageResult] = {"a": NOT_FOUND, "b": failed("forbidden")}
    run = run_cycle("ab", replies_by_image(table), history=CycleHistory(existing=AB))
    assert run.outcome_names == {"a": "gone", "b": "forbidden"}


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
        history=CycleHistory(existing=AB),
    )
    assert run.outcome_names == {"a": "gone", "b": "found"}


def test_404_late_in_the_cycle_is_unconfirmed() -> None:
    run = run_cycle("a", replies_by_image({"a": FakeReply(NOT_FOUND, seconds=55.0)}))
    assert run.outcome_names == {"a": "unconfirmed"}
    assert run.ids_requested(RequestKind.RECHECK) == []


def test_no_image_is_gone_while_the_api_responds_404_to_everything() -> None:
    history = CycleHistory(existing=frozenset("abc"))
    for _ in range(50):
        run = run_cycle(
            "abc", replies_by_image(dict.fromkeys("abc", NOT_FOUND), NOT_FOUND), history=history
        )
        assert set(run.outcome_names.values()) == {"unconfirmed"}
        assert not run.cycle.stats.accepted
        history = run.next_history(history)
    assert history.existing == frozenset("abc")
