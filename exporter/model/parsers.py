"""Readers of single fields: text in, a value or a ``ValueError`` out, never a wrong value."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

LARGEST_INTEGER = 2**63 - 1
"""Glance keeps sizes in a BIGINT column, so a larger number is no size."""

MEBI = 2**20
GIBI = 2**30

_INTEGER = re.compile(r"[0-9]{1,19}", re.ASCII)
_BOOLEANS = {"true": True, "false": False}
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):?([0-5]\d))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Malformed:
    """A response that cannot be trusted. ``problems`` names every bad field."""

    problems: tuple[str, ...]

    def __str__(self) -> str:
        """Return all problems in one line."""
        return "; ".join(self.problems)


def text(value: str) -> str:
    """The text itself."""
    return value


def integer(value: str) -> int:
    """A whole number from 0 to 2^63 - 1; raises ``ValueError`` for anything else."""
    if not _INTEGER.fullmatch(value):
        raise ValueError("not a whole number of 0 or more")
    number = int(value)
    if number > LARGEST_INTEGER:
        raise ValueError("larger than 2^63 - 1")
    return number


def gibibytes(value: str) -> int:
    """Bytes, from a number of GiB: the unit of Glance's ``min_disk``."""
    return integer(value) * GIBI


def mebibytes(value: str) -> int:
    """Bytes, from a number of MiB: the unit of Glance's ``min_ram``."""
    return integer(value) * MEBI


def boolean(value: str) -> bool:
    """True or False, in any case; raises ``ValueError`` for anything else."""
    try:
        return _BOOLEANS[value.lower()]
    except KeyError:
        raise ValueError("neither true nor false") from None


def utc_timestamp(value: str) -> float:
    """Seconds since the epoch, from ISO 8601 with or without fraction and zone.

    Glance gives no zone and means UTC. Raises ``ValueError`` for anything else.
    """
    match = _TIME.fullmatch(value)
    if not match:
        raise ValueError("not a time like 2026-11-23T11:02:43.626002")
    *parts, fraction, sign, hours, minutes = match.groups()
    micros = int((fraction or "0")[:6].ljust(6, "0"))
    year, month, day, hour, minute, second = map(int, parts)
    shift = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        zone = timezone(-shift if sign == "-" else shift)
        return datetime(year, month, day, hour, minute, second, micros, tzinfo=zone).timestamp()
    except ValueError:
        raise ValueError("not a time that exists") from None
