from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.scs0102 import (
    BUILD_DATE,
    PROVIDED_UNTIL,
    REPLACE_FREQUENCY,
    UUID_VALIDITY,
    built_at,
    provided_until,
    replacement_due,
    uuid_valid_until,
)


def at(*parts: int) -> float:
    """Return seconds since the epoch of a UTC time."""
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]  # year, month, day and perhaps more


NO_DATES = [
    None,
    "",
    "none",
    "notice",
    "forever",
    "last-3",
    "2025-6-11",
    "2025-13-01",
    "2025-02-30",
    "0000-01-01",
    "20250611",
    "2025-06-11 25:00",
    "2025-06-11 10",
    "2025-06-11 10:00:61",
    " 2025-06-11",
    "2025-06-11\n",
    "\u0662\u0660\u0662\u0665-06-11",
]


@pytest.mark.parametrize(
    ("text", "built"),
    [
        ("2025-06-11", at(2025, 6, 11)),
        ("2025-06-11 10:20", at(2025, 6, 11, 10, 20)),
        ("2025-06-11 10:20:30", at(2025, 6, 11, 10, 20, 30)),
        ("2025-06-11T10:20:30Z", at(2025, 6, 11, 10, 20, 30)),
        ("1969-12-31", -86400.0),
        *((text, None) for text in NO_DATES),
    ],
)
def test_build_date_is_the_start_of_the_day(text: str | None, built: float | None) -> None:
    assert built_at({} if text is None else {BUILD_DATE: text}) == built


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("2022-12-31", at(2023, 1, 1)),
        ("2022-12-31 10:20", at(2022, 12, 31, 10, 20)),
        ("9999-12-31", None),
        ("9999-12-30", at(9999, 12, 31)),
        *((text, None) for text in NO_DATES),
    ],
)
def test_provided_until_and_uuid_validity_are_the_end_of_the_day(
    text: str | None, until: float | None
) -> None:
    for name, value in ((PROVIDED_UNTIL, provided_until), (UUID_VALIDITY, uuid_valid_until)):
        assert value({} if text is None else {name: text}) == until


@pytest.mark.parametrize(
    ("built", "frequency", "due"),
    [
        ("2021-04-14", "yearly", at(2022, 4, 14)),
        ("2021-04-14", "quarterly", at(2021, 7, 14)),
        ("2021-04-14", "monthly", at(2021, 5, 14)),
        ("2021-04-14", "weekly", at(2021, 4, 21)),
        ("2021-04-14 06:30", "daily", at(2021, 4, 15, 6, 30)),
        ("2024-01-31", "monthly", at(2024, 2, 29)),
        ("2024-02-29", "yearly", at(2025, 2, 28)),
        ("2021-11-30", "quarterly", at(2022, 2, 28)),
        ("2021-12-31", "monthly", at(2022, 1, 31)),
        ("9999-12-31", "monthly", None),
        ("9999-12-31", "daily", None),
        ("2021-04-14", "critical_bug", None),
        ("2021-04-14", "never", None),
        ("2021-04-14", "hourly", None),
        ("2021-04-14", None, None),
        ("yesterday", "daily", None),
        (None, "daily", None),
    ],
)
def test_next_build_is_due_one_calendar_period_after_the_build(
    built: str | None, frequency: str | None, due: float | None
) -> None:
    properties = {BUILD_DATE: built, REPLACE_FREQUENCY: frequency}
    assert replacement_due({name: text for name, text in properties.items() if text}) == due


@given(st.text(), st.text() | st.sampled_from(["yearly", "quarterly", "monthly", "daily"]))
def test_any_text_is_a_finite_time_or_none(text: str, frequency: str) -> None:
    names = (BUILD_DATE, PROVIDED_UNTIL, UUID_VALIDITY)
    properties = {**dict.fromkeys(names, text), REPLACE_FREQUENCY: frequency}
    for value in (built_at, provided_until, uuid_valid_until, replacement_due):
        assert isinstance(value(properties), float | None)


@given(st.dates(), st.sampled_from(["yearly", "quarterly", "monthly", "weekly", "daily"]))
def test_replacement_is_due_within_a_year_after_the_build(day: date, frequency: str) -> None:
    properties = {BUILD_DATE: day.isoformat(), REPLACE_FREQUENCY: frequency}
    due, built = replacement_due(properties), built_at(properties)
    assert built is not None
    assert due is None or 86400 <= due - built <= 366 * 86400
