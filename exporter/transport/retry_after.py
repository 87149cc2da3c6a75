"""Parsing of Retry-After and other HTTP dates."""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

MAX_WAIT = 300.0
"""Longest accepted wait in seconds. Longer or unreadable waits are replaced by it."""

_SECONDS = re.compile(rb"[0-9]{1,9}(?:\.[0-9]{0,9})?")
"""Whole seconds as RFC 9110 defines them, or with the fraction that some gateways send.

More digits would be decades.
"""


def parse_http_date(raw: bytes | None) -> float | None:
    """Return Unix seconds of an HTTP date, or None if it is missing or invalid."""
    if raw is None:
        return None
    try:
        date = parsedate_to_datetime(raw.decode("ascii"))
        # A date without a time zone is in GMT (RFC 9110, section 5.6.7).
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def parse_retry_after(raw: bytes, date: bytes | None, now: float) -> tuple[float, bool]:
    """Return the seconds to wait after a response, and True if the server's value was usable.

    A wait that is too long, negative or unreadable becomes ``MAX_WAIT``, and the second value is
    False. A date that has passed means that there is nothing to wait for.

    Args:
        raw: ``Retry-After``: seconds, also with a fraction, or a date.
        date: ``Date`` of the response. A date in ``raw`` is relative to it, because the clock
            of the server may be wrong.
        now: Unix seconds, used without a valid ``date``.
    """
    if _SECONDS.fullmatch(raw):
        seconds = float(raw)
    else:
        until = parse_http_date(raw)
        if until is None:
            return MAX_WAIT, False
        seconds = max(0.0, until - (parse_http_date(date) or now))
    return (seconds, True) if seconds <= MAX_WAIT else (MAX_WAIT, False)
