"""The daemon and its signals, without a process of its own."""

import contextlib
import gc
import os
import signal
import socket
import threading
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.app import bind_server, build_application
from exporter.clock import steady
from exporter.config import Web, parse, resolved_clouds
from exporter.daemon import Daemon
from exporter.metrics.image_group import ImageGroup
from exporter.model.instant import Instant
from exporter.model.sharding import Shard
from exporter.polling.scheduler import HEARTBEAT, Scheduler
from exporter.process import STOP_SIGNALS, stop_on_signals
from exporter.simulator import SimulatedImageService
from exporter.web.pages.query import Query
from exporter.web.server import connection_limit
from exporter.web.server.listen import ListenError
from tests.support.program import BOUND, GOLDEN, settings_file, simulated
from tests.support.wait import wait_until


@contextmanager
def daemon(
    folder: Path,
    url: str = "http://127.0.0.1:1",
    *,
    interval: str = "60s",
) -> Iterator[Daemon]:
    """Build a daemon with one image that is bound to an address and does not run."""
    cloud = {"name": "lab", "endpoint": url, "images": [GOLDEN]}
    file = settings_file(folder, cloud, interval=interval, timeout="1s")
    settings = parse([f"--config.file={file}"], {}).settings
    application = build_application(resolved_clouds(settings))
    server = bind_server(Web(listen_address=("127.0.0.1:0",)))
    try:
        yield Daemon(application, server, threading.Event())
    finally:
        application.close()
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
def test_daemon_is_healthy_while_the_scheduler_shows_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interval: str, age: float, healthy: bool
) -> None:
    """The limit is three poll intervals or three heartbeats, whichever is longer."""
    with daemon(tmp_path, interval=interval) as exporter:
        monkeypatch.setattr(Scheduler, "beat_age", lambda _: age)
        reason = f"the scheduler has shown no sign of life for {age:.0f} seconds"
        assert exporter.check_health() == (None if healthy else reason)


def test_daemon_is_ready_after_a_cycle_even_if_all_polls_failed(tmp_path: Path) -> None:
    with daemon(tmp_path, interval="2s") as exporter:
        assert exporter.check_readiness() == "no cycle finished yet: lab"
        exporter.application.pollers[0].run_cycle()
        assert exporter.check_readiness() is None
        (row,) = exporter.application.query_images(Query()).rows
        assert (row.state, row.problems) == ("unknown", ("unknown", "failing"))


def test_daemon_is_ready_after_an_interval_even_if_a_cloud_never_responds(tmp_path: Path) -> None:
    with daemon(tmp_path) as exporter:
        exporter.started_at = steady() - 59
        assert exporter.check_readiness() is not None
        exporter.started_at = steady() - 60
        assert exporter.check_readiness() is None


def test_images_are_listed_as_last_polled(tmp_path: Path) -> None:
    with (
        SimulatedImageService([simulated(GOLDEN)]) as service,
        daemon(tmp_path, service.url) as exporter,
    ):
        application = exporter.application
        before = application.query_images(Query())
        assert [row.state for row in before.rows] == ["pending"]
        application.pollers[0].run_cycle()
        after = application.query_images(Query())
        (row,) = after.rows
        assert (row.target.key, row.state, row.problems) == (("lab", GOLDEN), "active", ())
        assert row.observation.state_since is not None
        assert before.now <= row.observation.state_since <= after.now
        assert application.query_images(Query(q="nothing like it")).rows == []
        application.shard = Shard(1, 3)
        assert application.query_images(Query()).shard == Shard(1, 3)


def run_and_stop(folder: Path, service: SimulatedImageService) -> None:
    """Run a daemon until its first cycle has finished, and stop it during a poll."""
    with daemon(folder, service.url, interval="1s") as exporter:
        finished = threading.Event()

        def run() -> None:
            exporter.run()
            finished.set()

        thread = threading.Thread(target=run)
        thread.start()
        wait_until(lambda: exporter.application.store.clouds()[0].last_cycle_at)
        service.faults.set("hang")
        wait_until(lambda: service.log.in_flight == 1)
        exporter.stop.set()
        thread.join(BOUND)
        assert finished.is_set()


def test_connection_that_is_closed_to_make_room_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limit, "MAX_CONNECTIONS", 1)
    with daemon(tmp_path) as exporter:
        thread = threading.Thread(target=exporter.run)
        thread.start()
        host, _, port = exporter.server.addresses[0].partition(":")
        with (
            socket.create_connection((host, int(port)), timeout=BOUND) as silent,
            socket.create_connection((host, int(port)), timeout=BOUND),
            contextlib.suppress(ConnectionError),
        ):
            assert silent.recv(1) == b""
        exporter.stop.set()
        thread.join(BOUND)
        labels = {"reason": "connection_limit"}
        value = exporter.application.exporter_metrics.registry.get_sample_value
        assert value("openstack_image_exporter_refused_connections_total", labels) == 1


def test_stopped_daemon_leaves_no_jobs_threads_or_connections(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with SimulatedImageService([simulated(GOLDEN)]) as service:
        run_and_stop(tmp_path, service)
        wait_until(lambda: service.log.connections_open == 0)
    gc.collect()  # pytest fails for files and sockets that are open now

    def threads_have_ended() -> bool:
        new = set(threading.enumerate()) - before
        return all(thread.daemon and "APScheduler" not in thread.name for thread in new)

    wait_until(threads_have_ended)


@pytest.fixture
def _restored_signal_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_restored_signal_handlers")
@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_first_stop_signal_sets_the_event_and_later_ones_are_ignored(
    number: signal.Signals,
) -> None:
    stop = stop_on_signals()
    assert not stop.is_set()
    for sent in (number, *STOP_SIGNALS):
        os.kill(os.getpid(), sent)
    assert stop.wait(BOUND)


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("nonsense", "listen address 'nonsense': write :PORT"),
        ("a..b:80", "cannot listen on a..b:80: not a host name"),
        ("192.0.2.1:0", "cannot listen on 192.0.2.1:0: this machine does not have the address"),
    ],
)
def test_address_that_cannot_be_bound_is_an_error_in_one_line(address: str, error: str) -> None:
    with pytest.raises(ListenError) as caught:
        bind_server(Web(listen_address=(address,)))
    assert str(caught.value).startswith(error)


def test_running_daemon_renders_without_a_scrape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = threading.Event()
    render = ImageGroup.render

    def render_and_record(group: ImageGroup, now: Instant) -> Set[int]:
        different = render(group, now)
        rendered.set()
        return different

    monkeypatch.setattr(ImageGroup, "render", render_and_record)
    with daemon(tmp_path) as exporter:
        running = threading.Thread(target=exporter.run)
        running.start()
        try:
            wait_until(rendered.is_set)
        finally:
            exporter.stop.set()
            running.join()
    assert "render" not in {thread.name for thread in threading.enumerate()}
