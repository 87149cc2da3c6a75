"""Times in words, for people and for scripts."""

from datetime import UTC, datetime

_UNITS = (("d", 86400), ("h", 3600), ("min", 60))
_FIRST = datetime.min.replace(tzinfo=UTC).timestamp()
_LAST = datetime.max.replace(microsecond=0, tzinfo=UTC).timestamp()


def span(seconds: float) -> str:
    """A length of time in its largest unit, in words."""
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0) // 1:.0f} s"


def utc(wall: float) -> str:
    """Seconds since the epoch as ``2026-11-23T11:02:43Z``, without a fraction.

    That is the form that jq reads, as every library does. A time that has none, since an answer
    may give the first or last of all in another zone, becomes the nearest that has.
    """
    shown = datetime.fromtimestamp(min(max(wall, _FIRST), _LAST) // 1, UTC)
    return f"{shown.replace(tzinfo=None).isoformat()}Z"
