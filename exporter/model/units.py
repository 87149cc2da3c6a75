"""Durations and sizes as settings write them.

Durations are those of ``model.ParseDuration`` in prometheus/common: ``30s``, ``1m30s``, ``15m``,
``90d``. Whole numbers have units in descending order, each unit at most once, and ``0`` alone
needs no unit.

Sizes are whole numbers of bytes with a binary unit, or ranges of them: ``512MiB``,
``1GiB..4GiB``, ``10GiB..``, ``..4GiB``. ``pydantic.ByteSize`` does not replace the parser: it
reads ``1GiB..2GiB`` as 1 GiB, ``9007199254740993B`` as one byte less (it multiplies floats),
``1kbit`` as 125 bytes and ``1G`` as a decimal gigabyte, and cannot write a size to the byte.
"""

import re
from typing import NamedTuple

from exporter.model.responses.parsers import LARGEST_INTEGER

MILLISECONDS = {
    "y": 365 * 24 * 3600 * 1000,
    "w": 7 * 24 * 3600 * 1000,
    "d": 24 * 3600 * 1000,
    "h": 3600 * 1000,
    "m": 60 * 1000,
    "s": 1000,
    "ms": 1,
}
"""Every unit of durations in milliseconds, the largest first."""

DURATION_EXAMPLES = "30s, 1m30s, 15m, 90d"
"""Accepted durations, for error messages."""

LONGEST_MILLISECONDS = (2**63 - 1) // 10**6
"""The longest duration, 292 years: Prometheus has 63 bits for nanoseconds."""

SIZE_UNITS: dict[str, int] = {
    "B": 1,
    **{f"{prefix}iB": 2 ** (10 * power) for power, prefix in enumerate("KMGTPE", 1)},
}
"""Every unit of sizes in bytes, the smallest first."""

_DURATION = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in MILLISECONDS))
# Prometheus writes 9d as 9d and not as 1w2d: these units are only used without a remainder.
_ONLY_WHOLE = frozenset({"y", "w"})
_SIZE = re.compile(r"([0-9]{1,19})([A-Za-z]{0,20})", re.ASCII)


def parse_duration(text: str) -> float:
    """Return the seconds of a duration.

    Raises:
        ValueError: ``text`` is not a duration, or longer than Prometheus can hold.
    """
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    # 20 digits exceed the longest duration in any unit, and int() refuses thousands of digits.
    if not text or match is None or any(len(digits or "") > 19 for digits in match.groups()):
        raise ValueError("not a duration")
    parts = zip(match.groups(), MILLISECONDS.values(), strict=True)
    milliseconds = sum(int(digits) * unit for digits, unit in parts if digits)
    if milliseconds > LONGEST_MILLISECONDS:
        raise ValueError("not a duration")
    return milliseconds / 1000


def format_duration(seconds: float) -> str:
    """Write seconds as Prometheus does, to the millisecond: ``90.0`` becomes ``1m30s``.

    ``seconds`` must be finite and not negative.
    """
    remainder = round(seconds * 1000)
    text = ""
    for unit, milliseconds in MILLISECONDS.items():
        if unit in _ONLY_WHOLE and remainder % milliseconds:
            continue
        count, remainder = divmod(remainder, milliseconds)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


class SizeRange(NamedTuple):
    """Sizes from ``least`` to ``most`` bytes, both included. ``None`` is an open end."""

    least: int | None
    most: int | None

    @classmethod
    def exactly(cls, size: int) -> "SizeRange":
        """Return the range that contains only ``size``."""
        return cls(size, size)

    def __contains__(self, size: object) -> bool:
        """Return True if a number of bytes is within the range."""
        return (
            isinstance(size, int)
            and (self.least is None or self.least <= size)
            and (self.most is None or size <= self.most)
        )


def parse_size_range(text: str) -> SizeRange:
    """Return the range of a size, or of a range with at most one open end.

    Raises:
        ValueError: ``text`` is not a size or a range. The message completes a sentence that begins
            with the value, for example "is not a size".
    """
    first, dots, last = text.partition("..")
    if not dots:
        return SizeRange.exactly(_parse_size(text))
    if not first and not last:
        raise ValueError("is a range without ends")
    least, most = (_parse_size(end) if end else None for end in (first, last))
    if least is not None and most is not None and least > most:
        raise ValueError("is a range whose end is below its beginning")
    return SizeRange(least, most)


def format_size_range(size: SizeRange) -> str:
    """Write a range as settings do; ``SizeRange(2**30, 2**30)`` becomes ``1GiB``."""
    if size.least is not None and size.least == size.most:
        return format_size(size.least)
    return "..".join("" if end is None else format_size(end) for end in size)


def format_size(size: int) -> str:
    """Write a number of bytes exactly, in the largest unit of which it is a multiple."""
    if size == 0:
        return "0B"
    unit = next(unit for unit in reversed(SIZE_UNITS) if size % SIZE_UNITS[unit] == 0)
    return f"{size // SIZE_UNITS[unit]}{unit}"


def _parse_size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("is not a size")
    number, unit = int(match[1]), match[2]
    if unit not in SIZE_UNITS and (unit or number):
        raise ValueError(f"has the unknown unit {unit}" if unit else "has no unit")
    size = number * SIZE_UNITS.get(unit, 0)
    # Glance keeps sizes in a BIGINT column.
    if size > LARGEST_INTEGER:
        raise ValueError("is larger than 2^63 - 1 bytes")
    return size
