"""The path of a header in CONTRIBUTING.md is the one that a header takes."""

import asyncio
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.types import Message

from exporter.clock import now
from exporter.metrics.exposition import Exposition
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.web.handlers import Handlers
from exporter.web.pages.image_list import query_images
from tests.support.images import ID
from tests.support.polled_cloud import polled_cloud

ROOT = Path(__file__).parents[1]
MAX_FILES = 13
"""A longer path would be too long to keep in mind."""

SECTION = re.compile(r"^## From a header to a metric\n(.*?)^## ", re.MULTILINE | re.DOTALL)
STEP = re.compile(r"^[0-9]+\. `(exporter/[a-z0-9_/]+\.py)`: (.*(?:\n +.*)*)", re.MULTILINE)
FUNCTION = re.compile(r"`([A-Za-z_.]+)\(\)`")

Call = tuple[str, str]
"""The path of a file, and the qualified name of a function in it."""


def steps() -> list[tuple[str, list[str]]]:
    """Return the file of each step, and the names of the functions in it."""
    section = SECTION.search((ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    assert section is not None
    numbered_lines = re.findall(r"^[0-9]+\. ", section[1], re.MULTILINE)
    path_and_functions = [(path, FUNCTION.findall(text)) for path, text in STEP.findall(section[1])]
    assert len(path_and_functions) == len(numbered_lines)
    return path_and_functions


@contextmanager
def recorded_calls() -> Iterator[set[Call]]:
    """Record the functions that this thread and those started meanwhile call."""
    calls: set[Call] = set()

    def record(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            calls.add((frame.f_code.co_filename, frame.f_code.co_qualname))

    threading.setprofile(record)
    sys.setprofile(record)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


async def scrape(handlers: Handlers) -> bytes:
    """Return the body of a response to ``GET /metrics``."""
    body = bytearray()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("the client does not disconnect")

    async def send(message: Message) -> None:
        body.extend(message.get("body", b""))

    scope = {"type": "http", "method": "GET", "headers": []}
    response = await handlers.metrics(Request(scope, receive))
    await response(scope, receive, send)
    return bytes(body)


def test_header_path_names_at_most_13_files() -> None:
    files = [path for path, _ in steps()]
    assert len(set(files)) == len(files) <= MAX_FILES


def test_poll_and_scrape_call_every_function_on_the_header_path() -> None:
    with (
        SimulatedImageService([SimulatedImage(ID, min_disk=20)]) as service,
        polled_cloud(service.url, [ID], interval=60.0, timeout=30.0) as cloud,
        recorded_calls() as calls,
    ):
        cloud.cycle()
        exposition = Exposition(cloud.store, CollectorRegistry(), now)
        handlers = Handlers(
            render_metrics=exposition.body,
            query_images=lambda query: query_images(cloud.store, query, now()),
            check_health=lambda: None,
            check_readiness=lambda: None,
        )
        text = asyncio.run(scrape(handlers)).decode()
    (value,) = re.findall(r"^openstack_image_min_disk_bytes\{.*\} (.*)$", text, re.MULTILINE)
    assert float(value) == 20 * 2**30
    for path, functions in steps():
        assert functions, path
        for function in functions:
            assert (str(ROOT / path), function) in calls, f"{path}: {function}"
