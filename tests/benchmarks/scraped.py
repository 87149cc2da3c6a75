"""A process that serves the metrics of many images from one of three sources.

``python -m tests.benchmarks.scraped COUNT SOURCE [WEB_CONFIG_FILE]`` prints the URL of its metrics.
The sources are ``exporter``: fixed observations; ``prometheus_client``: the same by its own
collector and WSGI app; or the URL of an Image service, which is polled at full speed. For each line
on standard input, a ``Change``, the process changes images and prints its resident size and its
peak since the line before in bytes, and the processor time that it has used in seconds. It exits at
the end of the input.

Clients of other loopback addresses than 127.0.0.1 are limited as those of other machines.
"""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from pathlib import Path
from typing import IO

from prometheus_client import CollectorRegistry, start_http_server

from exporter.clock import now
from exporter.metrics.cloud_collector import CloudCollector
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.exposition import Exposition
from exporter.metrics.render_thread import rendering_in_background
from exporter.model.cloud import CloudState
from exporter.model.instant import Instant
from exporter.model.outcome import Failed, Found, Outcome
from exporter.model.target import Target
from exporter.open_files import raise_limit
from exporter.polling.poller import Poller
from exporter.process import collect_garbage_rarely, switch_threads_often
from exporter.store import Store
from exporter.web.app import create_app
from exporter.web.handlers import Handlers
from exporter.web.pages.image_list import query_images
from exporter.web.security.middleware import SecurityState
from exporter.web.server import http_protocol, listening_socket
from exporter.web.server.server import WebServer
from exporter.web_security import load_security
from tests.benchmarks.images import image_ids, realistic
from tests.benchmarks.polling import running_application
from tests.support.reference_collector import ImageCollector

MAX_STALE = 900.0
INTERVAL = 1.0
"""Seconds. So short that images are polled at full speed."""

POLLS_AT_ONCE = 200
PAUSE = 0.05
"""Seconds between so many polls, so that all images change as fast as they can be polled."""


class Change(Enum):
    """A change before a scrape."""

    NOTHING = "nothing"
    ONE = "one"
    ALL_FAILED = "failed"
    ALL_FOUND = "found"
    ALL_EXPIRED = "expired"


class Scraped:
    """The process as its parent sees it."""

    def __init__(self, output: IO[str], control: IO[str]) -> None:
        self._output, self._control = output, control
        self.url = output.readline().strip()
        self.processor_seconds = 0.0

    def change(self, change: Change = Change.ONE) -> tuple[float, float]:
        """Change images; return the resident size of the process and its peak since, in bytes."""
        self._control.write(f"{change.value}\n")
        self._control.flush()
        resident, peak, self.processor_seconds = map(float, self._output.readline().split())
        return resident, peak


@contextmanager
def scraped(count: int, source: str, web_config: Path | None = None) -> Iterator[Scraped]:
    """Start the process."""
    command = [sys.executable, "-m", "tests.benchmarks.scraped", str(count), source]
    command += [] if web_config is None else [str(web_config)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Scraped(process.stdout, process.stdin)
        process.stdin.close()


def is_consistent(size: float, virtual_size: float | None) -> bool:
    """Return True if both are from the same observation; the service has no virtual size."""
    if virtual_size is None:
        return size < 2**31
    return size - 2**31 == virtual_size - 2**33


def _filled_store(targets: list[Target]) -> Store:
    store = Store()
    store.add_cloud(CloudState("bench", 60.0), targets)
    for number, target in enumerate(targets):
        _observe(store, target, number)
    return store


class BenchClock:
    """The clocks of the exporter, which the benchmark can set forward."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> Instant:
        """Return the time."""
        monotonic, wall = now()
        return Instant(monotonic + self.offset, wall + self.offset)


CLOCK = BenchClock()


def _observe(store: Store, target: Target, number: int) -> None:
    _record(store, target, Found(realistic(target.image_id, number)))


def _record(store: Store, target: Target, outcome: Outcome) -> None:
    before = store.observation(target.key)
    store.observe(target.key, before.with_outcome(outcome, CLOCK.now(), MAX_STALE))


def _apply(change: Change, store: Store, targets: list[Target], number: int) -> None:
    """Change the images of the store, all of them at the rate of polls."""
    if change is Change.ONE:
        _observe(store, targets[number % len(targets)], len(targets) + number)
    elif change is Change.ALL_EXPIRED:
        CLOCK.offset += MAX_STALE + 1
    elif change is not Change.NOTHING:
        for index, target in enumerate(targets):
            is_found = change is Change.ALL_FOUND
            _record(
                store,
                target,
                Found(realistic(target.image_id, index)) if is_found else Failed("timeout"),
            )
            if index % POLLS_AT_ONCE == POLLS_AT_ONCE - 1:
                time.sleep(PAUSE)


def _poll(poller: Poller, stop: threading.Event) -> None:
    while not stop.is_set():
        poller.run_cycle()


def _serve(store: Store, stop: threading.Event, web_config: Path | None) -> str:
    """Serve as the daemon does, and return the address."""
    security = SecurityState(load_security(web_config).config)
    for module in (http_protocol, listening_socket):
        vars(module).update(limited_address=_limited_address)
    own = ExporterMetrics("0")
    own.registry.register(CloudCollector(store))
    server = WebServer("127.0.0.1:0")
    server.bind()
    exposition = Exposition(store, own.registry, CLOCK.now)
    threading.Thread(target=_render, args=(exposition, stop), daemon=True).start()
    handlers = Handlers(
        render_metrics=exposition.body,
        query_images=lambda query: query_images(store, query, now()),
        find_image=lambda **_: None,
        check_health=lambda: None,
        check_readiness=lambda: None,
    )
    app = create_app(handlers)
    threading.Thread(target=server.serve, args=(app, stop, security), daemon=True).start()
    return server.addresses[0]


def _limited_address(peer: tuple[str, int]) -> str | None:
    return None if peer[0] == "127.0.0.1" else peer[0]


def _render(exposition: Exposition, stop: threading.Event) -> None:
    with rendering_in_background(exposition):
        stop.wait()


def _serve_by_prometheus_client(store: Store) -> str:
    """Serve by prometheus_client's own server, and return the address."""
    registry = CollectorRegistry()
    registry.register(ImageCollector(store, CLOCK.now))
    server, _ = start_http_server(0, "127.0.0.1", registry)
    return f"127.0.0.1:{server.server_port}"


def _memory() -> tuple[int, int]:
    """Return the resident size and its peak since this was called before, in bytes."""
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    resident, peak = (int(lines[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM"))
    # 5 resets the peak, see proc(5).
    Path("/proc/self/clear_refs").write_text("5")
    return resident, peak


def main(count: int, source: str, web_config: Path | None = None) -> None:
    """Serve until the end of standard input."""
    targets = [Target("bench", image_id, image_id) for image_id in image_ids(count)]
    stop = threading.Event()
    raise_limit()
    collect_garbage_rarely()
    switch_threads_often()
    # Every change of an image would be logged.
    logging.disable()
    with ExitStack() as stack:
        if source.startswith("http:"):
            application = stack.enter_context(running_application(source, count, interval=INTERVAL))
            store = application.store
            (poller,) = application.pollers
            while any(observation.image is None for _, observation in store.observations()):
                poller.run_cycle()
            threading.Thread(target=_poll, args=(poller, stop), daemon=True).start()
        else:
            store = _filled_store(targets)
        serves_by_client = source == "prometheus_client"
        if serves_by_client:
            address = _serve_by_prometheus_client(store)
        else:
            address = _serve(store, stop, web_config)
        print(f"http://{address}/metrics", flush=True)  # noqa: T201  # read by the parent process
        for number, line in enumerate(sys.stdin):
            _apply(Change(line.strip()), store, targets, number)
            print(*_memory(), time.process_time(), flush=True)  # noqa: T201  # as above
        stop.set()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], *map(Path, sys.argv[3:]))
