"""Whatever a cloud replies, whenever: what holds of every cycle."""

from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model.outcome import REASONS, Failed, Found, Gone, NotFound, Reading, Reason
from exporter.polling.engine.cycle import MAX_CANARIES
from exporter.polling.engine.pacing import RETRIES, CyclePacing
from exporter.polling.engine.types import CycleHistory, PollRequest, PollResult, RequestKind
from tests.polling.engine.rehearsal import (
    LISTED,
    MISSING,
    Heard,
    Rehearsal,
    Says,
    failed,
    found,
    image_id_of,
    rehearse,
)

IDS = [f"image-{number}" for number in range(6)]
READINGS: st.SearchStrategy[Literal["found", "missing"] | Reason] = st.one_of(
    st.just("found"), st.just("missing"), st.just("missing"), st.sampled_from(sorted(REASONS))
)
SECONDS = st.one_of(st.just(0.0), st.just(0.01), st.floats(0.0, 30.0), st.just(1000.0))
WAITS = st.one_of(st.none(), st.none(), st.none(), st.floats(0.0, 300.0))


def said(what: Literal["found", "missing"] | Reason, ask: PollRequest) -> Reading | None:
    """The reading that a word stands for, of the image or the list that is asked for."""
    if what == "missing":
        return MISSING
    if what == "found":
        return found(image_id_of(ask)) if image_id_of(ask) else LISTED.reading
    return failed(what)


@st.composite
def pasts(draw: st.DrawFn) -> CycleHistory:
    """What cycles before may have left: an image is living, gone, neither, and new or not."""
    kinds = [
        draw(st.sampled_from(["existing", "existing", "gone", "immediate", "unknown"])) for _ in IDS
    ]
    by_kind = {
        kind: frozenset(each for each, its in zip(IDS, kinds, strict=True) if its == kind)
        for kind in ("existing", "gone", "immediate")
    }
    return CycleHistory(
        **by_kind,
        breaker_open=draw(st.booleans()),
        probe_count=draw(st.integers(0, 100)),
        suspect_mass_404=draw(st.booleans()),
        wait_until=draw(st.sampled_from([float("-inf"), 1005.0, 1059.0, 2000.0])),
    )


def is_proved(verdict: PollResult, heard: list[Heard], past: CycleHistory) -> bool:
    """Whether what was heard before the verdict proves, by the rules, that the image is gone.

    Written from the rules alone, to check the cycle's own bookkeeping.
    """
    image_id = verdict.target.image_id
    polls = [h for h in heard if h.ask.kind is RequestKind.POLL and is_404_of(h, image_id)]
    if image_id in past.gone:
        return bool(polls)
    confirms = [
        h.reply.request.received_at
        for h in heard
        if h.ask.kind is RequestKind.CONFIRM
        and is_404_of(h, image_id)
        and any(poll.reply.request.received_at <= h.reply.request.sent_at for poll in polls)
    ]
    proofs = [
        h.reply.request.sent_at
        for h in heard
        if h.is_list or (isinstance(h.reading, Found) and h.ask.targets != (verdict.target,))
    ]
    proved = any(proof >= confirm for confirm in confirms for proof in proofs)
    if len(past.existing) > 1 and not past.suspect_mass_404:
        proved = proved and any(
            image_id_of(h.ask) in past.existing and not isinstance(h.reading, NotFound)
            for h in heard
        )
    return proved


def is_404_of(heard: Heard, image_id: str) -> bool:
    """Whether it is a 404 of this image."""
    of_it = image_id_of(heard.ask) == image_id
    return of_it and isinstance(heard.reading, NotFound)


def check(run: Rehearsal, past: CycleHistory) -> None:
    """What holds of every cycle that ended."""
    decided = [verdict.target.image_id for verdict, _ in run.verdicts]
    assert sorted(decided) == sorted(IDS), "every image has exactly one outcome"
    stats = run.cycle.stats
    assert stats.polls == len(IDS)
    failures = [outcome for outcome in run.words.values() if outcome in REASONS]
    assert sorted(stats.failures.elements()) == sorted(failures)
    assert run.now <= run.end
    for verdict, count in run.verdicts:
        if isinstance(verdict.outcome, Gone):
            assert is_proved(verdict, run.heard[:count], past), verdict
        if isinstance(verdict.outcome, Found):
            assert any(
                h.ask.targets == (verdict.target,) and h.reading == verdict.outcome
                for h in run.heard[:count]
            )
    for image_id in IDS:
        assert run.kinds(RequestKind.POLL).count(image_id) <= 1 + RETRIES
        assert run.kinds(RequestKind.CONFIRM).count(image_id) <= 1 + RETRIES
    assert len(run.kinds(RequestKind.CANARY)) <= MAX_CANARIES
    assert len(run.kinds(RequestKind.LIST)) <= (1 + RETRIES) * (1 + len(IDS))
    last_start = run.end - PACE.interval + PACE.last_start
    assert all(now < last_start for now, _ in run.asked)
    assert all(now >= past.wait_until for now, _ in run.asked)


PACE = CyclePacing(interval=60.0, timeout=10.0, concurrency=3)


@settings(max_examples=400, deadline=None)
@given(st.data(), pasts())
def test_whatever_is_replied_the_rules_hold(data: st.DataObject, past: CycleHistory) -> None:
    """Any replies in any order: one outcome each, and gone only by the whole proof."""

    def answers(ask: PollRequest, _: float) -> Says:
        reading = said(data.draw(READINGS), ask)
        return Says(reading, data.draw(SECONDS), wait=data.draw(WAITS))

    check(rehearse(IDS, answers, past=past, pace=PACE, random=0.3), past)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_an_api_that_works_takes_only_what_is_gone(data: st.DataObject) -> None:
    """Over many cycles of a working API with passing faults, no image that is there is gone."""
    there = data.draw(st.sets(st.sampled_from(IDS)))
    faults: st.SearchStrategy[Reason | None] = st.sampled_from(
        [None, None, "timeout", "connection", "server_error", "rate_limited"]
    )

    def answers(ask: PollRequest, _: float) -> Says:
        fault = data.draw(faults)
        if fault is not None:
            return Says(failed(fault), data.draw(SECONDS))
        here = not image_id_of(ask) or image_id_of(ask) in there
        return Says(said("found" if here else "missing", ask), data.draw(SECONDS))

    past = CycleHistory(immediate=frozenset(IDS))
    for _ in range(4):
        run = rehearse(IDS, answers, past=past, pace=PACE, random=0.3)
        check(run, past)
        assert not {each for each, word in run.words.items() if word == "gone"} & there
        past = run.past(past)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_an_api_that_knows_nothing_takes_nothing(data: st.DataObject) -> None:
    """404s to everything, the list's included, and failures in between: nothing is gone."""

    def answers(_ask: PollRequest, _: float) -> Says:
        failures: tuple[Reason, ...] = ("timeout", "rejected")
        missing = (MISSING, MISSING, MISSING)
        readings: list[NotFound | Failed] = [*missing, *map(failed, failures)]
        what = data.draw(st.sampled_from(readings))
        return Says(what, data.draw(SECONDS))

    past = CycleHistory(existing=frozenset(IDS))
    for _ in range(5):
        run = rehearse(IDS, answers, past=past, pace=PACE, random=0.3)
        check(run, past)
        assert "gone" not in run.words.values()
        past = run.past(past)
