"""Rules that hold for every cycle, whatever a cloud replies and when."""

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from exporter.model.outcome import REASONS, Failed, Found, Gone, ImageResult, NotFound, Reason
from exporter.model.target import Target
from exporter.polling.engine.contradictions import (
    AFTER_CONTRADICTION,
    MAX_RECHECKS,
    USUAL,
    ContradictionMemory,
)
from exporter.polling.engine.doubts import EVIDENCE_KINDS
from exporter.polling.engine.evidence_requests import MAX_ATTEMPTS
from exporter.polling.engine.pacing import MAX_RETRIES, CyclePacing
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind
from tests.support.examples import examples
from tests.support.simulated_cycle import (
    LIST_OK,
    NOT_FOUND,
    FakeReply,
    Roundtrip,
    SimulatedCycle,
    failed,
    found,
    image_id_of,
    run_cycle,
)

IDS = [f"image-{number}" for number in range(6)]
READINGS: st.SearchStrategy[Literal["found", "missing"] | Reason] = st.one_of(
    st.just("found"), st.just("missing"), st.just("missing"), st.sampled_from(sorted(REASONS))
)
SECONDS = st.one_of(st.just(0.0), st.just(0.01), st.floats(0.0, 30.0), st.just(1000.0))
WAITS = st.one_of(st.none(), st.none(), st.none(), st.floats(0.0, 300.0))


def result_named(
    what: Literal["found", "missing"] | Reason, request: PollRequest
) -> ImageResult | None:
    """Return the result with this name, of the requested image or list."""
    if what == "missing":
        return NOT_FOUND
    if what == "found":
        return found(image_id_of(request)) if image_id_of(request) else LIST_OK.result
    return failed(what)


@st.composite
def histories(draw: st.DrawFn) -> CycleHistory:
    """Draw a history: each image existed, was gone, neither, or is new."""
    kinds = [
        draw(st.sampled_from(["existing", "existing", "gone", "immediate", "unknown"])) for _ in IDS
    ]
    by_kind = {
        kind: frozenset(image_id for image_id, its in zip(IDS, kinds, strict=True) if its == kind)
        for kind in ("existing", "gone", "immediate")
    }
    return CycleHistory(
        existing=by_kind["existing"],
        gone=by_kind["gone"],
        immediate=by_kind["immediate"],
        contradictions=ContradictionMemory(until=draw(st.sampled_from([float("-inf"), 1e9]))),
        breaker_open=draw(st.booleans()),
        probe_count=draw(st.integers(0, 100)),
        mass_404_suspected=draw(st.booleans()),
        wait_until=draw(st.sampled_from([float("-inf"), 1005.0, 1059.0, 2000.0])),
    )


def is_proved(target: Target, roundtrips: list[Roundtrip], history: CycleHistory) -> bool:
    """Return True if the replies before the result prove that the image is gone.

    Written from the rules alone, to check the cycle's own bookkeeping.
    """
    image_id = target.image_id
    polls = [h for h in roundtrips if h.request.kind is RequestKind.POLL and is_404_of(h, image_id)]
    if image_id in history.gone:
        return any(is_404_of(h, image_id) for h in roundtrips)
    rechecks = [
        h
        for h in roundtrips
        if h.request.kind is RequestKind.RECHECK
        and is_404_of(h, image_id)
        and any(poll.received_at <= h.sent_at for poll in polls)
    ]
    probes = [h for h in roundtrips if h.is_conclusive]
    own_probes = [h for h in probes if h.request.targets == (target,)]
    is_shared = not any(h.has_found_image for h in roundtrips)
    if not is_shared and (len(rechecks) < USUAL.rechecks or len(own_probes) < USUAL.probes):
        return False
    if not rechecks or len(probes) < USUAL.probes:
        return False
    if len(history.existing) > 1 and not history.mass_404_suspected:
        return any(
            image_id_of(h.request) in history.existing and not isinstance(h.result, NotFound)
            for h in roundtrips
        ) or any(h.request.control in history.existing and h.has_found_image for h in roundtrips)
    return True


def is_404_of(roundtrips: Roundtrip, image_id: str) -> bool:
    """Return True for a 404 of this image."""
    of_it = image_id_of(roundtrips.request) == image_id
    return of_it and isinstance(roundtrips.result, NotFound)


def check(run: SimulatedCycle, history: CycleHistory) -> None:
    """Check the rules that hold for every cycle."""
    decided = [target.image_id for target, _, _ in run.results]
    assert sorted(decided) == sorted(IDS), "every image has exactly one outcome"
    stats = run.cycle.stats
    assert stats.polls == len(IDS)
    failures = [outcome for outcome in run.outcome_names.values() if outcome in REASONS]
    assert sorted(stats.failures.elements()) == sorted(failures)
    assert run.now <= run.end
    for target, outcome, count in run.results:
        if isinstance(outcome, Gone):
            assert is_proved(target, run.roundtrips[:count], history), target
        if isinstance(outcome, Found):
            assert any(
                h.request.targets == (target,) and h.has_found_image for h in run.roundtrips[:count]
            )
    for image_id in IDS:
        assert run.ids_requested(RequestKind.POLL).count(image_id) <= 1 + MAX_RETRIES
        evidence = [h for h in run.sent if h[1].kind in EVIDENCE_KINDS]
        about_image = [h for h in evidence if h[1].targets[0].image_id == image_id]
        assert len(about_image) <= MAX_ATTEMPTS * (MAX_RECHECKS + AFTER_CONTRADICTION.probes)
    assert len(run.ids_requested(RequestKind.LIST)) <= (1 + MAX_RETRIES) * (1 + len(IDS))
    last_start = run.end - PACING.interval + PACING.sending_time
    assert all(now < last_start for now, _ in run.sent)
    assert all(now >= history.wait_until for now, _ in run.sent)


PACING = CyclePacing(interval=60.0, timeout=10.0, concurrency=3)


@examples(400)
@given(st.data(), histories())
def test_rules_hold_for_any_replies(data: st.DataObject, history: CycleHistory) -> None:
    """Each image has one outcome, and is gone only with the whole proof."""

    def respond(request: PollRequest, _: float) -> FakeReply:
        reading = result_named(data.draw(READINGS), request)
        return FakeReply(reading, data.draw(SECONDS), retry_after=data.draw(WAITS))

    check(run_cycle(IDS, respond, history=history, pacing=PACING, random=0.3), history)


@examples(100)
@given(st.data())
def test_no_existing_image_is_gone_with_transient_faults(data: st.DataObject) -> None:
    there = data.draw(st.sets(st.sampled_from(IDS)))
    faults: st.SearchStrategy[Reason | None] = st.sampled_from(
        [None, None, "timeout", "connection", "server_error", "rate_limited"]
    )

    def respond(request: PollRequest, _: float) -> FakeReply:
        fault = data.draw(faults)
        if fault is not None:
            return FakeReply(failed(fault), data.draw(SECONDS))
        here = not image_id_of(request) or image_id_of(request) in there
        return FakeReply(result_named("found" if here else "missing", request), data.draw(SECONDS))

    history = CycleHistory(immediate=frozenset(IDS))
    for _ in range(4):
        run = run_cycle(IDS, respond, history=history, pacing=PACING, random=0.3)
        check(run, history)
        assert (
            not {
                image_id
                for image_id, outcome_name in run.outcome_names.items()
                if outcome_name == "gone"
            }
            & there
        )
        history = run.next_history(history)


@examples(50)
@given(st.data())
def test_nothing_is_gone_if_the_list_is_404_too(data: st.DataObject) -> None:

    def respond(_ask: PollRequest, _: float) -> FakeReply:
        failures: tuple[Reason, ...] = ("timeout", "rejected")
        missing = (NOT_FOUND, NOT_FOUND, NOT_FOUND)
        readings: list[NotFound | Failed] = [*missing, *map(failed, failures)]
        what = data.draw(st.sampled_from(readings))
        return FakeReply(what, data.draw(SECONDS))

    history = CycleHistory(existing=frozenset(IDS))
    for _ in range(5):
        run = run_cycle(IDS, respond, history=history, pacing=PACING, random=0.3)
        check(run, history)
        assert "gone" not in run.outcome_names.values()
        history = run.next_history(history)
