"""Log lines: logfmt or JSON, one line per event whatever the event holds.

Messages and fields carry what the Image service says, and names there are chosen by tenants. So
every character that is not printable (control characters, line and paragraph separators, bidi
controls, lone surrogates) is written as a JSON escape, in both formats, and keys are reduced to
letters that cannot end a key.

Modules log by ``logging.getLogger(__name__)`` and give fields as
``extra={"fields": {"image_id": ...}}``.
"""

import base64
import json
import logging
import math
import re
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, TextIO, TypeGuard
from urllib.parse import quote, quote_plus

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["logfmt", "json"]
Scalar = str | int | float | bool | None

OURS = __package__
REDACTED = "***"

_BARE = re.compile(r'[^\s="\\]+')
_NOT_IN_A_KEY = re.compile(r"[^A-Za-z0-9_.]")
# Shorter secrets would be found by chance in what is encoded.
_ENCODED_FROM = 8


def configure(level: Level, format: Format, stream: TextIO, redact: "Redaction") -> None:  # noqa: A002  # the setting's own name
    """Make all logging of the process go to `stream`, and nowhere else.

    Loggers of this package write from `level` on, those of libraries from `level` but never below
    warning: at debug they would write tokens. Python's warnings, and exceptions that nothing
    caught, become log lines too.
    """
    lowest = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(FORMATTERS[format](redact))
    handler.addFilter(_ours_or_a_warning)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(lowest, logging.WARNING))
    logging.getLogger(OURS).setLevel(lowest)
    # A stream that cannot be written to must not fill standard error with what was to be logged.
    logging.raiseExceptions = False
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class Redaction:
    """Replaces secrets by ``***``: the last defence, where one got into a text after all.

    A secret is found as it is, as Python and JSON quote it, and, from eight characters on,
    percent-encoded and in base64 at any position, as in an ``Authorization`` header.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: frozenset[str] = frozenset()
        self._found: re.Pattern[str] | None = None
        self._adding = threading.Lock()
        for secret in secrets:
            self.add(secret)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._secrets)} secrets>"

    def add(self, secret: str) -> None:
        """Hide this secret from now on; an empty one is none. Every line is searched for each."""
        if not secret:
            return
        with self._adding:
            self._secrets |= {secret}
            forms = {form for each in self._secrets for form in _forms(each)}
            longest_first = sorted(forms, key=len, reverse=True)
            self._found = re.compile("|".join(map(re.escape, longest_first)))

    def __call__(self, text: str) -> str:
        """The text with every secret replaced."""
        return self._found.sub(REDACTED, text) if self._found else text


class Formatter(logging.Formatter, ABC):
    """A record as named values: ``ts`` (RFC 3339, UTC), ``level``, ``msg``, then the fields."""

    def __init__(self, redact: Redaction) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line; never raises."""
        values: dict[str, Scalar] = {}
        for key, value in _values(record, self.formatException):
            values[_free_key(self._redact(key), values)] = self._scalar(value)
        return self.line(values)

    @abstractmethod
    def line(self, values: Mapping[str, Scalar]) -> str:
        """The values in the form that the subclass is for."""

    def _scalar(self, value: object) -> Scalar:
        text = _text(value)
        shown = self._redact(text)
        return value if shown == text and _is_plain(value) else shown


class LogfmtFormatter(Formatter):
    """``ts=2026-01-02T03:04:05.678Z level=info msg="Image changed" status=active``."""

    def line(self, values: Mapping[str, Scalar]) -> str:
        """The values as logfmt; those that need it are in quotes, escaped as in JSON."""
        return " ".join(f"{key}={_logfmt(value)}" for key, value in values.items())


class JsonFormatter(Formatter):
    """``{"ts": "2026-01-02T03:04:05.678Z", "level": "info", "msg": "Image changed"}``."""

    def line(self, values: Mapping[str, Scalar]) -> str:
        """The values as one JSON object."""
        return _printable(json.dumps(values, ensure_ascii=False))


FORMATTERS: Mapping[Format, type[Formatter]] = {"logfmt": LogfmtFormatter, "json": JsonFormatter}


def _values(
    record: logging.LogRecord, traceback: Callable[..., str]
) -> Iterator[tuple[str, object]]:
    at = datetime.fromtimestamp(record.created, UTC)
    yield "ts", at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    yield "level", record.levelname.lower()
    yield "msg", _message(record)
    if not _is_ours(record):
        yield "logger", record.name
    fields = getattr(record, "fields", None)
    if isinstance(fields, Mapping):
        for key, value in fields.items():
            yield _text(key), value
    if record.exc_info and record.exc_info[1]:
        yield "error", f"{type(record.exc_info[1]).__name__}: {_text(record.exc_info[1])}"
        yield "traceback", traceback(record.exc_info)
    if record.stack_info:
        yield "stack", record.stack_info


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  # a message that does not fit its arguments is still news
        return f"{_text(record.msg)} {_text(record.args)}"


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001  # a broken __str__ must not cost the line
        return f"<{type(value).__name__} that raised {type(error).__name__}>"


def _is_plain(value: object) -> TypeGuard[int | float | None]:
    if isinstance(value, float):
        return math.isfinite(value)
    # Few readers of JSON take a larger integer.
    return value is None or (isinstance(value, int) and abs(value) < 2**63)


def _free_key(key: str, taken: Mapping[str, object]) -> str:
    key = _NOT_IN_A_KEY.sub("_", key) or "_"
    while key in taken:
        key += "_"
    return key


def _logfmt(value: Scalar) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if value.isprintable() and _BARE.fullmatch(value):
        return value
    return _printable(json.dumps(value, ensure_ascii=False))


def _printable(text: str) -> str:
    """JSON text in which whatever is not printable is escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    # JSON writes what is beyond 16 bits as two escapes, and leaves DEL alone.
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else json.dumps(char)[1:-1]


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield repr(secret)[1:-1]
    for ensure_ascii in (True, False):
        yield json.dumps(secret, ensure_ascii=ensure_ascii)[1:-1]
    if len(secret) < _ENCODED_FROM:
        return
    octets = secret.encode("utf-8", "surrogatepass")
    yield quote(octets)
    yield quote(octets, safe="")
    yield quote_plus(octets)
    for before in range(3):
        # A character of base64 holds six bits: those at the edges that hold a neighbour's bits
        # too are left out, for the neighbour is not known.
        encoded = base64.b64encode(bytes(before) + octets)
        whole = slice(-(-before * 8 // 6), (before + len(octets)) * 8 // 6)
        yield encoded[whole].decode("ascii")
        yield base64.urlsafe_b64encode(bytes(before) + octets)[whole].decode("ascii")


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name == OURS or record.name.startswith(f"{OURS}.")


def _ours_or_a_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or _is_ours(record)


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    logging.getLogger(OURS).error("Uncaught exception", exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit:
        return
    logging.getLogger(OURS).error(
        "Uncaught exception in a thread",
        extra={"fields": {"thread": args.thread.name if args.thread else None}},
        exc_info=args.exc_value,
    )
