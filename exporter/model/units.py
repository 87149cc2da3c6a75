"""Durations as Prometheus writes them: ``30s``, ``1m30s``, ``15m``, ``90d``.

The grammar is that of ``model.ParseDuration`` in prometheus/common: whole numbers with units in
descending order, each unit at most once, and ``0`` alone needs none.
"""

import re

MILLISECONDS = {
    "y": 365 * 24 * 3600 * 1000,
    "w": 7 * 24 * 3600 * 1000,
    "d": 24 * 3600 * 1000,
    "h": 3600 * 1000,
    "m": 60 * 1000,
    "s": 1000,
    "ms": 1,
}
"""Every unit in milliseconds, the largest first."""

EXAMPLES = "30s, 1m30s, 15m, 90d"
"""What an error shows as accepted."""

LONGEST = (2**63 - 1) // 10**6
"""The longest duration in milliseconds, 292 years: Prometheus has 63 bits for nanoseconds."""

_GRAMMAR = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in MILLISECONDS))
# Prometheus writes 9d as 9d and not as 1w2d: these are only used when nothing is left over.
_ONLY_WHOLE = frozenset({"y", "w"})


def parse_duration(text: str) -> float:
    """Return the seconds that a duration means.

    Raises:
        ValueError: `text` is not a duration, or longer than Prometheus can hold.
    """
    if text == "0":
        return 0.0
    match = _GRAMMAR.fullmatch(text)
    # 20 digits are beyond the longest, whatever the unit, and int() refuses thousands of them.
    if not text or match is None or any(len(digits or "") > 19 for digits in match.groups()):
        raise ValueError("not a duration")
    parts = zip(match.groups(), MILLISECONDS.values(), strict=True)
    total = sum(int(digits) * unit for digits, unit in parts if digits)
    if total > LONGEST:
        raise ValueError("not a duration")
    return total / 1000


def format_duration(seconds: float) -> str:
    """Write seconds as Prometheus does, to the millisecond: ``90.0`` becomes ``1m30s``.

    `seconds` is neither negative nor infinite.
    """
    left = round(seconds * 1000)
    text = ""
    for unit, size in MILLISECONDS.items():
        if unit in _ONLY_WHOLE and left % size:
            continue
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
