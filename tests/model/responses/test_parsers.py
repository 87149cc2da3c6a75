from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.responses.parsers import (
    GIBI,
    MEBI,
    scaled,
    text_to_boolean,
    text_to_integer,
    text_to_text,
    utc_timestamp,
)

NUMBERS = {"0": 0, "7": 7, "0016": 16, "9223372036854775807": 2**63 - 1}

NO_NUMBERS = (
    "",
    "9223372036854775808",
    "99999999999999999999",
    "-1",
    "+5",
    "1e3",
    "1.0",
    " 1",
    "1 ",
    "1\n",
    "0x10",
    "1_000",
    "٣",
    "²",
    "None",
    "16, 16",
)

BOOLEANS = {"True": True, "true": True, "TRUE": True, "tRuE": True}
BOOLEANS |= {"False": False, "false": False, "FALSE": False, "fALSE": False}

NO_BOOLEANS = ("", "1", "0", "yes", "on", "None", "True ", "TrueFalse", "t", "ﬀalse")

TIMES = {
    "2026-11-23T11:02:42.011804": datetime(2026, 11, 23, 11, 2, 42, 11804, UTC),
    "2026-11-23T11:02:42": datetime(2026, 11, 23, 11, 2, 42, 0, UTC),
    "2026-11-23 11:02:42": datetime(2026, 11, 23, 11, 2, 42, 0, UTC),
    "2026-11-23 11:02:42.5": datetime(2026, 11, 23, 11, 2, 42, 500000, UTC),
    "2026-11-23T11:02:42Z": datetime(2026, 11, 23, 11, 2, 42, 0, UTC),
    "2026-11-23T11:02:42.000001Z": datetime(2026, 11, 23, 11, 2, 42, 1, UTC),
    "2026-11-23T11:02:42.123456789": datetime(2026, 11, 23, 11, 2, 42, 123456, UTC),
    "2026-11-23T11:02:42+00:00": datetime(2026, 11, 23, 11, 2, 42, 0, UTC),
    "2026-11-23T11:02:42+02:00": datetime(2026, 11, 23, 9, 2, 42, 0, UTC),
    "2026-11-23T11:02:42-0530": datetime(2026, 11, 23, 16, 32, 42, 0, UTC),
    "2024-02-29T00:00:00": datetime(2024, 2, 29, tzinfo=UTC),
    "1969-12-31T23:59:59": datetime(1969, 12, 31, 23, 59, 59, 0, UTC),
    "0001-01-01T00:00:00+23:59": datetime(1, 1, 1, tzinfo=timezone(timedelta(minutes=1439))),
}

NO_TIMES = (
    "",
    "None",
    "2026-11-23",
    "2026-11-23T11:02",
    "2026-11-23T24:00:00",
    "2026-11-23T11:02:60",
    "2026-02-29T11:02:42",
    "0000-01-01T00:00:00",
    "2026-13-01T00:00:00",
    "2026-11-23T11:02:42.",
    "2026-11-23T11:02:42.1234567890",
    "2026-11-23T11:02:42,5",
    "2026-11-23T11:02:42 UTC",
    "2026-11-23T11:02:42+24:00",
    "2026-11-23T11:02:42+99:00",
    "2026-11-23T11:02:42+00:60",
    "2026-11-23T11:02:42+02",
    "2026-11-23T11:02:42\n",
    " 2026-11-23T11:02:42",
    "٢٠٢٦-11-23T11:02:42",
    "1700000000",
    "Mon, 23 Nov 2026 11:02:48 GMT",
)


@pytest.mark.parametrize(("written", "number"), NUMBERS.items())
def test_integer_up_to_63_bits_is_parsed(written: str, number: int) -> None:
    assert text_to_integer(written) == number


@pytest.mark.parametrize("read", [text_to_integer, scaled(text_to_integer, GIBI)])
@pytest.mark.parametrize("written", NO_NUMBERS)
def test_anything_but_plain_digits_is_not_an_integer(
    read: Callable[[str], int], written: str
) -> None:
    with pytest.raises(ValueError, match=r"^not a whole number of 0 or more$|^larger than 2\^63"):
        read(written)


def test_gibibytes_and_mebibytes_become_bytes() -> None:
    assert (scaled(text_to_integer, GIBI)("40"), scaled(text_to_integer, MEBI)("2048")) == (
        42_949_672_960,
        2_147_483_648,
    )


@pytest.mark.parametrize(("written", "value"), BOOLEANS.items())
def test_boolean_is_parsed_in_any_case(written: str, value: bool) -> None:
    assert text_to_boolean(written) is value


@pytest.mark.parametrize("written", NO_BOOLEANS)
def test_other_words_are_not_booleans(written: str) -> None:
    with pytest.raises(ValueError, match=r"^neither true nor false$"):
        text_to_boolean(written)


@pytest.mark.parametrize(("written", "moment"), TIMES.items())
def test_timestamp_is_parsed_with_or_without_fraction_and_zone(
    written: str, moment: datetime
) -> None:
    """A time without a zone is UTC. Digits beyond the microsecond are cut."""
    assert utc_timestamp(written) == moment.timestamp()


@pytest.mark.parametrize("written", NO_TIMES)
def test_invalid_or_incomplete_timestamp_is_rejected(written: str) -> None:
    with pytest.raises(ValueError, match=r"^not a time (like 2026-\S+|that exists)$"):
        utc_timestamp(written)


@given(st.datetimes(timezones=st.timezones() | st.just(UTC)))
def test_every_timestamp_that_python_formats_is_parsed(moment: datetime) -> None:
    """Zones with seconds are not accepted."""
    shift = moment.utcoffset()
    assert shift is not None
    if shift % timedelta(minutes=1):
        moment = moment.replace(tzinfo=UTC)
    assert utc_timestamp(moment.isoformat()) == moment.timestamp()


def test_text_is_unchanged() -> None:
    assert text_to_text(" a\tb ") == " a\tb "
