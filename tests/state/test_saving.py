"""When the state file is written, and what happens if that is not possible."""

import logging
import threading
from collections.abc import Iterator
from itertools import chain, count, repeat
from pathlib import Path

import pytest

from exporter.model.instant import Instant
from exporter.state import saving
from exporter.state.document import decode
from exporter.state.file import StateFile
from exporter.state.records import SavedState
from exporter.state.saving import StateSaver
from tests.support.program import BOUND
from tests.support.wait import wait_until


class Saved:
    """A saver of an empty state, with the results of its writes.

    Attributes:
        revision: The number of changes so far.
        image_changes: The number of changes of images so far.
        results: For each write, True if it succeeded.
        error: The error that collecting the state raises.
    """

    def __init__(self, path: Path) -> None:
        self.revision = self.image_changes = 0
        self.results: list[bool] = []
        self.error: Exception | None = None
        self.file = StateFile(path)
        self.saver = StateSaver(
            self.file,
            self._collect,
            lambda: self.revision,
            lambda: self.image_changes,
            self._record,
        )

    def saved_at(self) -> float:
        """Return when the file was written, in its own words."""
        content = self.file.read()
        assert content is not None
        return decode(content).saved_at.wall

    def _collect(self) -> SavedState:
        if self.error is not None:
            raise self.error
        return SavedState(Instant(1.0, float(self.revision)), (0, 1), (), ())

    def _record(self, written_at: float | None) -> None:
        self.results.append(written_at is not None)


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    return Saved(tmp_path / "folder" / "state")


@pytest.fixture
def running(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> Iterator[Saved]:
    """Run a saver that is in a hurry."""
    saved.file.path.parent.mkdir()
    monkeypatch.setattr(saving, "INTERVAL", 0.001)
    monkeypatch.setattr(saving, "SHORT_INTERVAL", 0.001)
    saved.saver.start()
    yield saved
    saved.saver.close()


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno > logging.DEBUG]


def test_unchanged_state_is_not_written_again(saved: Saved) -> None:
    saved.file.path.parent.mkdir()
    saved.saver.save()
    saved.saver.save()
    assert saved.results == [True]
    saved.revision = 1
    saved.saver.save()
    assert saved.results == [True, True]
    assert saved.saved_at() == 1.0


def test_failed_write_is_tried_again_and_logged_once(
    saved: Saved, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    saved.saver.save()
    saved.saver.save()
    assert saved.results == [False, False]
    assert messages(caplog) == ["state file cannot be written, trying again"]
    assert caplog.records[0].fields == {  # type: ignore[attr-defined]
        "file": str(saved.file.path),
        "error": "No such file or directory",
    }
    saved.file.path.parent.mkdir()
    saved.saver.save()
    saved.revision = 1
    saved.saver.save()
    assert saved.results == [False, False, True, True]
    assert messages(caplog)[1:] == ["state file is written again"]


def test_bug_of_the_exporter_does_not_end_the_thread(
    running: Saved, caplog: pytest.LogCaptureFixture
) -> None:
    wait_until(lambda: running.results == [True])
    running.error = RuntimeError("bug")
    running.revision = 1
    wait_until(lambda: False in running.results)
    running.error = None
    wait_until(lambda: running.results[-1])
    assert "writing the state file crashed" in messages(caplog)
    assert running.saved_at() == 1.0


def test_changed_state_is_written_regularly(running: Saved) -> None:
    for revision in range(1, 4):
        running.revision = revision
        wait_until(lambda revision=revision: running.results and running.saved_at() == revision)  # type: ignore[misc]  # mypy takes the default for an argument


def test_state_is_written_at_the_end(saved: Saved) -> None:
    saved.file.path.parent.mkdir()
    saved.saver.start()
    saved.revision = 7
    saved.saver.close()
    assert saved.saved_at() == 7.0
    assert saved.results == [True]


@pytest.mark.parametrize("last", [1, 2], ids=["the same state", "a newer state"])
def test_end_interrupts_a_write_in_progress(
    running: Saved, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, last: int
) -> None:
    """With very many images, the time at the end is too short for two writes."""
    wait_until(lambda: running.results == [True])
    monkeypatch.setattr(saving, "PAUSE", BOUND)
    running.revision = 1
    temporary = running.file.path.with_name("state.tmp")
    wait_until(temporary.exists)
    running.revision = last
    running.saver.close()
    assert running.saved_at() == last
    assert running.results == [True, True]
    assert not temporary.exists()
    assert messages(caplog) == []


def test_disk_that_hangs_does_not_delay_the_end(
    saved: Saved, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    responds = threading.Event()
    monkeypatch.setattr(saving, "LAST_WRITE_LIMIT", 0.01)
    monkeypatch.setattr(saved.file, "write", lambda _: responds.wait() and 0)
    saved.saver.start()
    saved.saver.close()
    assert messages(caplog) == ["state file not written in time"]
    responds.set()
    wait_until(lambda: saved.results)


def waits_of(saved: Saved, monkeypatch: pytest.MonkeyPatch, writes: list[float]) -> list[float]:
    """Return the seconds that a saver waits before each write; the writes take ``writes``."""
    clock, waits, waited = [0.0], list[float](), [0.0]
    remaining = iter(writes)

    def wait(seconds: float) -> bool:
        waited[0] += seconds
        return len(waits) == len(writes)

    def save(**_: bool) -> None:
        if len(waits) < len(writes):
            waits.append(waited[0])
            waited[0] = 0.0
            clock[0] += next(remaining)

    monkeypatch.setattr(saving, "steady", lambda: clock[0])
    monkeypatch.setattr(saved.saver, "save", save)
    monkeypatch.setattr(saved.saver._stop, "wait", wait)
    saved.saver._run()
    return waits


def test_slow_writes_are_rarer(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    """With very many images the processor must not be busy with the file."""
    assert waits_of(saved, monkeypatch, [10.0, 0.5, 0.01, 0.01]) == [60.0, 200.0, 60.0, 60.0]


def test_change_of_an_image_is_written_soon(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash must not take back a counter that Prometheus has seen."""
    monkeypatch.setattr(saved.saver, "_image_changes", count().__next__)
    assert waits_of(saved, monkeypatch, [0.01, 10.0, 0.01]) == [5.0, 5.0, 200.0]


def test_change_that_is_written_does_not_hasten_the_next_write(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = chain([0, 1], repeat(1))
    monkeypatch.setattr(saved.saver, "_image_changes", numbers.__next__)
    assert waits_of(saved, monkeypatch, [0.01, 0.01]) == [5.0, 60.0]
