"""The path of a header in CONTRIBUTING.md is the one that a header takes."""

import asyncio
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from types import FrameType

import pytest
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
MAX_TYPES = 6
"""A longer path would be too long to keep in mind."""

AS_SENT = (b"x-image-meta-min_disk", b"20")
AS_NUMBER = 20 * 2**30

SECTION = re.compile(r"^## From a header to a metric\n(.*?)^## ", re.MULTILINE | re.DOTALL)
STEP = re.compile(r"^[0-9]+\. `(exporter/[a-z0-9_/]+\.py)`: (.*(?:\n +.*)*)", re.MULTILINE)
FUNCTION = re.compile(r"`([A-Za-z_.]+)\(\)`")
TYPE = re.compile(r"`([A-Z][a-z][A-Za-z]*)`")
TYPE_ROW = re.compile(r"^\| `([A-Za-z]+)` \| `([a-z_]+)`", re.MULTILINE)

Call = tuple[str, str]
"""The path of a file, and the qualified name of a function in it."""


def section() -> str:
    """Return the section about the path."""
    match = SECTION.search((ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    assert match is not None
    return match[1]


def steps() -> list[tuple[str, list[str]]]:
    """Return the file of each step, and the names of the functions in it."""
    numbered_lines = re.findall(r"^[0-9]+\. ", section(), re.MULTILINE)
    path_and_functions = [(path, FUNCTION.findall(text)) for path, text in STEP.findall(section())]
    assert len(path_and_functions) == len(numbered_lines)
    return path_and_functions


def holds_value(thing: object) -> bool:
    """Return True if a thing is the value of the header, or holds it in one of its fields."""
    if is_dataclass(thing) and not isinstance(thing, type):
        return any(holds_value(getattr(thing, field.name)) for field in fields(thing))
    if isinstance(thing, (list, tuple)) and thing != AS_SENT:
        return any(map(holds_value, thing))
    return thing in (AS_SENT, AS_NUMBER)


@dataclass
class Recording:
    """The functions that are called, and what those in the files of the path pass on.

    Attributes:
        holders: An object that holds the value, by its type. Its type is defined in ``exporter``.
    """

    calls: set[Call] = field(default_factory=set)
    holders: dict[str, object] = field(default_factory=dict)
    files: frozenset[str] = field(
        default_factory=lambda: frozenset(str(ROOT / path) for path, _ in steps())
    )

    def record(self, frame: FrameType, event: str, result: object) -> None:
        """Record a call, its arguments and its result; a profile function of Python."""
        code = frame.f_code
        if event == "call":
            self.calls.add((code.co_filename, code.co_qualname))
        if code.co_filename not in self.files:
            return
        if event == "call":
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            for name in names:
                self._record_holders(None if name == "self" else frame.f_locals.get(name))
        elif event == "return":
            self._record_holders(result)

    def _record_holders(self, thing: object) -> None:
        is_ours = type(thing).__module__.startswith("exporter.")
        if is_ours and type(thing).__name__ not in self.holders and holds_value(thing):
            self.holders[type(thing).__name__] = thing
        elif isinstance(thing, dict):
            self._record_holders(tuple(thing.values()))
        elif isinstance(thing, (list, tuple)) and not is_ours:
            for element in thing:
                self._record_holders(element)


@contextmanager
def recorded_calls() -> Iterator[Recording]:
    """Record the functions that this thread and those started meanwhile call."""
    recording = Recording()
    threading.setprofile(recording.record)
    sys.setprofile(recording.record)
    try:
        yield recording
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

    scope = {"type": "http", "method": "GET", "headers": [], "query_string": b""}
    response = await handlers.metrics(Request(scope, receive))
    await response(scope, receive, send)
    return bytes(body)


@pytest.fixture(scope="module")
def recording() -> Recording:
    """Record a poll that receives the header, and a scrape that serves its value."""
    with (
        SimulatedImageService([SimulatedImage(ID, min_disk=20)]) as service,
        polled_cloud(service.url, [ID], interval=60.0, timeout=30.0) as cloud,
        recorded_calls() as recording,
    ):
        cloud.cycle()
        exposition = Exposition(cloud.store, CollectorRegistry(), now)
        handlers = Handlers(
            render_metrics=exposition.body,
            query_images=lambda query: query_images(cloud.store, query, now()),
            find_image=lambda **_: None,
            check_health=lambda: None,
            check_readiness=lambda: None,
        )
        text = asyncio.run(scrape(handlers)).decode()
    (value,) = re.findall(r"^openstack_image_min_disk_bytes\{.*\} (.*)$", text, re.MULTILINE)
    assert float(value) == AS_NUMBER
    return recording


def test_header_path_names_at_most_13_files() -> None:
    files = [path for path, _ in steps()]
    assert len(set(files)) == len(files) <= MAX_FILES


def test_header_path_names_at_most_6_types() -> None:
    types = dict(TYPE_ROW.findall(section()))
    assert set(TYPE.findall(section())) == set(types)
    assert len(types) <= MAX_TYPES


def test_poll_and_scrape_call_every_function_on_the_header_path(recording: Recording) -> None:
    for path, functions in steps():
        assert functions, path
        for function in functions:
            assert (str(ROOT / path), function) in recording.calls, f"{path}: {function}"


def test_types_on_the_header_path_hold_the_value_and_no_others_do(recording: Recording) -> None:
    attributes = dict(TYPE_ROW.findall(section()))
    assert recording.holders.keys() == attributes.keys()
    for name, attribute in attributes.items():
        assert holds_value(getattr(recording.holders[name], attribute)), name
