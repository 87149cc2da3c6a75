"""Amounts of bytes as settings write them: ``512MiB``, ``1GiB..4GiB``, ``10GiB..``, ``..4GiB``."""

import re
from typing import NamedTuple

_LARGER = {f"{prefix}iB": 2 ** (10 * power) for power, prefix in enumerate("KMGTPE", 1)}
UNITS: dict[str, int] = {"B": 1, **_LARGER}
"""Every unit in bytes, the smallest first."""

MOST = 2**63 - 1
"""Glance keeps sizes in a BIGINT column, so no size is larger."""

_AMOUNT = re.compile(r"([0-9]{1,19})([A-Za-z]{0,20})", re.ASCII)


class Range(NamedTuple):
    """From ``least`` to ``most`` bytes, both included; ``None`` is an end that is open."""

    least: int | None
    most: int | None

    def __contains__(self, size: object) -> bool:
        """Whether so many bytes are within it."""
        return (
            isinstance(size, int)
            and (self.least is None or self.least <= size)
            and (self.most is None or size <= self.most)
        )


def exactly(size: int) -> Range:
    """The range that holds one size only."""
    return Range(size, size)


def parse_range(text: str) -> Range:
    """Return what a size or a range of sizes means; one open end is accepted.

    Raises:
        ValueError: it is none; the text says in what, to follow the value.
    """
    first, dots, last = text.partition("..")
    if not dots:
        return exactly(_parse(text))
    if not first and not last:
        raise ValueError("is a range without ends")
    least, most = (_parse(end) if end else None for end in (first, last))
    if least is not None and most is not None and least > most:
        raise ValueError("is a range whose end is below its beginning")
    return Range(least, most)


def format_range(size: Range) -> str:
    """Write a range as settings do; ``Range(2**30, 2**30)`` becomes ``1GiB``."""
    if size.least is not None and size.least == size.most:
        return format_size(size.least)
    ends = ("" if end is None else format_size(end) for end in size)
    return "..".join(ends)


def format_size(size: int) -> str:
    """Write a number of bytes, to the byte, in the largest unit of which it is a multiple."""
    fitting = (unit for unit, bytes_ in reversed(UNITS.items()) if size % bytes_ == 0)
    unit = next(fitting) if size else "B"
    return f"{size // UNITS[unit]}{unit}"


def _parse(text: str) -> int:
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise ValueError("is not a size")
    number, unit = int(match[1]), match[2]
    if unit not in UNITS and (unit or number):
        raise ValueError(f"has the unknown unit {unit}" if unit else "has no unit")
    size = number * UNITS.get(unit, 0)
    if size > MOST:
        raise ValueError("is larger than 2^63 - 1 bytes")
    return size
