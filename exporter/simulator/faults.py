"""The ways a service can fail, and when it does.

A fault is a function from an exchange to a script: bytes are sent, a number is seconds
to wait, and an Act does what it is named after. What a script sends after HOLD comes
when the fault is cleared. A new fault is one function and one row of FAULTS.
"""

import enum
import inspect
import random
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from exporter.simulator.request import Request
from exporter.simulator.response import SimulatedResponse, line, phrase, refusal


class Act(enum.Enum):
    """What a script can do besides sending and waiting."""

    HOLD = "wait until the fault is cleared"
    RESET = "break the connection with RST"
    CLOSE = "close the connection when all is sent"


Step: TypeAlias = "bytes | float | Act"
Script: TypeAlias = Iterator[Step]


@dataclass(frozen=True, slots=True)
class FaultContext:
    """A request, the answer it would have without a fault, and a seeded source of chance."""

    request: Request
    answer: SimulatedResponse
    chance: random.Random

    @property
    def whole(self) -> bytes:
        """The answer with its body."""
        return self.answer.head + self.answer.body

    def cut(self, at: int | None) -> tuple[bytes, bytes]:
        """The answer in two, after ``at`` bytes or in the middle of its head."""
        at = len(self.answer.head) // 2 if at is None else at
        return self.whole[:at], self.whole[at:]

    def with_body(self, body: bytes) -> bytes:
        """The answer with another body, announced by its length."""
        length = b"%d" % len(body)
        return re.sub(rb"(?<=\r\nContent-Length: )\d+", length, self.answer.head, count=1) + body

    def with_headers(self, added: bytes) -> bytes:
        """The answer with more header lines at the end of its head."""
        return self.answer.head[:-2] + added + b"\r\n" + self.answer.body


def status(exchange: FaultContext, code: int, headers: Mapping[str, str] | None = None) -> Script:
    """Any status, with headers of its own such as Retry-After; no body to HEAD."""
    request = exchange.request
    answer = refusal(code, method=request.method, headers=headers, closes=request.closes)
    yield answer.head + answer.body


def redirect(exchange: FaultContext, location: str, code: int = 302) -> Script:
    """A redirect to ``location``."""
    return status(exchange, code, {"Location": location})


def latency(exchange: FaultContext, seconds: float = 0.0, jitter: float = 0.0) -> Script:
    """The answer after ``seconds``, and up to ``jitter`` seconds more."""
    yield seconds + exchange.chance.uniform(0.0, jitter)
    yield exchange.whole


def hang(exchange: FaultContext) -> Script:
    """Say nothing."""
    yield Act.HOLD
    yield exchange.whole


def hang_in_head(exchange: FaultContext, at: int | None = None) -> Script:
    """Fall silent in the middle of the head, or after ``at`` bytes."""
    before, after = exchange.cut(at)
    yield before
    yield Act.HOLD
    yield after


def trickle(exchange: FaultContext, pause: float = 0.1) -> Script:
    """One byte every ``pause`` seconds."""
    for byte in exchange.whole:
        yield bytes((byte,))
        yield pause


def reset(_: FaultContext) -> Script:
    """RST in place of an answer."""
    yield Act.RESET


def reset_in_head(exchange: FaultContext, at: int | None = None) -> Script:
    """RST in the middle of the head, or after ``at`` bytes."""
    yield exchange.cut(at)[0]
    yield Act.RESET


def close(_: FaultContext) -> Script:
    """Close without an answer."""
    yield Act.CLOSE


def close_after(exchange: FaultContext) -> Script:
    """Close after an answer that did not announce it."""
    yield exchange.whole
    yield Act.CLOSE


def truncate(exchange: FaultContext, at: int | None = None) -> Script:
    """Close in the middle of the head, or after ``at`` bytes."""
    yield exchange.cut(at)[0]
    yield Act.CLOSE


def garbage(_: FaultContext, data: bytes = b"\x15\x03\x00\xff is not HTTP\r\n\r\n") -> Script:
    """Something that is not HTTP, then close."""
    yield data
    yield Act.CLOSE


def huge_head(exchange: FaultContext, size: int = 100 * 1024, line_size: int = 8000) -> Script:
    """``size`` bytes more of head, in lines of ``line_size`` bytes; the last takes the rest."""
    lines: list[bytes] = []
    while size > 0:
        length = size if size < 2 * line_size else line_size
        name = f"X-Padding-{len(lines)}"
        lines.append(line(name, "x" * (length - len(name) - len(": \r\n"))))
        size -= length
    yield exchange.with_headers(b"".join(lines))


def many_headers(exchange: FaultContext, count: int = 200) -> Script:
    """``count`` properties more than the image has."""
    yield exchange.with_headers(
        b"".join(line(f"X-Image-Meta-Property-Extra_{i}", str(i)) for i in range(count))
    )


def body_on_head(exchange: FaultContext, body: bytes = b"x" * 16) -> Script:
    """An answer with a body, announced by its length, which HEAD must not have."""
    yield exchange.with_body(body)


def other_body(
    exchange: FaultContext, body: bytes = b"<html>not what was asked for</html>"
) -> Script:
    """An answer to GET with another body than it should have."""
    yield exchange.with_body(body)


def leftover(exchange: FaultContext, data: bytes, delay: float = 0.0, held: bool = False) -> Script:
    """``data`` left after the answer.

    In one write with the answer; ``delay`` seconds after it; or, ``held``, when the
    fault is cleared.
    """
    if held or delay:
        yield exchange.whole
        yield Act.HOLD if held else delay
        yield data
    else:
        yield exchange.whole + data


def interim(exchange: FaultContext, codes: Sequence[int] = (100,)) -> Script:
    """Answers 1xx before the answer."""
    for code in codes:
        yield f"HTTP/1.1 {code} {phrase(code)}\r\n\r\n".encode()
    yield exchange.whole


def wrong_id(
    exchange: FaultContext, image_id: str = "00000000-0000-4000-8000-000000000000"
) -> Script:
    """The answer of another image, in the head (v1) or the body (v2)."""
    other, answer = image_id.encode(), exchange.answer
    if answer.body:
        yield exchange.with_body(
            re.sub(rb'(?<="id": ")[^"]*', lambda _: other, answer.body, count=1)
        )
    else:
        yield re.sub(rb"(?<=\r\nX-Image-Meta-Id: )[^\r]*", lambda _: other, answer.head, count=1)


def http_1_0(exchange: FaultContext) -> Script:
    """An answer of HTTP/1.0, which ends the connection."""
    yield exchange.whole.replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    yield Act.CLOSE


FAULTS: Mapping[str, Callable[..., Script]] = {
    "status": status,
    "redirect": redirect,
    "latency": latency,
    "hang": hang,
    "hang_in_head": hang_in_head,
    "trickle": trickle,
    "reset": reset,
    "reset_in_head": reset_in_head,
    "close": close,
    "close_after": close_after,
    "truncate": truncate,
    "garbage": garbage,
    "huge_head": huge_head,
    "many_headers": many_headers,
    "body_on_head": body_on_head,
    "other_body": other_body,
    "leftover": leftover,
    "interim": interim,
    "wrong_id": wrong_id,
    "http_1_0": http_1_0,
}


class Fault:
    """A fault that was set: how often it has struck, and its end.

    Attributes:
        name: its row of FAULTS.
        fired: the requests it has answered.
        cleared: whether it has ended; what it holds back goes on then.
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

    def strikes(self, chance: random.Random) -> bool:
        """Whether this request is one of those it answers; counts it if so."""
        if self._times is not None and self.fired >= self._times:
            return False
        if self._share < 1.0 and chance.random() >= self._share:
            return False
        self.fired += 1
        return True

    def script(self, exchange: FaultContext) -> Script:
        """What it does to this exchange."""
        return self._behaviour(exchange)


class Faults:
    """The faults set now: at most one for each image ID, "images", "list" and "all".

    An image's own fault comes before that of all images or the list, and this before
    that of everything. ``on_clear`` is called after a fault has ended, so that what it
    holds back can go on. ``seed`` makes shares and jitter the same in every run.
    """

    def __init__(self, on_clear: Callable[[], None], seed: int = 1) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
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
        """Set a fault, which ends the one that was set for the same requests.

        Args:
            name: a row of FAULTS.
            on: an image ID, "images" (requests for any one image), "list" or "all".
            times: only the next so many requests; None for no end.
            share: the share of requests it answers, between 0 and 1.
            options: what the fault's function takes.

        Raises:
            ValueError: there is no such fault.
            TypeError: the fault has no such option, or lacks one.
        """
        if name not in FAULTS:
            raise ValueError(f"no fault {name!r}; there are {', '.join(FAULTS)}")
        behaviour = FAULTS[name]
        inspect.signature(behaviour).bind(None, **options)
        fault = Fault(name, partial(behaviour, **options), times, share)
        with self._lock:
            previous = self._faults.get(on)
            self._faults[on] = fault
        self._end(previous)
        return fault

    def clear(self, on: str | None = None) -> None:
        """End the fault set for ``on``, or all faults; nothing happens when there is none."""
        with self._lock:
            ended = list(self._faults) if on is None else [on]
            faults = [self._faults.pop(key, None) for key in ended]
        self._end(*faults)

    def pick(self, request: Request) -> Fault | None:
        """The fault that answers this request, if any."""
        if not self._faults:
            return None
        scopes = ["all"]
        if request.is_list:
            scopes = ["list", "all"]
        elif image_id := request.image_id:
            scopes = [image_id, "images", "all"]
        with self._lock:
            for scope in scopes:
                fault = self._faults.get(scope)
                if fault and fault.strikes(self.chance):
                    return fault
        return None

    def _end(self, *faults: Fault | None) -> None:
        for fault in faults:
            if fault:
                fault.cleared = True
        self._on_clear()
