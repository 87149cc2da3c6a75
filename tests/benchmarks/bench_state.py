"""The cost of the state file: its size, and the time and memory of writing and reading it."""

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from exporter.clock import now
from exporter.model.cloud import CloudState
from exporter.model.observation import NEVER_POLLED
from exporter.model.outcome import Found
from exporter.model.target import Target
from exporter.state.document import decode, encode
from exporter.state.file import StateFile
from exporter.state.records import SavedState, image_record
from exporter.store import Store
from tests.benchmarks.images import image_ids, realistic
from tests.benchmarks.report import print_table

COUNTS = (1_000, 10_000, 100_000)
MIB = 2**20
HEADINGS = ("images", "file", "write", "of it on the processor", "memory", "read", "memory")


def test_state_file(tmp_path: Path) -> None:
    """Print the cost of a write, without the pauses of the thread, and of the next start."""
    print_table("The state file", HEADINGS, [_row(count, tmp_path) for count in COUNTS])


def _row(count: int, folder: Path) -> tuple[str, ...]:
    store, file = _store(count), StateFile(folder / str(count))

    def write() -> int:
        return file.write(encode(_state(store)))

    def read() -> SavedState:
        return decode(file.read() or b"")

    write_seconds, write_processor = _seconds(write)
    read_seconds, _ = _seconds(read)
    return (
        f"{count:,}",
        f"{file.path.stat().st_size / MIB:.1f} MiB",
        f"{write_seconds:.2f} s",
        f"{write_processor:.2f} s",
        f"{_peak(write) / MIB:.1f} MiB",
        f"{read_seconds:.2f} s",
        f"{_peak(read) / MIB:.0f} MiB",
    )


def _store(count: int) -> Store:
    targets = [Target("lab", image_id, image_id) for image_id in image_ids(count)]
    store = Store()
    store.add_cloud(CloudState("lab", 60.0), targets)
    for number, target in enumerate(targets):
        found = Found(realistic(target.image_id, number), f"req-{target.image_id}")
        store.observe(target.key, NEVER_POLLED.with_outcome(found, now(), 900.0))
    return store


def _state(store: Store) -> SavedState:
    images = (image_record(target.key, seen, ()) for target, seen in store.observations())
    return SavedState(now(), (0, 1), (), images)


def _seconds(action: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that an action takes, by the clock and on the processor."""
    start, processor = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - start, time.process_time() - processor


def _peak(action: Callable[[], object]) -> int:
    """Return the bytes of memory that an action takes at its peak."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
