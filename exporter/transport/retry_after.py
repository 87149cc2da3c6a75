"""How long a server asks its clients to wait."""

from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST = 300.0
"""Seconds; a longer wait, or one that cannot be read, becomes this one."""


def http_date(raw: bytes | None) -> float | None:
    """Seconds since the epoch from an HTTP date, ``None`` where there is none."""
    if raw is None:
        return None
    try:
        date = parsedate_to_datetime(raw.decode("ascii"))
        # Without a zone it is still GMT, see RFC 9110, section 5.6.7.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def seconds_to_wait(raw: bytes, date: bytes | None, now: float) -> tuple[float, bool]:
    """Seconds to wait from the receipt of the answer, and whether they are what was asked for.

    ``raw`` is ``Retry-After``: seconds, or a date that is measured against the answer's own
    ``Date`` (against ``now``, seconds since the epoch, where it has none), since the server's
    clock may differ from ours. A wait that is too long, negative or unreadable becomes the
    longest, and the second value is False.
    """
    if raw.isdigit() and len(raw) < 10:  # more digits would be decades
        seconds = float(raw)
    else:
        until = http_date(raw)
        if until is None:
            return LONGEST, False
        seconds = until - (http_date(date) or now)
    if 0 <= seconds <= LONGEST:
        return seconds, True
    return LONGEST, False
