"""Lifetime of an image according to the properties of SCS-0102.

The values are those of the Sovereign Cloud Stack's standard scs-0102-v1 ("Image handling" and
"Image build info"): dates in UTC as ``YYYY-MM-DD``, and build times also as
``YYYY-MM-DD hh:mm[:ss]``. Words such as ``none``, ``notice``, ``forever`` and ``last-3`` give no
time. Any tenant may write any text there, so a date that does not exist gives no time either.
"""

import re
from calendar import monthrange
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

BUILD_DATE = "image_build_date"
PROVIDED_UNTIL = "provided_until"
UUID_VALIDITY = "uuid_validity"
REPLACE_FREQUENCY = "replace_frequency"

MONTHS = {"yearly": 12, "quarterly": 3, "monthly": 1}
DAYS = {"weekly": 7, "daily": 1}
"""The frequencies that promise a next build. ``critical_bug`` and ``never`` do not."""

# datetime.fromisoformat alone accepts more: other zones, fractions, week dates, any separator.
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[ T](?:[01]\d|2[0-3]):\d\d(?::\d\d)?Z?)?", re.ASCII)
_DAY = timedelta(days=1)


def built_at(properties: Mapping[str, str]) -> float | None:
    """Return the build time in seconds since the epoch. A date means the start of the day."""
    return _seconds(_time(properties.get(BUILD_DATE)))


def provided_until(properties: Mapping[str, str]) -> float | None:
    """Return the time until which the image is provided. A date means the end of the day."""
    return _until(properties.get(PROVIDED_UNTIL))


def uuid_valid_until(properties: Mapping[str, str]) -> float | None:
    """Return the time until which the ID stays valid. A date means the end of the day."""
    return _until(properties.get(UUID_VALIDITY))


def replacement_due(properties: Mapping[str, str]) -> float | None:
    """Return the time at which the next build is due: one calendar period after this build.

    The standard counts "from the first release" and allows three more days. An image reports
    neither of these. Without a build date there is no time.
    """
    built, frequency = _time(properties.get(BUILD_DATE)), properties.get(REPLACE_FREQUENCY)
    if built is None or frequency not in {*MONTHS, *DAYS}:
        return None
    try:
        if frequency in DAYS:
            return _seconds(built + timedelta(days=DAYS[frequency]))
        years, month = divmod(built.month - 1 + MONTHS[frequency], 12)
        year, month = built.year + years, month + 1
        # A month after January 31 is the last day of February.
        day = min(built.day, monthrange(year, month)[1])
        return _seconds(built.replace(year=year, month=month, day=day))
    except (ValueError, OverflowError):
        # The calendar of Python ends with the year 9999.
        return None


def _until(text: str | None) -> float | None:
    """Return the end of the day: the promise is kept "until at least the date"."""
    moment = _time(text)
    if moment is None or text is None:
        return None
    has_time = len(text) > len("YYYY-MM-DD")
    try:
        return _seconds(moment if has_time else moment + _DAY)
    except OverflowError:
        return None


def _time(text: str | None) -> datetime | None:
    if text is None or not _DATE.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
