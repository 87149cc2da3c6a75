"""Durations as Prometheus writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.units import LONGEST, format_duration, parse_duration


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
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    """Every unit of Prometheus counts, alone and together."""
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
def test_what_prometheus_refuses_is_refused(text: str) -> None:
    """Missing, wrong, repeated and misplaced units, signs, fractions, and over 292 years."""
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
def test_seconds_are_written_as_prometheus_writes_them(seconds: float, text: str) -> None:
    """Years and weeks are used only when they leave nothing over."""
    assert format_duration(seconds) == text


@given(st.integers(0, LONGEST))
def test_what_is_written_is_read_back(milliseconds: int) -> None:
    """Every duration that Prometheus can hold survives writing and reading."""
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.text(alphabet="0123456789ywdhms.- ", max_size=30) | st.text())
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    """Nothing but ValueError is raised, and what is read is neither negative nor infinite."""
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert 0 <= seconds <= LONGEST / 1000
