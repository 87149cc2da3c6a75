"""What was wanted and what is, for people and for programs."""

from collections.abc import Iterable

from exporter.model.expectations.checks import TIME_BASED, CheckResult
from exporter.model.units import SizeRange, format_duration, format_size, format_size_range

SIZES = frozenset({"size", "min_disk", "min_ram"})


def format_expected(verdict: CheckResult) -> str:
    """What was wanted, as settings write it where it is one value."""
    if verdict.expectation in TIME_BASED:
        return f"at most {_words(verdict.expectation, verdict.expected)}"
    return _words(verdict.expectation, verdict.expected)


def format_actual(verdict: CheckResult) -> str:
    """What is, in the same words; empty where it is not known."""
    return "" if verdict.actual is None else _words(verdict.expectation, verdict.actual)


def to_json(value: object) -> object:
    """What was wanted, or what is, in the types of JSON.

    Sizes are bytes, a range of them an object of ``min`` and ``max``, times seconds, pairs an
    object, several values a list.
    """
    if isinstance(value, SizeRange):
        return {"min": value.least, "max": value.most}
    if isinstance(value, tuple):
        return dict(value) if isinstance(value[0], tuple) else list(value)
    return value


def _words(expectation: str, value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case SizeRange():
            return format_size_range(value)
        case tuple():
            return _several(value)
        case int() if expectation in SIZES:
            return format_size(value)
        case float() if expectation in TIME_BASED:
            # One that is made in the future by a clock that is ahead has no age yet.
            return format_duration(max(0, round(value)))
    return str(value)


def _several(values: Iterable[object]) -> str:
    """Pairs are all wanted, of single values one."""
    pairs = [each for each in values if isinstance(each, tuple)]
    if pairs:
        return ", ".join(f"{name}: {'none' if each is None else each}" for name, each in pairs)
    return " or ".join(map(str, values))
