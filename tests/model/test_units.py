import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.responses.parsers import GIBI, LARGEST_INTEGER, MEBI
from exporter.model.units import (
    LONGEST_MILLISECONDS,
    SIZE_UNITS,
    SizeRange,
    format_duration,
    format_size_range,
    parse_duration,
    parse_size_range,
)

SIZES = st.integers(0, LARGEST_INTEGER)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("500ms", 0.5),
        ("30s", 30.0),
        ("1m30s", 90.0),
        ("15m", 900.0),
        ("1h", 3600.0),
        ("90d", 7_776_000.0),
        ("1w", 604_800.0),
        ("1y", 31_536_000.0),
        ("1y2w3d4h5m6s7ms", 33_019_506.007),
        ("106751d", 9_223_286_400.0),
    ],
)
def test_duration_is_parsed_to_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "30",
        "s",
        "-1s",
        "+1s",
        "1.5s",
        " 1s",
        "1s ",
        "1s\n",
        "1 s",
        "1S",
        "1s1m",
        "1m1m",
        "1ms1s",
        "1us",
        "١s",
        "106752d",
        "293y",
        f"{'9' * 5000}s",
    ],
)
def test_duration_that_prometheus_rejects_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.001, "1ms"),
        (90.0, "1m30s"),
        (86_400.0 * 9, "9d"),
        (86_400.0 * 14, "2w"),
        (86_400.0 * 365, "1y"),
        (3601.5, "1h1s500ms"),
    ],
)
def test_duration_is_formatted_as_prometheus_does(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, LONGEST_MILLISECONDS))
def test_formatted_duration_parses_to_the_same_seconds(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.text(alphabet="0123456789ywdhms.- ", max_size=30) | st.text())
def test_any_text_is_a_finite_duration_or_a_value_error(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert 0 <= seconds <= LONGEST_MILLISECONDS / 1000


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", SizeRange.exactly(0)),
        ("0B", SizeRange.exactly(0)),
        ("7B", SizeRange.exactly(7)),
        ("512MiB", SizeRange.exactly(512 * MEBI)),
        ("7EiB", SizeRange.exactly(7 * 2**60)),
        ("1GiB..4GiB", SizeRange(GIBI, 4 * GIBI)),
        ("1GiB..1024MiB", SizeRange.exactly(GIBI)),
        ("1GiB..", SizeRange(GIBI, None)),
        ("..4GiB", SizeRange(None, 4 * GIBI)),
        ("0..1B", SizeRange(0, 1)),
        (f"{LARGEST_INTEGER}B", SizeRange.exactly(LARGEST_INTEGER)),
    ],
)
def test_size_or_range_is_parsed(text: str, size: SizeRange) -> None:
    assert parse_size_range(text) == size


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not a size"),
        ("GiB", "is not a size"),
        ("1 GiB", "is not a size"),
        ("1.5GiB", "is not a size"),
        ("-1B", "is not a size"),
        ("+1B", "is not a size"),
        ("\u0661B", "is not a size"),
        ("1GiB...4GiB", "is not a size"),
        ("1" * 20 + "B", "is not a size"),
        ("1" + "B" * 21, "is not a size"),
        ("1", "has no unit"),
        ("1GB", "has the unknown unit GB"),
        ("1gib", "has the unknown unit gib"),
        ("8EiB", "is larger than 2^63 - 1 bytes"),
        ("..", "is a range without ends"),
        ("2B..1B", "is a range whose end is below its beginning"),
    ],
)
def test_invalid_size_is_rejected_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the whole message is compared
        parse_size_range(text)
    assert str(caught.value) == problem


def test_both_ends_of_a_range_are_included() -> None:
    inside = [size in SizeRange(2, 4) for size in (1, 2, 4, 5, None)]
    assert inside == [False, True, True, False, False]
    assert [size in SizeRange(None, 4) for size in (0, 4, 5)] == [True, True, False]
    assert [size in SizeRange(2, None) for size in (1, 2, LARGEST_INTEGER)] == [False, True, True]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (SizeRange.exactly(0), "0B"),
        (SizeRange.exactly(1023), "1023B"),
        (SizeRange.exactly(1536), "1536B"),
        (SizeRange.exactly(3 * 1024), "3KiB"),
        (SizeRange.exactly(40 * GIBI), "40GiB"),
        (SizeRange(GIBI, 1536 * MEBI), "1GiB..1536MiB"),
        (SizeRange(None, GIBI), "..1GiB"),
        (SizeRange(GIBI, None), "1GiB.."),
    ],
)
def test_range_is_formatted_exactly_in_the_largest_unit(size: SizeRange, text: str) -> None:
    assert format_size_range(size) == text


@given(st.one_of(SIZES, st.none()), st.one_of(SIZES, st.none()))
def test_formatted_range_parses_to_the_same_range(one: int | None, other: int | None) -> None:
    ends = sorted(end for end in (one, other) if end is not None)
    if not ends:
        return
    size = SizeRange(*ends) if len(ends) == 2 else SizeRange(one, other)
    assert parse_size_range(format_size_range(size)) == size


@given(st.text(alphabet="0123456789.BKMGTPEiR "))
def test_any_text_is_a_range_within_bounds_or_a_value_error(text: str) -> None:
    try:
        size = parse_size_range(text)
    except ValueError:
        return
    assert all(end is None or 0 <= end <= LARGEST_INTEGER for end in size)
    assert text.count("..") <= 1
    assert any(unit in text for unit in SIZE_UNITS) or set(text) <= {"0", "."}
