"""Answers that are older than one received before, by whole cycles without threads."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from exporter.model.contradiction import ContradictionKind
from exporter.model.image import Image
from exporter.model.outcome import Failed, Found, ImageResult
from exporter.polling.engine.contradictions import ContradictionMemory
from exporter.polling.engine.cycle import MAX_FRESH_LISTS
from exporter.polling.engine.older_responses import LATE_RECHECKS
from exporter.polling.engine.types import CLOCK_MARGIN, CycleHistory, PollRequest, RequestKind
from tests.polling.engine.batches import IDS, FakeCloud, run_batches
from tests.support.simulated_cycle import (
    NOT_FOUND,
    FakeReply,
    SimulatedCycle,
    batch_page,
    failed,
    found,
    run_cycle,
)

CREATED, YESTERDAY, TODAY = 1000.0, 2000.0, 3000.0


def image(updated_at: float | None, created_at: float = CREATED) -> Found:
    """Return the outcome of image ``a`` as it was updated at that time."""
    return Found(Image("v2", "a", "active", created_at=created_at, updated_at=updated_at))


def history_of(seen: Found, **fields: object) -> CycleHistory:
    """Return the history of a cloud whose image ``a`` was last seen like this."""
    return CycleHistory(existing=frozenset("a"), seen={"a": seen.image}, **fields)  # type: ignore[arg-type]  # fields of CycleHistory


def only_rechecks(run: SimulatedCycle) -> int:
    """Return the number of rechecks."""
    return len(run.ids_requested(RequestKind.RECHECK))


def test_older_answer_is_not_believed_if_another_server_has_the_newer_state() -> None:
    answers: Iterator[Found] = iter([image(YESTERDAY), image(YESTERDAY)])
    run = run_cycle("a", lambda *_: next(answers, image(TODAY)), history=history_of(image(TODAY)))
    assert run.outcomes == {"a": image(TODAY)}
    assert [c.kind for c in run.contradictions] == [ContradictionKind.OLDER]
    assert run.cycle.history().contradictions.longest_run == 2


def test_older_answer_is_believed_after_it_was_repeated_on_fresh_connections() -> None:
    """The database was restored from a backup."""
    run = run_cycle("a", lambda *_: image(YESTERDAY), history=history_of(image(TODAY)))
    assert run.outcomes == {"a": image(YESTERDAY)}
    assert run.contradictions == []
    assert only_rechecks(run) == 8


@pytest.mark.parametrize(
    "answer",
    [image(TODAY), image(TODAY + 1), image(None), image(YESTERDAY, created_at=CREATED + 1)],
    ids=["equal", "newer", "without time", "another image with the same ID"],
)
def test_answer_that_is_not_older_is_believed_at_once(answer: Found) -> None:
    run = run_cycle("a", lambda *_: answer, history=history_of(image(TODAY)))
    assert run.outcomes == {"a": answer}
    assert only_rechecks(run) == 0


def test_image_that_was_created_earlier_is_older() -> None:
    """It was deleted and created again under the same ID, and a stale replica has the old one."""
    old = image(TODAY, created_at=CREATED - 1)
    answers = iter([old])
    run = run_cycle("a", lambda *_: next(answers, image(TODAY)), history=history_of(image(TODAY)))
    assert run.outcomes == {"a": image(TODAY)}
    assert len(run.contradictions) == 1


def test_image_on_a_further_page_was_not_left_out() -> None:
    """A list of a few images is cut, and the rest of them is requested one by one."""
    history = CycleHistory(
        existing=frozenset(IDS),
        seen={image_id: found(image_id).image for image_id in IDS},
        listed=dict.fromkeys(IDS, False),
    )

    def respond(request: PollRequest, _: float) -> FakeReply | Found:
        if request.kind is RequestKind.BATCH:
            return batch_page(*map(found, IDS[:-1]), next_path="/v2/images?p=2")
        return found(request.targets[0].image_id)

    assert run_batches(respond, history=history).contradictions == []


def test_list_that_is_404_is_requested_again_on_a_fresh_connection() -> None:
    """A connection that is kept open may lead to the one server that answers 404."""
    cloud = FakeCloud()

    def respond(request: PollRequest, now: float) -> FakeReply | ImageResult:
        if request.kind is RequestKind.BATCH and not request.fresh:
            return Failed("unconfirmed", "the list of images is 404", "req-1")
        return cloud(request, now)

    run = run_batches(respond)
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert run.contradictions[0].request_ids[0] == "req-1"
    missing = run_batches(lambda *_: Failed("unconfirmed", "the list of images is 404"))
    assert set(missing.outcome_names.values()) == {"unconfirmed"}
    # The last two show that a short list and an image fail as well.
    assert len(missing.sent) == 1 + MAX_FRESH_LISTS + 2


def test_older_answer_needs_two_cycles_while_servers_contradict_each_other() -> None:
    history = history_of(image(TODAY), contradictions=ContradictionMemory(until=1e9))
    first = run_cycle("a", lambda *_: image(YESTERDAY), history=history)
    assert first.outcome_names == {"a": "unconfirmed"}
    second_history = history_of(
        image(TODAY),
        contradictions=ContradictionMemory(until=1e9),
        older_once=first.cycle.history().older_once,
    )
    second = run_cycle("a", lambda *_: image(YESTERDAY), history=second_history)
    assert second.outcomes == {"a": image(YESTERDAY)}


def test_gone_image_that_returns_unchanged_is_rechecked() -> None:
    """A stale replica still has it; but it may also have been shared again."""
    history = CycleHistory(gone=frozenset("a"), seen={"a": image(TODAY).image})
    back = run_cycle("a", lambda *_: image(TODAY), history=history)
    assert back.outcomes == {"a": image(TODAY)}
    assert only_rechecks(back) == 8
    answers = iter([image(TODAY)])
    stale = run_cycle("a", lambda *_: next(answers, NOT_FOUND), history=history)
    assert stale.outcome_names == {"a": "gone"}
    assert [c.kind for c in stale.contradictions] == [ContradictionKind.NOT_FOUND]


def test_gone_image_that_was_created_again_exists_at_once() -> None:
    history = CycleHistory(gone=frozenset("a"), seen={"a": image(TODAY).image})
    run = run_cycle("a", lambda *_: image(TODAY + 1, created_at=TODAY + 1), history=history)
    assert run.outcome_names == {"a": "found"}
    assert only_rechecks(run) == 0


def test_older_answer_after_a_404_is_unconfirmed() -> None:
    answers = iter([NOT_FOUND])
    run = run_cycle(
        "a", lambda *_: next(answers, image(YESTERDAY)), history=history_of(image(TODAY))
    )
    assert run.outcome_names == {"a": "unconfirmed"}
    outcome = run.outcomes["a"]
    assert isinstance(outcome, Failed)
    assert "an older state" in outcome.detail


def test_404_of_an_existing_image_after_an_older_answer_is_unconfirmed() -> None:
    answers = iter([image(YESTERDAY)])
    run = run_cycle("a", lambda *_: next(answers, NOT_FOUND), history=history_of(image(TODAY)))
    assert run.outcome_names == {"a": "unconfirmed"}
    assert len(run.contradictions) == 1


def test_failed_recheck_leaves_the_older_answer_unconfirmed() -> None:
    def respond(request: PollRequest, _: float) -> FakeReply | Found | Failed:
        return failed("forbidden") if request.kind is RequestKind.RECHECK else image(YESTERDAY)

    run = run_cycle("a", respond, history=history_of(image(TODAY)))
    assert run.outcome_names == {"a": "unconfirmed"}


def test_transient_failures_delay_the_decision() -> None:
    answers: Iterator[Found | Failed] = iter([image(YESTERDAY), failed("timeout")])
    run = run_cycle(
        "a", lambda *_: next(answers, image(YESTERDAY)), history=history_of(image(TODAY))
    )
    assert run.outcomes == {"a": image(YESTERDAY)}


def test_image_left_out_of_a_list_that_had_it_is_a_contradiction() -> None:
    first = run_batches(FakeCloud())
    images = {
        image_id: outcome.image
        for image_id, outcome in first.outcomes.items()
        if isinstance(outcome, Found)
    }
    history = CycleHistory(
        existing=frozenset(IDS), seen=images, listed=first.cycle.history().listed
    )
    assert set(history.listed) == set(IDS)
    run = run_batches(FakeCloud(unlisted=frozenset({IDS[3]})), history=history)
    assert run.outcome_names == dict.fromkeys(IDS, "found")
    assert [(c.image_id, c.kind) for c in run.contradictions] == [
        (IDS[3], ContradictionKind.NOT_LISTED)
    ]
    again = run_batches(
        FakeCloud(unlisted=frozenset({IDS[3]})),
        history=CycleHistory(
            existing=frozenset(IDS), seen=images, listed=run.cycle.history().listed
        ),
    )
    assert again.contradictions == [], "a list may leave out images for good"


def late_history(seen: Found) -> CycleHistory:
    """Return the history of an image that was first polled long after its changes."""
    return history_of(seen, seen_since={"a": TODAY + 1000.0})


def test_late_answer_corrects_the_first_one_if_another_server_still_has_that() -> None:
    """A stale replica answered the first poll, so what differs did not change since then."""
    answers: Iterator[Found] = iter([image(TODAY), image(TODAY), image(YESTERDAY)])
    run = run_cycle(
        "a", lambda *_: next(answers, image(TODAY)), history=late_history(image(YESTERDAY))
    )
    assert run.outcomes == {"a": replace(image(TODAY), corrects=True)}
    assert [c.kind for c in run.contradictions] == [ContradictionKind.OLDER]


def test_late_answer_is_a_change_if_no_server_has_the_first_one() -> None:
    run = run_cycle("a", lambda *_: image(TODAY), history=late_history(image(YESTERDAY)))
    assert run.outcomes == {"a": image(TODAY)}
    assert only_rechecks(run) == LATE_RECHECKS


def test_late_answer_is_a_correction_while_servers_contradict_each_other() -> None:
    history = replace(late_history(image(YESTERDAY)), contradictions=ContradictionMemory(until=1e9))
    run = run_cycle("a", lambda *_: image(TODAY), history=history)
    assert run.outcomes == {"a": replace(image(TODAY), corrects=True)}
    assert only_rechecks(run) == 0


def test_change_since_the_first_poll_is_not_late() -> None:
    run = run_cycle(
        "a",
        lambda *_: image(TODAY + 1000.0 - CLOCK_MARGIN),
        history=late_history(image(YESTERDAY)),
    )
    assert run.outcome_names == {"a": "found"}
    assert only_rechecks(run) == 0


def test_many_older_responses_share_their_rechecks() -> None:
    """A whole database was restored from a backup."""
    ids = [f"image-{number}" for number in range(500)]
    old = {i: Found(Image("v2", i, "active", created_at=1.0, updated_at=YESTERDAY)) for i in ids}
    seen = {i: replace(old[i].image, updated_at=TODAY) for i in ids}
    history = CycleHistory(existing=frozenset(ids), seen=seen, immediate=frozenset(ids))
    run = run_cycle(ids, lambda request, _: old[request.targets[0].image_id], history=history)
    assert run.outcomes == old
    assert len(run.sent) < 3 * len(ids)
    late = replace(history, seen={i: replace(image, updated_at=500.0) for i, image in seen.items()})
    late = replace(late, seen_since=dict.fromkeys(ids, TODAY))
    run = run_cycle(ids, lambda request, _: old[request.targets[0].image_id], history=late)
    assert run.outcomes == old
    assert len(run.sent) < 3 * len(ids)


def test_fractions_of_seconds_in_v1_do_not_make_v2_older() -> None:
    run = run_cycle("a", lambda *_: image(TODAY), history=history_of(image(TODAY + 0.99)))
    assert only_rechecks(run) == 0


def test_gone_image_that_was_never_seen_is_rechecked() -> None:
    answers = iter([image(TODAY)])
    history = CycleHistory(gone=frozenset("a"))
    run = run_cycle("a", lambda *_: next(answers, NOT_FOUND), history=history)
    assert run.outcome_names == {"a": "gone"}
