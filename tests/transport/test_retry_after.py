import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.transport.retry_after import MAX_WAIT, parse_http_date, parse_retry_after

NOON = b"Mon, 23 Nov 2026 12:00:00 GMT"
NOON_AT = 1795435200.0


@pytest.mark.parametrize(
    ("raw", "seconds", "is_exact"),
    [
        (b"0", 0.0, True),
        (b"30", 30.0, True),
        (b"300", 300.0, True),
        (b"301", MAX_WAIT, False),
        (b"999999999999999999", MAX_WAIT, False),
        (b"-1", MAX_WAIT, False),
        (b"0.5", 0.5, True),
        (b"1.0", 1.0, True),
        (b"1.5", 1.5, True),
        (b"2.", 2.0, True),
        (b"300.5", MAX_WAIT, False),
        (b"-0.5", MAX_WAIT, False),
        (b"1.5.0", MAX_WAIT, False),
        (b"1e3", MAX_WAIT, False),
        (b".", MAX_WAIT, False),
        (b"nan", MAX_WAIT, False),
        (b"", MAX_WAIT, False),
        (b"soon", MAX_WAIT, False),
        (b"\xff\xfe", MAX_WAIT, False),
        (b"Mon, 23 Nov 2026 12:01:00 GMT", 60.0, True),
        (b"Mon, 23 Nov 2026 12:01:00", 60.0, True),
        (b"Monday, 23-Nov-26 12:01:00 GMT", 60.0, True),
        (b"Mon, 23 Nov 2026 12:00:00 GMT", 0.0, True),
        (b"Mon, 23 Nov 2026 11:59:59 GMT", 0.0, True),
        (b"Wed, 21 Oct 2015 07:28:00 GMT", 0.0, True),
        (b"Mon, 23 Nov 2026 13:00:00 GMT", MAX_WAIT, False),
        (b"Mon, 99 Nov 2026 12:01:00 GMT", MAX_WAIT, False),
    ],
)
def test_seconds_or_date_are_parsed_and_capped(raw: bytes, seconds: float, is_exact: bool) -> None:
    assert parse_retry_after(raw, NOON, now=0.0) == (seconds, is_exact)


def test_date_is_relative_to_that_of_the_response() -> None:
    """The clock of the server may be a day off."""
    later = b"Mon, 23 Nov 2026 12:00:30 GMT"
    assert parse_retry_after(later, NOON, now=NOON_AT + 86400) == (30.0, True)
    assert parse_retry_after(later, None, now=NOON_AT + 10) == (20.0, True)
    assert parse_retry_after(later, b"nonsense", now=NOON_AT + 10) == (20.0, True)
    assert parse_retry_after(later, None, now=NOON_AT + 31) == (0.0, True)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_date_without_a_time_zone_is_gmt(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert parse_http_date(b"Mon, 23 Nov 2026 12:00:00") == NOON_AT
        assert parse_http_date(b"Mon, 23 Nov 2026 12:00:00 -0000") == NOON_AT
        assert parse_http_date(NOON) == NOON_AT
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("raw", [None, b"", b"0", b"\xff", b"Mon, 23 Nov 99999 12:00:00 GMT"])
def test_invalid_date_is_none(raw: bytes | None) -> None:
    assert parse_http_date(raw) is None


@given(st.binary(), st.one_of(st.none(), st.binary()), st.floats(0, 4e9))
def test_any_bytes_give_a_wait_within_the_cap(raw: bytes, date: bytes | None, now: float) -> None:
    seconds, _ = parse_retry_after(raw, date, now)
    assert 0 <= seconds <= MAX_WAIT


@given(st.text("0123456789 :,+-GMTJanFeb", max_size=40))
def test_text_like_a_date_is_a_date_or_none(text: str) -> None:
    assert parse_http_date(text.encode()) is None or isinstance(
        parse_http_date(text.encode()), float
    )
