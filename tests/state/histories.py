"""Histories of images, as polls can produce them, and what a restart makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from exporter.model.cloud import CloudState
from exporter.model.image import Image
from exporter.model.instant import Instant
from exporter.model.observation import NEVER_POLLED
from exporter.model.outcome import REASONS, Failed, Found, Gone, GoneEvidence, Outcome
from exporter.model.target import Target
from exporter.state.document import decode, encode
from exporter.state.records import ClockShift, SavedState, image_record
from exporter.store import Store
from tests.support.images import ID, MAX_STALE, START, later

REBOOTED = 5.0
"""Monotonic time of the new process: a boot has set the clock to zero."""

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
SIZES = st.none() | st.integers(0, 2**63 - 1)
FLAGS = st.none() | st.booleans()
TIMES = st.none() | st.floats(0, 4e9)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), max_size=2).map(tuple)
WORDS = st.lists(TEXTS, max_size=2).map(tuple)
STATUSES = st.sampled_from(["active", "active", "queued", "deactivated", "deleted", "odd"])

IMAGES = st.builds(
    Image,
    api=st.sampled_from(["v1", "v2"]),
    id=st.just(ID),
    status=STATUSES,
    name=st.none() | TEXTS,
    size_bytes=SIZES,
    virtual_size_bytes=SIZES,
    protected=FLAGS,
    public=FLAGS,
    hidden=FLAGS,
    visibility=st.none() | TEXTS,
    deleted=FLAGS,
    created_at=TIMES,
    updated_at=TIMES,
    deleted_at=TIMES,
    container_format=st.none() | TEXTS,
    disk_format=st.none() | TEXTS,
    min_disk_bytes=SIZES,
    min_ram_bytes=SIZES,
    digests=PAIRS,
    project_id=st.none() | TEXTS,
    properties=PAIRS,
    requested_properties=st.none() | st.frozensets(TEXTS, max_size=2),
    tags=WORDS,
    stores=WORDS,
)
EVIDENCE = st.builds(
    GoneEvidence,
    st.floats(START.monotonic - 100, START.monotonic),
    rechecks=st.integers(0, 9),
    controls=WORDS,
    connections=WORDS,
    request_ids=WORDS,
)
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Found, IMAGES, TEXTS, st.booleans()),
    st.builds(Gone, TEXTS, st.none() | EVIDENCE),
    st.builds(Failed, st.sampled_from(list(REASONS)), TEXTS, TEXTS),
)


@dataclass(frozen=True)
class Step:
    """One poll.

    Attributes:
        outcome: Its outcome.
        wait: Seconds since the previous one.
        is_replaced: The connection turned out to be untrustworthy afterwards.
    """

    outcome: Outcome
    wait: float
    is_replaced: bool = False


WAITS = st.sampled_from([0.0, 60.0, MAX_STALE, MAX_STALE + 1])
STEPS = st.lists(st.builds(Step, OUTCOMES, WAITS, st.booleans()), min_size=1, max_size=5)


def polled(target: Target, steps: Sequence[Step]) -> tuple[Store, float]:
    """Return a store after these polls of a target, and the seconds since ``START``."""
    store, clock, observation = store_of(target), 0.0, NEVER_POLLED
    for step in steps:
        clock += step.wait
        before, skew = observation, 1.5
        observation = before.with_outcome(step.outcome, later(clock), MAX_STALE, skew)
        store.observe(target.key, observation)
        if step.is_replaced:
            failed = Failed("malformed")
            observation = observation.with_replaced_outcome(before, failed, later(clock), MAX_STALE)
            store.observe(target.key, observation)
    return store, clock


def store_of(*targets: Target) -> Store:
    """Return a store with these targets of one cloud, which were never polled."""
    store = Store()
    store.add_cloud(CloudState(targets[0].cloud, 60.0), targets)
    return store


def saved(store: Store, at: Instant) -> SavedState:
    """Return the state of a store that was written and read again."""
    records = []
    for key in store.targets():
        image = store.find(key)
        assert image is not None
        records.append(image_record(key, image.observation, image.changes))
    return decode(b"".join(encode(SavedState(at, (0, 1), (), records))))


def restarted(state: SavedState, now: Instant, *targets: Target) -> Store:
    """Return the store of a process that starts ``now`` with a state."""
    store, shift = store_of(*targets), ClockShift.between(state.saved_at, now)
    records = list(state.images)
    store.restore(
        {record.key: shift.observation(record) for record in records},
        [event for record in records for event in shift.events(record)],
    )
    return store


def rebooted(seconds: float) -> Instant:
    """Return the instant so many seconds after ``START`` for a process after a reboot."""
    return Instant(REBOOTED, START.wall + seconds)
