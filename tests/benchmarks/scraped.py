"""A process that serves the metrics of many images from one of three sources.

``python -m tests.benchmarks.scraped COUNT SOURCE`` prints the URL of its metrics. The sources are
``exporter``: fixed observations; ``prometheus_client``: the same by its own collector and WSGI
app; or the URL of an Image service, which is polled at full speed. For each line on standard
input the process changes one image and prints its resident size and its peak in bytes. It exits
at the end of the input.
"""

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

from prometheus_client import CollectorRegistry, start_http_server

from exporter.clock import now
from exporter.metrics.cloud_collector import CloudCollector
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.exposition import Exposition
from exporter.model.cloud import CloudState
from exporter.model.image import Image
from exporter.model.outcome import Found
from exporter.model.target import Target
from exporter.polling.poller import Poller
from exporter.store import Store
from exporter.web.app import create_app
from exporter.web.handlers import Handlers
from exporter.web.pages.image_list import query_images
from exporter.web.server.server import WebServer
from tests.benchmarks.images import image_ids
from tests.benchmarks.polling import running_application
from tests.support.reference_collector import ImageCollector

MAX_STALE = 900.0
INTERVAL = 1.0
"""Seconds. So short that images are polled at full speed."""


class Scraped:
    """The process as its parent sees it."""

    def __init__(self, output: IO[str], control: IO[str]) -> None:
        self._output, self._control = output, control
        self.url = output.readline().strip()

    def change(self) -> tuple[float, float]:
        """Change one image; return the resident size of the process and its peak, in bytes."""
        self._control.write("change\n")
        self._control.flush()
        resident, peak = map(float, self._output.readline().split())
        return resident, peak


@contextmanager
def scraped(count: int, source: str) -> Iterator[Scraped]:
    """Start the process."""
    command = [sys.executable, "-m", "tests.benchmarks.scraped", str(count), source]
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


def _image(image_id: str, number: int) -> Image:
    return Image(
        "v1",
        image_id,
        "active",
        name=f"image {number}",
        size_bytes=2**31 + number,
        virtual_size_bytes=2**33 + number,
        protected=True,
        public=False,
        deleted=False,
        created_at=1.7e9 + number,
        updated_at=1.7e9 + number,
        container_format="bare",
        disk_format="qcow2",
        min_disk_bytes=0,
        min_ram_bytes=0,
        digests=(("md5", image_id.replace("-", "")),),
        project_id="70e8fbac958f4a27b37bb02f2af0c8ad",
    )


def _filled_store(targets: list[Target]) -> Store:
    store = Store()
    store.add_cloud(CloudState("bench", 60.0), targets)
    for number, target in enumerate(targets):
        _observe(store, target, number)
    return store


def _observe(store: Store, target: Target, number: int) -> None:
    found = Found(_image(target.image_id, number))
    store.observe(target.key, store.observation(target.key).with_outcome(found, now(), MAX_STALE))


def _poll(poller: Poller, stop: threading.Event) -> None:
    while not stop.is_set():
        poller.run_cycle()


def _serve(store: Store, stop: threading.Event) -> str:
    """Serve as the daemon does, and return the address."""
    own = ExporterMetrics("0")
    own.registry.register(CloudCollector(store))
    server = WebServer("127.0.0.1:0")
    server.bind()
    exposition = Exposition(store, own.registry, now)
    handlers = Handlers(
        render_metrics=exposition.body,
        query_images=lambda query: query_images(store, query, now()),
        check_health=lambda: None,
        check_readiness=lambda: None,
    )
    app = create_app(handlers)
    threading.Thread(target=server.serve, args=(app, stop), daemon=True).start()
    return server.addresses[0]


def _serve_by_prometheus_client(store: Store) -> str:
    """Serve by prometheus_client's own server, and return the address."""
    registry = CollectorRegistry()
    registry.register(ImageCollector(store, now))
    server, _ = start_http_server(0, "127.0.0.1", registry)
    return f"127.0.0.1:{server.server_port}"


def _memory() -> tuple[int, int]:
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    resident, peak = (int(lines[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM"))
    return resident, peak


def main(count: int, source: str) -> None:
    """Serve until the end of standard input."""
    targets = [Target("bench", image_id, image_id) for image_id in image_ids(count)]
    stop = threading.Event()
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
        address = _serve_by_prometheus_client(store) if serves_by_client else _serve(store, stop)
        print(f"http://{address}/metrics", flush=True)  # noqa: T201  # read by the parent process
        for number, _ in enumerate(sys.stdin):
            _observe(store, targets[number % count], count + number)
            print(*_memory(), flush=True)  # noqa: T201  # as above
        stop.set()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
