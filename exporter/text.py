"""Text for people: untrusted text made safe and short, durations and times in words.

Names of images, headers of responses and values of settings may hold anything: control characters
move the cursor, direction marks reorder the text beside them, and line breaks forge log lines.
"""

import json
from datetime import UTC, datetime
from hashlib import sha256

_DURATION_UNITS = (("d", 86400), ("h", 3600), ("min", 60))
_EARLIEST = datetime.min.replace(tzinfo=UTC).timestamp()
_LATEST = datetime.max.replace(microsecond=0, tzinfo=UTC).timestamp()

MAX_EXCERPT_LENGTH = 60
"""Characters of a value that an error shows."""

MAX_CHARACTER_SIZE = 4
"""Bytes of the longest characters in UTF-8."""

HASH_LENGTH = 12
"""Hexadecimal digits at the end of a text that was shortened distinctly."""


def escape(text: str) -> str:
    """Return the text with every unprintable character escaped as Python writes it."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def escape_json(document: str) -> str:
    """Return a JSON document with every unprintable character written as a JSON escape."""
    if document.isprintable():
        return document
    return "".join(char if char.isprintable() else _json_escape(char) for char in document)


def _json_escape(char: str) -> str:
    # json.dumps writes a character beyond 16 bits as two escapes, and does not escape DEL.
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else json.dumps(char)[1:-1]


def shorten(text: str, length: int, ellipsis: str = "...") -> str:
    """Return at most ``length`` characters of the text, ending in an ellipsis if it was cut."""
    return text if len(text) <= length else text[: length - len(ellipsis)] + ellipsis


def is_larger(text: str, size: int) -> bool:
    """Return True if the text has more than ``size`` bytes in UTF-8."""
    return len(text) * MAX_CHARACTER_SIZE > size and len(text.encode()) > size


def shorten_distinctly(text: str, size: int) -> str:
    """Return at most ``size`` bytes of the text in UTF-8, different for different texts.

    A text that was cut ends in an ellipsis and the start of the SHA-256 digest of the whole text.
    """
    if not is_larger(text, size):
        return text
    encoded = text.encode()
    end = f"…{sha256(encoded).hexdigest()[:HASH_LENGTH]}"
    # "ignore" drops the bytes of a character that was cut in two.
    return encoded[: size - len(end.encode())].decode("utf-8", "ignore") + end


def single_line(text: str, length: int) -> str:
    """Return at most ``length`` characters on one line: whitespace collapsed, the rest escaped."""
    return shorten(escape(" ".join(text.split())), length)


def excerpt(value: object) -> str:
    """Return at most 60 characters of a value, in quotes and ASCII as Python writes it.

    For a JSON object or list, return only its kind. Bytes are decoded as UTF-8.
    """
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    # Escaping never shortens a text, so characters beyond the limit need not be escaped.
    start = value[:MAX_EXCERPT_LENGTH] if isinstance(value, str) else value
    return shorten(ascii(start), MAX_EXCERPT_LENGTH)


def approximate_duration(seconds: float) -> str:
    """Format a duration in its largest unit only, rounded down: ``35 min``."""
    for unit, length in _DURATION_UNITS:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0) // 1:.0f} s"


def format_utc(timestamp: float) -> str:
    """Format seconds since the epoch as ``2026-11-23T11:02:43Z``, without a fraction.

    jq and every date library read this form. A response may hold the first or the last time of
    the calendar in another time zone; such a time is clamped to the years 1 to 9999.
    """
    moment = datetime.fromtimestamp(min(max(timestamp, _EARLIEST), _LATEST) // 1, UTC)
    return f"{moment.replace(tzinfo=None).isoformat()}Z"
