"""How long an image is good for, as its publisher says in properties of SCS-0102.

The values are those of the Sovereign Cloud Stack's standard scs-0102-v1 ("Image handling" and
"Image build info"): dates in UTC, ``YYYY-MM-DD``, of a build also ``YYYY-MM-DD hh:mm[:ss]``.
Words such as ``none``, ``notice``, ``forever`` and ``last-3`` are no times. Anybody may write
anything there, so what is no date that exists is no time either.
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
"""The frequencies that promise a next build; ``critical_bug`` and ``never`` promise none."""

_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:(?: |T)(\d\d):(\d\d)(?::(\d\d))?Z?)?", re.ASCII)
_DAY = timedelta(days=1)


def built_at(properties: Mapping[str, str]) -> float | None:
    """When the image was built, in seconds since the epoch; a date is the day's beginning."""
    return _seconds(_time(properties.get(BUILD_DATE)))


def provided_until(properties: Mapping[str, str]) -> float | None:
    """Until when images of this name are provided and replaced; a date is the day's end."""
    return _until(properties.get(PROVIDED_UNTIL))


def uuid_valid_until(properties: Mapping[str, str]) -> float | None:
    """Until when the image can be used by its ID; a date is the day's end."""
    return _until(properties.get(UUID_VALIDITY))


def replacement_due(properties: Mapping[str, str]) -> float | None:
    """When the next build is due at the latest: that of this one and the period, by the calendar.

    The standard counts "from the first release" and allows three days more, neither of which an
    image says. The period by itself is no time, so without a build date there is none.
    """
    built, frequency = _time(properties.get(BUILD_DATE)), properties.get(REPLACE_FREQUENCY)
    if built is None or frequency not in {*MONTHS, *DAYS}:
        return None
    try:
        if frequency in DAYS:
            return _seconds(built + timedelta(days=DAYS[frequency]))
        years, month = divmod(built.month - 1 + MONTHS[frequency], 12)
        year, month = built.year + years, month + 1
        # A month after the 31st of January is the last of February.
        day = min(built.day, monthrange(year, month)[1])
        return _seconds(built.replace(year=year, month=month, day=day))
    except (ValueError, OverflowError):
        # The calendar ends with the year 9999.
        return None


def _until(text: str | None) -> float | None:
    """The end of a day: the promise is kept "until at least the date"."""
    moment = _time(text)
    if moment is None or text is None:
        return None
    has_time = len(text) > len("YYYY-MM-DD")
    try:
        return _seconds(moment if has_time else moment + _DAY)
    except OverflowError:
        return None


def _time(text: str | None) -> datetime | None:
    match = _DATE.fullmatch(text or "")
    if match is None:
        return None
    try:
        return datetime(*(int(part or 0) for part in match.groups()), tzinfo=UTC)  # type: ignore[arg-type,misc]  # six numbers
    except ValueError:
        return None


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
