"""Mass 404s: all images that existed turn 404 in one cycle."""

from exporter.model.outcome import (
    ImageResult,
)
from exporter.polling.engine.types import CycleHistory, RequestKind
from tests.support.simulated_cycle import (
    FOUND_BEFORE,
    LIST_OK,
    NOT_FOUND,
    FakeReply,
    detail,
    failed,
    found,
    replies_by_image,
    requests_of,
    run_cycle,
)

AB = frozenset("ab")


def test_mass_404_costs_few_requests_in_the_first_cycle() -> None:
    ids = "abcdefgh"
    run = run_cycle(
        ids,
        replies_by_image(dict.fromkeys(ids, NOT_FOUND)),
        history=CycleHistory(any_found=True, existing=frozenset(ids)),
    )
    assert set(run.outcome_names.values()) == {"unconfirmed"}
    assert run.ids_requested(RequestKind.RECHECK) == []
    assert len(run.ids_requested(RequestKind.PROBE)) == 6


def test_images_that_are_missing_for_one_reason_share_their_evidence() -> None:
    """A lost role or a wrong region must not cost twenty requests per image."""
    ids = [f"image-{number}" for number in range(500)]
    run = run_cycle(ids, replies_by_image(dict.fromkeys(ids, NOT_FOUND)), history=FOUND_BEFORE)
    assert set(run.outcome_names.values()) == {"gone"}
    assert requests_of(run) < 3 * len(ids)


def test_mass_404_is_unconfirmed_at_first_and_gone_after_the_second_cycle() -> None:
    before = CycleHistory(any_found=True, existing=AB)
    respond = replies_by_image({"a": NOT_FOUND, "b": NOT_FOUND})
    first = run_cycle("ab", respond, history=before)
    assert first.outcome_names == {"a": "unconfirmed", "b": "unconfirmed"}
    assert "all images of the cloud" in detail(first.outcomes["a"])
    assert (
        first.cycle.history().mass_404_suspected,
        first.cycle.doubts.gone.mass.has_disappeared,
    ) == (
        True,
        False,
    )
    second = run_cycle("ab", respond, history=first.next_history(before))
    assert second.outcome_names == {"a": "gone", "b": "gone"}
    assert second.cycle.doubts.gone.mass.has_disappeared


def test_removal_of_all_images_after_a_mass_404_is_no_mass_disappearance() -> None:
    history = CycleHistory(any_found=True, existing=frozenset(), mass_404_suspected=True)
    run = run_cycle("c", replies_by_image({"c": found("c")}), history=history)
    assert not run.cycle.doubts.gone.mass.has_disappeared


def test_list_shows_during_a_mass_404_if_the_api_is_up() -> None:
    run = run_cycle(
        "ab",
        replies_by_image({"a": NOT_FOUND, "b": NOT_FOUND}),
        history=CycleHistory(any_found=True, existing=AB),
    )
    assert run.cycle.stats.accepted
    assert set(run.outcome_names.values()) == {"unconfirmed"}


def test_outage_between_two_mass_404s_starts_the_suspicion_again() -> None:
    before = CycleHistory(any_found=True, existing=AB)
    missing = replies_by_image({"a": NOT_FOUND, "b": NOT_FOUND})
    history = run_cycle("ab", missing, history=before).next_history(before)
    history = run_cycle(
        "ab", replies_by_image(dict.fromkeys("ab", failed("timeout"))), history=history
    ).next_history(history)
    assert set(run_cycle("ab", missing, history=history).outcome_names.values()) == {"unconfirmed"}


def test_suspected_mass_404_lasts_while_only_the_proof_is_missing() -> None:
    history = CycleHistory(any_found=True, existing=AB)
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
    """In that case the list is the control."""
    table: dict[str, FakeReply | ImageResult] = {"a": NOT_FOUND, "b": failed("forbidden")}
    run = run_cycle(
        "ab", replies_by_image(table), history=CycleHistory(any_found=True, existing=AB)
    )
    assert run.outcome_names == {"a": "gone", "b": "forbidden"}
