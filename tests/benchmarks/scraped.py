"""A process with so many observations, served by the exporter and by prometheus_client's own app.

``python -m tests.benchmarks.scraped COUNT`` prints both URLs. Each line on its standard input
changes one image and is answered with the resident size in bytes; the process ends with the input.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from prometheus_client import CollectorRegistry, start_http_server

from exporter.clock import now
from exporter.collector import CloudCollector, ImageCollector
from exporter.image.cloud import CloudState
from exporter.image.image import Image
from exporter.image.observation import UNKNOWN
from exporter.image.outcome import Found
from exporter.image.target import Target
from exporter.instruments import Instruments
from exporter.store import Store
from exporter.web.app import create_app
from exporter.web.exposition import Exposition
from exporter.web.server import WebServer
from tests.benchmarks.images import image_ids

MAX_STALE = 900.0


class Scraped:
    """The parent's side: two URLs, and a way to change an image."""

    def __init__(self, output: IO[str], control: IO[str]) -> None:
        self._output, self._control = output, control
        self.exporter, self.baseline = output.readline().split()

    def change(self) -> float:
        """Changes one image; the resident size of the process in bytes."""
        self._control.write("change\n")
        self._control.flush()
        return float(self._output.readline())


@contextmanager
def scraped(count: int) -> Iterator[Scraped]:
    """Such a process."""
    command = [sys.executable, "-m", "tests.benchmarks.scraped", str(count)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Scraped(process.stdout, process.stdin)
        process.stdin.close()


def _image(image_id: str, number: int) -> Image:
    return Image(
        "v1",
        image_id,
        "active",
        name=f"image {number}",
        size_bytes=2**30 + number,
        virtual_size_bytes=2**33,
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


def main(count: int) -> None:
    """Serves until standard input ends."""
    store = Store()
    targets = [Target("bench", each, each) for each in image_ids(count)]
    store.watch(CloudState("bench", 60.0), targets)
    for number, target in enumerate(targets):
        found = Found(_image(target.image_id, number))
        store.observe(target.key, UNKNOWN.after(found, now(), MAX_STALE))
    own = Instruments("0")
    own.registry.register(CloudCollector(store))
    plain = CollectorRegistry()
    plain.register(ImageCollector(store, now))
    baseline, _ = start_http_server(0, "127.0.0.1", plain)
    server = WebServer("127.0.0.1:0")
    server.bind()
    exposition = Exposition(store, own.registry, now)
    app = create_app(
        metrics=lambda openmetrics, compressed: exposition.body(
            openmetrics=openmetrics, compressed=compressed
        ),
        healthy=lambda: None,
        ready=lambda: None,
        landing=tuple,
    )
    stop = threading.Event()
    threading.Thread(target=server.serve, args=(app, stop), daemon=True).start()
    print(  # noqa: T201  # that is how the parent learns of it
        f"http://{server.addresses[0]}/metrics",
        f"http://127.0.0.1:{baseline.server_port}/metrics",
        flush=True,
    )
    for number, _ in enumerate(sys.stdin):
        target = targets[number % count]
        found = Found(_image(target.image_id, count + number))
        after = store.observation(target.key).after(found, now(), MAX_STALE)
        store.observe(target.key, after)
        with open("/proc/self/statm") as statm:
            print(int(statm.read().split()[1]) * 4096, flush=True)  # noqa: T201  # as above
    stop.set()


if __name__ == "__main__":
    main(int(sys.argv[1]))
