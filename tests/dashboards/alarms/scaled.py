"""The project's own rules and routes, with every duration shortened by one factor."""

import re
from collections.abc import Mapping
from typing import Any

FACTOR = 30
"""An hour is two minutes; the default interval of a minute, and a scrape of 30 s, are seconds."""

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION = r"\d+(?:ms|[smhd])"
TIMES = frozenset({"for", "keep_firing_for", "interval"})
"""The keys of a rule file whose values are durations."""
ROUTE_TIMES = frozenset({"group_wait", "group_interval", "repeat_interval"})
"""Those of Alertmanager's routes."""


def seconds(duration: str, factor: float = FACTOR) -> float:
    """A duration such as ``5m``, shortened."""
    number, unit = re.fullmatch(r"(\d+)(ms|[smhd])", duration).groups()  # type: ignore[union-attr]
    return int(number) * SECONDS[unit] / factor


def shortened(duration: str, factor: float = FACTOR) -> str:
    """The same as Prometheus and Alertmanager read it; at least a millisecond."""
    return f"{max(1, round(seconds(duration, factor) * 1000))}ms"


def in_queries(text: str, factor: float = FACTOR) -> str:
    """An expression or a template with its ranges and offsets shortened."""
    found = re.compile(rf"(?<=\[)({DURATION})(?=\])|(?<=offset )({DURATION})\b")
    return found.sub(lambda match: shortened(match[0], factor), text)


def rules(loaded: Mapping[str, Any], factor: float = FACTOR) -> Any:
    """A rule file with all of its durations shortened."""
    return _each(loaded, TIMES, factor)


def routes(loaded: Mapping[str, Any], factor: float = FACTOR) -> Any:
    """Settings of Alertmanager with all of their durations shortened."""
    return _each(loaded, ROUTE_TIMES, factor)


def _each(value: Any, times: frozenset[str], factor: float) -> Any:
    match value:
        case Mapping():
            return {
                key: shortened(each, factor) if key in times else _each(each, times, factor)
                for key, each in value.items()
            }
        case list():
            return [_each(each, times, factor) for each in value]
        case str():
            return in_queries(value, factor)
        case _:
            return value
