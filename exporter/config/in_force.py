"""Text of the configuration in force: every setting, and the source of its value."""

import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml

from exporter.config.reference import Row, reference
from exporter.config.resolved import RESOLVED_INTO_IMAGES, ResolvedCloud, resolved_clouds
from exporter.config.schema import Cloud, Settings
from exporter.config.sources import ConfigSource, hidden_or_text
from exporter.model.units import format_duration

HEADER = "# The configuration in force. Secrets are shown as ***."
DURATION = "DURATION"

FIXED_GROUPS = ("web.", "shard.")
"""Groups of settings that are used as they are at the start, whatever a reload reads."""

RELOADED = "web.config.file"
"""The only setting of these groups that a reload changes."""


class InForce(NamedTuple):
    """A setting in force: its value, as written or else the default, and the source of it."""

    value: object
    origin: str


def fixed_settings(settings: Settings, sources: Sequence[ConfigSource]) -> Mapping[str, InForce]:
    """Return the settings that only a restart changes, by key."""
    return {
        row.key: InForce(_written(row, settings, sources), _origin(row, sources))
        for row in reference()
        if row.key.startswith(FIXED_GROUPS) and row.key != RELOADED
    }


def describe(
    settings: Settings,
    sources: Sequence[ConfigSource],
    fixed: Mapping[str, InForce] = MappingProxyType({}),
) -> str:
    """Return the settings as YAML, with the source of each value in a comment.

    Written values are shown as they are written, others as their defaults. No secret is shown.

    Args:
        settings: The settings that were loaded last.
        sources: Their sources.
        fixed: The ``fixed_settings`` at the start, which are in force until a restart.
    """
    rows = reference()
    general = [row for row in rows if "[]" not in row.key and row.key != "clouds"]
    lines = [HEADER, *_general_lines(general, settings, sources, fixed)]
    cloud_rows = {row.key.removeprefix("clouds[]."): row for row in rows if "clouds[]." in row.key}
    source = _source(("clouds",), sources)
    written = source.clouds() if source else []
    origins = {row.key: _origin(row, sources) for row in general}
    lines.append(f"clouds:{'' if written else ' []'}{_comment(source, ('clouds',))}")
    for cloud, raw in zip(resolved_clouds(settings), written, strict=False):
        lines += _cloud_lines(cloud, raw, cloud_rows, origins)
    return "\n".join([*lines, ""])


def _general_lines(
    rows: Sequence[Row],
    settings: Settings,
    sources: Sequence[ConfigSource],
    fixed: Mapping[str, InForce],
) -> Iterator[str]:
    group: tuple[str, ...] = ()
    for row in rows:
        *parents, key = row.key.split(".")
        for depth, parent in enumerate(parents):
            if group[: depth + 1] != tuple(parents[: depth + 1]):
                yield f"{'  ' * depth}{parent}:"
        group = tuple(parents)
        loaded = InForce(_written(row, settings, sources), _origin(row, sources))
        value, origin = fixed.get(row.key, loaded)
        if value != loaded.value:
            origin += f"; after a restart: {_inline(loaded.value)}"
        yield f"{'  ' * len(parents)}{key}: {_inline(value)}  # {origin}"


def _cloud_lines(
    cloud: ResolvedCloud,
    raw: Mapping[str, Any],
    rows: Mapping[str, Row],
    origins: Mapping[str, str],
) -> Iterator[str]:
    indent = "  - "
    for key in Cloud.model_fields:
        if raw.get(key) is not None:
            items = raw[key]
            if key in {"images", "discover"}:
                yield f"{indent}{key}:"
                yield from (f"      - {_inline(item)}" for item in items)
            else:
                yield f"{indent}{key}: {_inline(items)}"
        elif key in origins and key not in RESOLVED_INTO_IMAGES:
            value = getattr(cloud, key)
            text = format_duration(value) if rows[key].metavar == DURATION else value
            yield f"{indent}{key}: {_inline(text)}  # {origins[key]}"
        else:
            yield f"{indent}{key}: null  # default: {rows[key].default}"
        indent = "    "


def _written(row: Row, settings: Settings, sources: Sequence[ConfigSource]) -> object:
    """Return the value of a general setting as it is written, or else its default."""
    loc = tuple(row.key.split("."))
    source = _source(loc, sources)
    read: Any = settings
    for key in loc:
        read = getattr(read, key)
    if source is None:
        # Without a default, or with one that depends on other settings.
        return None if read in (None, (), {}) else yaml.safe_load(row.default)
    if row.is_list:
        return read
    value: Any = source.raw
    for key in loc:
        value = value[key]
    return value


def _origin(row: Row, sources: Sequence[ConfigSource]) -> str:
    loc = tuple(row.key.split("."))
    source = _source(loc, sources)
    return f"default: {row.default}" if source is None else source.label(loc)


def _source(loc: tuple[str, ...], sources: Sequence[ConfigSource]) -> ConfigSource | None:
    """Return the first source that has a value for a setting."""
    return next((source for source in sources if source.matched_depth(loc) == len(loc)), None)


def _comment(source: ConfigSource | None, loc: tuple[str, ...]) -> str:
    return "" if source is None else f"  # {source.label(loc).partition(': clouds')[0]}"


def _inline(value: object) -> str:
    """Return a value as JSON, which is YAML in one line."""
    return json.dumps(value, default=hidden_or_text)
