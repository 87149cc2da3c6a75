"""Parsers of single fields of API responses: a value or ``ValueError``, never a wrong value.

``text_to_...`` parses the text of a v1 header, ``json_to_...`` the value of a v2 JSON field.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from sys import intern
from typing import Generic, TypeVar

LARGEST_INTEGER = 2**63 - 1
"""The largest size: Glance keeps sizes in a BIGINT column."""

MEBI = 2**20
GIBI = 2**30

_INTEGER = re.compile(r"[0-9]{1,19}", re.ASCII)
_BOOLEANS = {"true": True, "false": False}
# datetime.fromisoformat alone accepts too much: dates without a time, week dates, any separator,
# commas, and 24:00 since Python 3.13.
_TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d[T ](?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?[0-5]\d)?",
    re.ASCII,
)

Key = TypeVar("Key")
Raw = TypeVar("Raw")


@dataclass(frozen=True, slots=True)
class Column(Generic[Key, Raw]):
    """One field of a response: its attribute of ``Image``, its key, and the parser of its value."""

    attribute: str
    key: Key
    parse: Callable[[Raw], object]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Malformed:
    """A response that cannot be trusted. ``problems`` has a text for every bad field."""

    problems: tuple[str, ...]

    def __str__(self) -> str:
        """Return all problems in one line."""
        return "; ".join(self.problems)


def text_to_text(value: str) -> str:
    """Return the text unchanged."""
    return value


def shared(parse: Callable[[Raw], str | None]) -> Callable[[Raw], str | None]:
    """Return a parser that returns equal texts as one object, since most images have the same."""

    def parse_shared(raw: Raw) -> str | None:
        text = parse(raw)
        return None if text is None else intern(text)

    return parse_shared


def text_to_integer(value: str) -> int:
    """Return a whole number from 0 to 2^63 - 1, written in plain digits."""
    if not _INTEGER.fullmatch(value):
        raise ValueError("not a whole number of 0 or more")
    return json_to_integer(int(value))


def text_to_boolean(value: str) -> bool:
    """Return True or False, written in any case."""
    try:
        return _BOOLEANS[value.lower()]
    except KeyError:
        raise ValueError("neither true nor false") from None


def utc_timestamp(value: str) -> float:
    """Return seconds since the epoch, from ISO 8601 with or without fraction and zone.

    Glance sends no zone and means UTC.
    """
    if not _TIMESTAMP.fullmatch(value):
        raise ValueError("not a time like 2026-11-23T11:02:43.626002")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("not a time that exists") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def json_to_text(value: object) -> str | None:
    """Return a string, or None for an empty one."""
    if not isinstance(value, str):
        raise ValueError("not a string")
    if not is_unicode(value):
        raise ValueError("not valid Unicode")
    return value or None


def json_to_integer(value: object) -> int:
    """Return a whole number from 0 to 2^63 - 1. ``1.0`` and ``true`` are rejected."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("not a whole number of 0 or more")
    if value > LARGEST_INTEGER:
        raise ValueError("larger than 2^63 - 1")
    return value


def json_to_boolean(value: object) -> bool:
    """Return True or False. ``1`` and ``"true"`` are rejected."""
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def json_to_timestamp(value: object) -> float:
    """Return seconds since the epoch, from a string with an ISO 8601 time."""
    return utc_timestamp(json_to_text(value) or "")


def scaled(parse: Callable[[Raw], int], unit: int) -> Callable[[Raw], int]:
    """Return a parser that multiplies: Glance counts ``min_disk`` in GiB, ``min_ram`` in MiB."""
    return lambda value: parse(value) * unit


def is_unicode(value: str) -> bool:
    """Return False if UTF-8 cannot encode a string: JSON can escape half a surrogate pair."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
