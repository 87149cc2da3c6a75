"""Tests of exporter.commands.run: the daemon's parts, without a process of its own."""

import gc
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter.app import build
from exporter.clock import steady
from exporter.config import Web, parse, resolved_clouds
from exporter.daemon import Daemon, listening
from exporter.model.sharding import Shard
from exporter.polling.scheduler import HEARTBEAT, Scheduler
from exporter.process import STOP_SIGNALS, stop_on_signals
from exporter.simulator import SimulatedImageService
from exporter.web.pages.query import Query
from exporter.web.server.listen import ListenError
from tests.support.program import BOUND, GOLDEN, settings_file, simulated
from tests.support.wait import wait_until


@dataclass
class Silent(Scheduler):
    """A scheduler whose last sign of life was so many seconds ago."""

    age: float

    def __post_init__(self) -> None:
        """Be a scheduler that runs nothing."""
        super().__init__()

    def beat_age(self) -> float:
        """What a test wants it to be."""
        return self.age


@contextmanager
def daemon(
    folder: Path, url: str = "http://127.0.0.1:1", *, interval: str = "60s", age: float = 0.0
) -> Iterator[Daemon]:
    """A daemon that has its address, with one image, and does not run."""
    cloud = {"name": "lab", "endpoint": url, "images": [GOLDEN]}
    file = settings_file(folder, cloud, interval=interval, timeout="1s")
    parts = build(resolved_clouds(parse([f"--config.file={file}"], {}).settings))
    server = listening(Web(listen_address="127.0.0.1:0"))
    try:
        yield Daemon(parts, server, threading.Event(), Silent(age))
    finally:
        parts.close()
        server.close()


@pytest.mark.parametrize(
    ("interval", "age", "healthy"),
    [
        ("1s", 3 * HEARTBEAT - 0.1, True),
        ("1s", 3 * HEARTBEAT, False),
        ("60s", 179.9, True),
        ("60s", 180.0, False),
    ],
)
def test_healthy_is_a_scheduler_that_lives(
    tmp_path: Path, interval: str, age: float, healthy: bool
) -> None:
    """It may be silent for three intervals or three of its own beats, whichever is longer."""
    with daemon(tmp_path, interval=interval, age=age) as made:
        said = f"the scheduler has shown no sign of life for {age:.0f} seconds"
        assert made.why_unhealthy() == (None if healthy else said)


def test_ready_is_a_cycle_that_finished(tmp_path: Path) -> None:
    """The first cycle makes it ready, though every poll of it failed."""
    with daemon(tmp_path, interval="2s") as made:
        assert made.why_not_ready() == "no cycle finished yet: lab"
        made.parts.pollers[0].run_cycle()
        assert made.why_not_ready() is None
        (row,) = made.images(Query()).rows
        assert (row.state, row.problems) == ("unknown", ("unknown", "failing"))


def test_ready_is_an_interval_that_passed(tmp_path: Path) -> None:
    """A cloud that never answers does not keep the pages of the others from being scraped."""
    with daemon(tmp_path) as made:
        made.started_at = steady() - 59
        assert made.why_not_ready() is not None
        made.started_at = steady() - 60
        assert made.why_not_ready() is None


def test_images_are_what_is_known(tmp_path: Path) -> None:
    """Before the first poll nothing is, then the state and when it was seen."""
    with (
        SimulatedImageService([simulated(GOLDEN)]) as service,
        daemon(tmp_path, service.url) as made,
    ):
        before = made.images(Query())
        assert [row.state for row in before.rows] == ["pending"]
        made.parts.pollers[0].run_cycle()
        after = made.images(Query())
        (row,) = after.rows
        assert (row.target.key, row.state, row.problems) == (("lab", GOLDEN), "active", ())
        assert row.observation.state_since is not None
        assert before.now <= row.observation.state_since <= after.now
        assert made.images(Query(q="nothing like it")).rows == []
        made.parts.shard = Shard(1, 3)
        assert made.images(Query()).shard == Shard(1, 3)


def run_and_end(folder: Path, service: SimulatedImageService) -> None:
    """Run a daemon up to its first cycle and end it in the middle of a poll."""
    with daemon(folder, service.url, interval="1s") as made:
        made.scheduler = Scheduler()
        status: list[int] = []
        thread = threading.Thread(target=lambda: status.append(made.run()))
        thread.start()
        wait_until(lambda: made.parts.store.clouds()[0].last_cycle_at)
        service.faults.set("hang")
        wait_until(lambda: service.log.in_flight == 1)
        made.stop.set()
        thread.join(BOUND)
        assert status == [0]


def test_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    """When it has run, nothing is scheduled, keeps the process alive, or is left open."""
    before = set(threading.enumerate())
    with SimulatedImageService([simulated(GOLDEN)]) as service:
        run_and_end(tmp_path, service)
        wait_until(lambda: service.log.connections_open == 0)
    gc.collect()  # pytest fails for what is found open now

    def are_gone() -> bool:
        left = set(threading.enumerate()) - before
        return all(each.daemon and "APScheduler" not in each.name for each in left)

    wait_until(are_gone)


@pytest.fixture
def _signals_as_before() -> Iterator[None]:
    before = {each: signal.getsignal(each) for each in STOP_SIGNALS}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.usefixtures("_signals_as_before")
@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_signals_set_the_event(number: signal.Signals) -> None:
    """The first signal sets it, and more of them do nothing."""
    stop = stop_on_signals()
    assert not stop.is_set()
    for each in (number, *STOP_SIGNALS):
        os.kill(os.getpid(), each)
    assert stop.wait(BOUND)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nonsense", "listen address 'nonsense': write :PORT"),
        ("a..b:80", "cannot listen on a..b:80: not a name of a host"),
        ("192.0.2.1:0", "cannot listen on 192.0.2.1:0: this machine does not have the address"),
    ],
)
def test_addresses_that_cannot_be_taken(address: str, said: str) -> None:
    """Whatever is wrong is said in one line that begins with the address."""
    with pytest.raises(ListenError) as caught:
        listening(Web(listen_address=address))
    assert str(caught.value).startswith(said)
