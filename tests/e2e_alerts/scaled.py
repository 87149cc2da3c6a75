"""The rules and routes of the project with every duration shortened by one factor."""

import os
import re
from collections.abc import Mapping
from typing import Any

FACTOR = float(os.environ.get("ALERTS_SPEED", "30"))
"""By default, an hour becomes two minutes, and the default interval of a minute two seconds."""

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION = r"\d+(?:ms|[smhd])"
RULE_DURATIONS = frozenset({"for", "keep_firing_for", "interval"})
"""Keys of a rule file with durations as values."""
ROUTE_DURATIONS = frozenset({"group_wait", "group_interval", "repeat_interval"})
"""Keys of a route of Alertmanager with durations as values."""


def seconds(duration: str, factor: float = FACTOR) -> float:
    """Return the seconds of a duration such as ``5m``, shortened."""
    number, unit = re.fullmatch(r"(\d+)(ms|[smhd])", duration).groups()  # type: ignore[union-attr]
    return int(number) * SECONDS[unit] / factor


def shortened(duration: str, factor: float = FACTOR) -> str:
    """Return the duration, shortened, as Prometheus parses it; at least a millisecond."""
    return f"{max(1, round(seconds(duration, factor) * 1000))}ms"


def scaled_queries(text: str, factor: float = FACTOR) -> str:
    """Shorten the ranges, steps, offsets and ages of an expression or a template."""
    pattern = re.compile(
        rf"(?<=\[){DURATION}(?=[\]:])|(?<=\d[smhd]:){DURATION}(?=\])|(?<=offset ){DURATION}\b"
    )
    text = pattern.sub(lambda match: shortened(match[0], factor), text)
    age = r"(?<=time\(\) - )\d+\b"
    return re.sub(age, lambda match: f"{int(match[0]) / factor:g}", text)


def rules(loaded: Mapping[str, Any], factor: float = FACTOR) -> Any:
    """Shorten all durations of a rule file."""
    return _shorten_all(loaded, RULE_DURATIONS, factor)


def routes(loaded: Mapping[str, Any], factor: float = FACTOR) -> Any:
    """Shorten all durations of a configuration of Alertmanager."""
    return _shorten_all(loaded, ROUTE_DURATIONS, factor)


def _shorten_all(value: Any, duration_keys: frozenset[str], factor: float) -> Any:
    match value:
        case Mapping():
            return {
                key: shortened(child, factor)
                if key in duration_keys
                else _shorten_all(child, duration_keys, factor)
                for key, child in value.items()
            }
        case list():
            return [_shorten_all(item, duration_keys, factor) for item in value]
        case str():
            return scaled_queries(value, factor)
        case _:
            return value
