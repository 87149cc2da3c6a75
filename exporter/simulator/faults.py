"""Faults of the simulated service: responses it sends instead of the correct ones.

A fault is a function from a ``FaultContext`` to a script. In a script, bytes are sent, a
number is a pause in seconds, and an ``Action`` does what its name says. The steps after
HOLD run when the fault is cleared. To add a fault, add a function and a row of FAULTS.
"""

import enum
import gzip
import inspect
import random
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from exporter.simulator.request import ReceivedRequest
from exporter.simulator.response import (
    SimulatedResponse,
    error_response,
    header_line,
    reason_phrase,
)

LAST_CHUNK = b"0\r\n\r\n"


class Action(enum.Enum):
    """A step of a script other than bytes and pauses."""

    HOLD = "wait until the fault is cleared"
    RESET = "reset the connection with RST"
    CLOSE = "close the connection when everything is sent"


Step: TypeAlias = "bytes | float | Action"
Script: TypeAlias = Iterator[Step]


@dataclass(frozen=True, slots=True)
class FaultContext:
    """A request, the response it would get without the fault, and a seeded random source."""

    request: ReceivedRequest
    response: SimulatedResponse
    random: random.Random


def status(context: FaultContext, code: int, headers: Mapping[str, str] | None = None) -> Script:
    """Send an error with any status, and with headers such as Retry-After."""
    request = context.request
    response = error_response(code, method=request.method, headers=headers, closes=request.closes)
    yield response.head + response.body


def refused_parameters(context: FaultContext, parameters: Iterable[str] = ()) -> Script:
    """Refuse lists with one of these parameters, such as ``visibility=all`` or just ``tag``."""
    query = f"&{context.request.query}"
    if any(f"&{parameter}" in query for parameter in parameters):
        yield from status(context, 400)
    else:
        yield context.response.head + context.response.body


def latency(context: FaultContext, seconds: float = 0.0, jitter: float = 0.0) -> Script:
    """Send the response after ``seconds``, and up to ``jitter`` seconds more."""
    yield seconds + context.random.uniform(0.0, jitter)
    yield context.response.head + context.response.body


def close(_: FaultContext) -> Script:
    """Close the connection without a response."""
    yield Action.CLOSE


def error_page(
    _: FaultContext, code: int = 503, headers: Mapping[str, str] | None = None
) -> Script:
    """Send the page of a gateway also in response to HEAD, and close, as HAProxy up to 2.1 does."""
    phrase = reason_phrase(code)
    lines = {"Connection": "close", "Content-Type": "text/html"} | dict(headers or {})
    head = b"".join(header_line(name, value) for name, value in lines.items())
    page = f"<html><body><h1>{code} {phrase}</h1>\nNo server is available.\n</body></html>\n"
    yield f"HTTP/1.0 {code} {phrase}\r\n".encode() + head + b"\r\n" + page.encode()
    yield Action.CLOSE


def last_chunk(context: FaultContext, delay: float = 0.0, data: bytes = b"") -> Script:
    """Send the response in chunks, and the last chunk also in response to HEAD, as uWSGI does.

    ``delay`` is the time from the head to the last chunk; without one, both are sent in one write.
    ``data`` follows the last chunk.
    """
    head, body = context.response.head, context.response.body
    head = re.sub(rb"(?<=\r\n)Content-Length: \d+", b"Transfer-Encoding: chunked", head, count=1)
    first = head + (b"%x\r\n%b\r\n" % (len(body), body) if body else b"")
    if delay:
        yield first
        yield delay
        yield LAST_CHUNK + data
    else:
        yield first + LAST_CHUNK + data


def compressed(
    context: FaultContext, coding: str = "gzip", compress: Callable[[bytes], bytes] = gzip.compress
) -> Script:
    """Send a compressed body although ``identity`` was requested, as some gateways do."""
    body = compress(context.response.body) if context.response.body else b""
    lines = b"\r\nContent-Encoding: %b\r\nContent-Length: %d" % (coding.encode(), len(body))
    head = context.response.head
    yield re.sub(rb"\r\nContent-Length: \d+", lines if body else rb"\g<0>", head, count=1) + body


def long_request(context: FaultContext, over: int, code: int | None = None) -> Script:
    """Refuse request lines of more than ``over`` bytes, as gateways and uWSGI's buffer do.

    Without a ``code``, the connection is closed without a response.
    """
    if len(context.request.line) <= over:
        yield context.response.head + context.response.body
    else:
        yield from close(context) if code is None else status(context, code)


FAULTS: dict[str, Callable[..., Script]] = {
    fault.__name__: fault
    for fault in (
        status,
        refused_parameters,
        long_request,
        latency,
        close,
        error_page,
        last_chunk,
        compressed,
    )
}
"""The faults by name. The tests register more of them."""


class Fault:
    """A fault that is set on a service.

    Attributes:
        name: its key in FAULTS.
        fired: number of requests it was applied to.
        cleared: True once the fault has ended and the responses it holds may continue.
    """

    def __init__(
        self,
        name: str,
        behaviour: Callable[[FaultContext], Script],
        times: int | None,
        share: float,
    ) -> None:
        self.name = name
        self.fired = 0
        self.cleared = False
        self._behaviour = behaviour
        self._times = times
        self._share = share

    def fires(self, random_source: random.Random) -> bool:
        """Return True, and count it, if the fault applies to the next request."""
        if self._times is not None and self.fired >= self._times:
            return False
        if self._share < 1.0 and random_source.random() >= self._share:
            return False
        self.fired += 1
        return True

    def script(self, context: FaultContext) -> Script:
        """Return the steps that replace a response."""
        return self._behaviour(context)


class Faults:
    """The faults that are set: at most one for each image ID, "images", "list" and "all".

    The fault of an image takes precedence over "images"; "images" and "list" take precedence
    over "all". Those of one version, such as "v1/list" or "v1", take precedence over those of
    both, and "detail", the list of v1 in detail, over "list". ``on_clear`` is called after a
    fault has ended, to resume the responses it holds. ``seed`` makes shares and jitter
    the same in every run.
    """

    def __init__(self, on_clear: Callable[[], None], seed: int = 1) -> None:
        self.random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._on_clear = on_clear
        self._lock = threading.Lock()
        self._faults: dict[str, Fault] = {}

    def set(
        self,
        name: str,
        *,
        on: str = "all",
        times: int | None = None,
        share: float = 1.0,
        **options: Any,  # those of the fault's function
    ) -> Fault:
        """Set a fault, replacing the one set for the same requests.

        Args:
            name: a key of FAULTS.
            on: an image ID, "images" (requests for any single image), "list" or "all"; "v1" for all
                of one version, and "v1/list", "v1/images" or "v1/" and an image ID for a part of
                it; "detail" for the list of v1 in detail.
            times: the number of requests to apply it to; None for no limit.
            share: the share of requests to apply it to, between 0 and 1.
            options: arguments of the fault's function.

        Raises:
            ValueError: the fault does not exist.
            TypeError: an option does not exist or is missing.
        """
        if name not in FAULTS:
            raise ValueError(f"unknown fault {name!r}; accepted: {', '.join(FAULTS)}")
        behaviour = FAULTS[name]
        inspect.signature(behaviour).bind(None, **options)
        fault = Fault(name, partial(behaviour, **options), times, share)
        with self._lock:
            previous = self._faults.get(on)
            self._faults[on] = fault
        self._end(previous)
        return fault

    def clear(self, on: str | None = None) -> None:
        """End the fault set for ``on``, or all faults, if any is set."""
        with self._lock:
            scopes = list(self._faults) if on is None else [on]
            faults = [self._faults.pop(scope, None) for scope in scopes]
        self._end(*faults)

    def pick(self, request: ReceivedRequest) -> Fault | None:
        """Return the fault to apply to this request, if any."""
        if not self._faults:
            return None
        scopes = []
        if request.is_list:
            scopes = ["detail", "list"] if request.path.endswith("/detail") else ["list"]
        elif image_id := request.image_id:
            scopes = [image_id, "images"]
        if version := request.api_version:
            scopes = [*(f"{version}/{scope}" for scope in scopes), version, *scopes]
        scopes.append("all")
        with self._lock:
            for scope in scopes:
                fault = self._faults.get(scope)
                if fault and fault.fires(self.random):
                    return fault
        return None

    def _end(self, *faults: Fault | None) -> None:
        for fault in faults:
            if fault:
                fault.cleared = True
        self._on_clear()
