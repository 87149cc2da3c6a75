"""Log lines in logfmt or JSON: every event is one line, also if it contains line breaks.

Messages and fields may contain text of the Image service, where tenants choose the names. Every
character that is not printable (control characters, line and paragraph separators, bidirectional
controls, lone surrogates) is therefore written as a JSON escape, in both formats, and keys are
reduced to characters that cannot end a key.

Modules log by ``logging.getLogger(__name__)`` and pass fields as
``extra={"fields": {"image_id": ...}}``.
"""

import json
import logging
import math
import re
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, TextIO, TypeGuard

from exporter.redaction import Redactor
from exporter.text import escape_json

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["logfmt", "json"]
Scalar = str | int | float | bool | None

PACKAGE = __package__

_BARE_VALUE = re.compile(r'[^\s="\\]+')
_FORBIDDEN_IN_KEY = re.compile(r"[^A-Za-z0-9_.]")


def configure(level: Level, format: Format, stream: TextIO, redactor: Redactor) -> None:  # noqa: A002  # the setting's own name
    """Send all logging of the process to ``stream``, and nowhere else.

    Loggers of this package write lines of ``level`` and above. Loggers of libraries do so too, but
    never below warning, because they write tokens at debug level. Python's warnings and uncaught
    exceptions become log lines as well.
    """
    lowest = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(FORMATTERS[format](redactor))
    handler.addFilter(_is_own_or_warning)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(lowest, logging.WARNING))
    logging.getLogger(PACKAGE).setLevel(lowest)
    # A stream that cannot be written to must not fill standard error with the lost log lines.
    logging.raiseExceptions = False
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class Formatter(logging.Formatter, ABC):
    """A record as named values: ``ts`` (RFC 3339, UTC), ``level``, ``msg``, then the fields."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Format the record as one line; never raises."""
        values: dict[str, Scalar] = {}
        for key, value in _values(record, self.formatException):
            values[_unique_key(self._redactor.redact(key), values)] = self._scalar(value)
        return self.line(values)

    @abstractmethod
    def line(self, values: Mapping[str, Scalar]) -> str:
        """Write the values in the format of the subclass."""

    def _scalar(self, value: object) -> Scalar:
        text = _text(value)
        redacted = self._redactor.redact(text)
        return value if redacted == text and _is_plain(value) else redacted


class LogfmtFormatter(Formatter):
    """``ts=2026-01-02T03:04:05.678Z level=info msg="image changed" status=active``."""

    def line(self, values: Mapping[str, Scalar]) -> str:
        """Write the values as logfmt, quoted and escaped as in JSON where necessary."""
        return " ".join(f"{key}={_logfmt(value)}" for key, value in values.items())


class JsonFormatter(Formatter):
    """``{"ts": "2026-01-02T03:04:05.678Z", "level": "info", "msg": "image changed"}``."""

    def line(self, values: Mapping[str, Scalar]) -> str:
        """Write the values as one JSON object."""
        return escape_json(json.dumps(values, ensure_ascii=False))


FORMATTERS: Mapping[Format, type[Formatter]] = {"logfmt": LogfmtFormatter, "json": JsonFormatter}


def _values(
    record: logging.LogRecord, format_exception: Callable[..., str]
) -> Iterator[tuple[str, object]]:
    created = datetime.fromtimestamp(record.created, UTC)
    yield "ts", created.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    yield "level", record.levelname.lower()
    yield "msg", _message(record)
    if not _is_own(record):
        yield "logger", record.name
    fields = getattr(record, "fields", None)
    if isinstance(fields, Mapping):
        for key, value in fields.items():
            yield _text(key), value
    if record.exc_info and record.exc_info[1]:
        yield "error", f"{type(record.exc_info[1]).__name__}: {_text(record.exc_info[1])}"
        yield "traceback", format_exception(record.exc_info)
    if record.stack_info:
        yield "stack", record.stack_info


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  # a message that does not fit its arguments is still an event
        return f"{_text(record.msg)} {_text(record.args)}"


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001  # a broken __str__ must not lose the line
        return f"<{type(value).__name__} that raised {type(error).__name__}>"


def _is_plain(value: object) -> TypeGuard[int | float | None]:
    if isinstance(value, float):
        return math.isfinite(value)
    # Many JSON parsers reject or round integers beyond 64 bits.
    return value is None or (isinstance(value, int) and abs(value) < 2**63)


def _unique_key(key: str, taken: Mapping[str, object]) -> str:
    key = _FORBIDDEN_IN_KEY.sub("_", key) or "_"
    while key in taken:
        key += "_"
    return key


def _logfmt(value: Scalar) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if value.isprintable() and _BARE_VALUE.fullmatch(value):
        return value
    return escape_json(json.dumps(value, ensure_ascii=False))


def _is_own(record: logging.LogRecord) -> bool:
    return record.name == PACKAGE or record.name.startswith(f"{PACKAGE}.")


def _is_own_or_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or _is_own(record)


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    logging.getLogger(PACKAGE).error("uncaught exception", exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit:
        return
    logging.getLogger(PACKAGE).error(
        "uncaught exception in thread",
        extra={"fields": {"thread": args.thread.name if args.thread else None}},
        exc_info=args.exc_value,
    )
