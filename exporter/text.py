"""Text for people: hostile text made safe to print, durations and times in words."""

from datetime import UTC, datetime

_DURATION_UNITS = (("d", 86400), ("h", 3600), ("min", 60))
_EARLIEST = datetime.min.replace(tzinfo=UTC).timestamp()
_LATEST = datetime.max.replace(microsecond=0, tzinfo=UTC).timestamp()


def printable(text: str) -> str:
    """Escape every character that would not print as itself.

    Control characters move the cursor of a terminal, and direction marks reorder the text beside
    them. Image names, which tenants choose, may hold both.
    """
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )


def format_duration(seconds: float) -> str:
    """Format a duration in its largest unit, rounded down: ``35 min``."""
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
