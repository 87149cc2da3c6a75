"""Expected and actual values as text for people and as JSON for programs."""

from collections.abc import Iterable

from exporter.model.expectations.checks import TIME_BASED, CheckResult
from exporter.model.units import SizeRange, format_duration, format_size, format_size_range


def format_expected(result: CheckResult) -> str:
    """Return the expected value in the spelling of settings; join several values in one line."""
    text = _format(result.expectation, result.expected)
    return f"at most {text}" if result.expectation in TIME_BASED else text


def format_actual(result: CheckResult) -> str:
    """Return the actual value in the same form, empty if it is unknown."""
    if result.actual is None:
        return ""
    if isinstance(result.expected, SizeRange) and isinstance(result.actual, int):
        return format_size(result.actual)
    return _format(result.expectation, result.actual)


def to_json(value: object) -> object:
    """Return an expected or actual value in types of JSON.

    Sizes are bytes, a range of sizes is an object with ``min`` and ``max``, times are seconds,
    pairs are an object, and several values are a list.
    """
    if isinstance(value, SizeRange):
        return {"min": value.least, "max": value.most}
    if isinstance(value, tuple):
        return dict(value) if isinstance(value[0], tuple) else list(value)
    return value


def _format(expectation: str, value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case SizeRange():
            return format_size_range(value)
        case tuple():
            return _format_several(value)
        case float() if expectation in TIME_BASED:
            # The age is negative if the clock that dated the image is ahead of this one.
            return format_duration(max(0, round(value)))
    return str(value)


def _format_several(values: Iterable[object]) -> str:
    """Join values: commas for pairs, which are all expected, and "or" for alternatives."""
    pairs = [value for value in values if isinstance(value, tuple)]
    if pairs:
        return ", ".join(f"{name}: {'none' if value is None else value}" for name, value in pairs)
    return " or ".join(map(str, values))
