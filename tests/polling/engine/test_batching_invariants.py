"""Rules that hold for every cycle with batches, whatever the replies to lists."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from exporter.model.outcome import Failed, Reason
from exporter.polling.engine.batching.planner import MAX_PAGES
from exporter.polling.engine.contradictions import AFTER_CONTRADICTION, MAX_RECHECKS, USUAL
from exporter.polling.engine.evidence_requests import MAX_ATTEMPTS
from exporter.polling.engine.pacing import MAX_RETRIES, CyclePacing
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind
from tests.polling.engine.batches import REFUSED, UNREADABLE, requests_of, run_batches
from tests.support.examples import examples
from tests.support.simulated_cycle import (
    NOT_FOUND,
    FakeReply,
    SimulatedCycle,
    batch_page,
    failed,
    found,
    image_id_of,
)

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
    remaining = list(ids)
    groups = [tuple(remaining.pop(0) for _ in range(length)) for length in lengths]
    existing = frozenset(data.draw(st.sets(st.sampled_from(ids))))
    history = CycleHistory(
        existing=existing, breaker_open=breaker_open, mass_404_suspected=suspected
    )

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
    assert sorted(target.image_id for target, _, _ in run.results) == sorted(ids)
    assert run.cycle.stats.polls == len(ids)
    assert run.now <= run.end
    for target, _, count in run.results:
        image_id = target.image_id
        if run.outcome_names[image_id] == "gone":
            check_gone(run, count, image_id, history)
    for image_id in ids:
        assert run.ids_requested(RequestKind.POLL).count(image_id) <= 1 + MAX_RETRIES
        rechecks = run.ids_requested(RequestKind.RECHECK).count(image_id)
        assert rechecks <= MAX_ATTEMPTS * (MAX_RECHECKS + AFTER_CONTRADICTION.probes)
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
        h
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
    assert rechecks
    assert sum(h.is_conclusive for h in roundtrips) >= USUAL.probes
    existing |= {h.request.control or "" for h in roundtrips if h.has_found_image}
    if len(history.existing) > 1 and not history.mass_404_suspected:
        failures = {
            target.image_id
            for h in roundtrips
            if isinstance(h.result, Failed)
            for target in h.request.targets_to_fail
        }
        assert history.existing & (existing | failures), "all at once, for the first time"
