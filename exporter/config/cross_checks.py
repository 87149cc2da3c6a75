"""Rules between settings, checked on the values as written.

A pydantic model checks rules between its fields only if every field is valid. These rules accept
any value, valid or not, so that all errors are reported at once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from pydantic_core import PydanticCustomError

from exporter.config import types
from exporter.config.expect import REMOVE
from exporter.config.messages import ConfigError, Loc, key_path, shown
from exporter.model.units import format_duration, parse_duration

OPENSTACK_KEYS = ("cloud", "region", "image_service_name", "interface")
"""Keys of a cloud that select an entry of OpenStack's own configuration."""

CRITERIA = ("name", "tag", "owner", "visibility", "status", "property")
"""Keys of a discovery rule that select images."""

_ONE_OF_TWO = "accepted: one of the two"


class _Limit(NamedTuple):
    """A rule between a time and the interval, with the error about either of them."""

    key: str
    is_violated: Callable[[float, float], bool]
    error_of_key: str
    error_of_interval: str


_LIMITS = (
    _Limit(
        "timeout",
        lambda seconds, interval: seconds > interval,
        "is longer than the interval, {}; accepted: at most the interval",
        "is shorter than the timeout, {}; accepted: at least the timeout",
    ),
    _Limit(
        "max_stale",
        lambda seconds, interval: seconds < 2 * interval,
        "is less than two intervals of {}; accepted: at least two",
        "is more than half of max_stale, {}; accepted: at most half of it",
    ),
    _Limit(
        "discovery_interval",
        lambda seconds, interval: seconds < interval,
        "is shorter than the interval, {}; accepted: at least the interval",
        "is longer than discovery_interval, {}; accepted: at most that",
    ),
)


def between_fields(
    raw: Mapping[str, object], defaults: Mapping[str, object]
) -> Iterator[ConfigError]:
    """Yield every error between settings as written, with defaults for those not written."""
    yield from _check_times((), raw, defaults)
    yield from _check_shard(raw.get("shard"))
    yield from _check_expect(("expect",), raw.get("expect"))
    clouds = list(_mappings(raw.get("clouds")))
    for index, cloud in clouds:
        loc: Loc = ("clouds", index)
        yield from _check_times(loc, cloud, {**defaults, **_without_null(raw)})
        yield from _check_authentication(loc, cloud)
        yield from _duplicates(_image_ids((*loc, "images"), cloud.get("images")))
        yield from _check_discovery(loc, cloud)
        yield from _check_expect((*loc, "expect"), cloud.get("expect"))
        for key in ("images", "discover"):
            for position, entry in _mappings(cloud.get(key)):
                yield from _check_expect((*loc, key, position, "expect"), entry.get("expect"))
    yield from _duplicates(
        (("clouds", index, "name"), cloud.get("name")) for index, cloud in clouds
    )


def nothing_to_watch(raw: Mapping[str, object]) -> Iterator[ConfigError]:
    """Yield an error for each cloud that has neither images nor discovery rules."""
    for index, cloud in _mappings(raw.get("clouds")):
        if not {"images", "discover"} & cloud.keys():
            yield ConfigError(
                ("clouds", index, "images"),
                "missing; accepted: list of image IDs, or of mappings, unless discover is given",
            )


def _check_times(
    loc: Loc, raw: Mapping[str, object], inherited: Mapping[str, object]
) -> Iterator[ConfigError]:
    """Check the times of one level, the general settings or a cloud.

    An error is reported only at a key that this level has, so that an error in the general settings
    is not repeated for each cloud.
    """
    own = _without_null(raw)
    effective = {**inherited, **own}
    interval = _seconds(effective.get("interval"))
    for limit in _LIMITS:
        seconds = _seconds(effective.get(limit.key))
        if interval is None or seconds is None or not limit.is_violated(seconds, interval):
            continue
        if limit.key in own:
            problem = limit.error_of_key.format(format_duration(interval))
            yield ConfigError((*loc, limit.key), f"{shown(own[limit.key])} {problem}")
        elif "interval" in own:
            problem = limit.error_of_interval.format(format_duration(seconds))
            yield ConfigError((*loc, "interval"), f"{shown(own['interval'])} {problem}")


def _check_shard(raw: object) -> Iterator[ConfigError]:
    shard = _without_null(raw) if isinstance(raw, dict) else {}
    for key, other in (("index", "total"), ("total", "index")):
        if key in shard and other not in shard:
            problem = f"needs shard.{other} beside it; accepted: both or none"
            yield ConfigError(("shard", key), f"{shown(shard[key])} {problem}")
    try:
        index = types.shard_index(shard.get("index"))
        total = types.shard_total(shard.get("total"))
    except PydanticCustomError:
        # Invalid values were already reported by the field validators.
        return
    if index >= total:
        problem = f"is not a shard of {total}; accepted: 0 to {total - 1}, the first is 0"
        yield ConfigError(("shard", "index"), f"{shown(shard['index'])} {problem}")


def _check_authentication(loc: Loc, cloud: Mapping[str, object]) -> Iterator[ConfigError]:
    own = _without_null(cloud)
    if "endpoint" in own:
        for key in OPENSTACK_KEYS:
            if key in own:
                problem = f"{shown(own[key])} is excluded by endpoint; {_ONE_OF_TWO}"
                yield ConfigError((*loc, key), problem)
    else:
        for key in ("token", "token_file"):
            if key in own:
                yield ConfigError((*loc, key), "needs an endpoint; accepted: only beside endpoint")
    if "token" in own and "token_file" in own:
        yield ConfigError((*loc, "token"), f"excluded by token_file; {_ONE_OF_TWO}")


def _check_discovery(loc: Loc, cloud: Mapping[str, object]) -> Iterator[ConfigError]:
    labels = {label: label_loc for label_loc, label in _labels(loc, cloud)}
    for index, entry in _mappings(cloud.get("discover")):
        rule_loc: Loc = (*loc, "discover", index)
        rule = _without_null(entry)
        if rule.keys().isdisjoint(CRITERIA):
            accepted = ", ".join(CRITERIA)
            yield ConfigError(rule_loc, f"no criterion; accepted: at least one of {accepted}")
        alias, most_recent = rule.get("alias"), rule.get("most_recent", False)
        alias_loc = (*rule_loc, "alias")
        if most_recent is True and alias is None:
            problem = "needs an alias; accepted: only beside alias"
            yield ConfigError((*rule_loc, "most_recent"), problem)
        if most_recent is False and alias is not None:
            problem = "would be shared by many images; accepted: only beside most_recent: true"
            yield ConfigError(alias_loc, f"{shown(alias)} {problem}")
        if isinstance(alias, str) and labels.setdefault(alias, alias_loc) != alias_loc:
            problem = f"is a duplicate of {key_path(labels[alias])}"
            yield ConfigError(alias_loc, f"{shown(alias)} {problem}")


def _check_expect(loc: Loc, raw: object) -> Iterator[ConfigError]:
    """Yield an error for each expectation that contradicts another one."""
    if not isinstance(raw, dict):
        return
    expect = {key: value for key, value in _without_null(raw).items() if value != REMOVE}
    if expect.get("exists") is False:
        problem = "excluded by exists: false; accepted: that alone"
        yield from (ConfigError((*loc, key), problem) for key in expect if key != "exists")
    public, visibility = expect.get("public"), expect.get("visibility")
    if not isinstance(public, bool) or visibility is None:
        return
    visibilities = visibility if isinstance(visibility, list) else [visibility]
    if all((item == "public") is not public for item in visibilities):
        problem = f"contradicts public: {shown(public)}; accepted: one of the two, or both alike"
        yield ConfigError((*loc, "visibility"), f"{shown(visibility)} {problem}")


def _labels(loc: Loc, cloud: Mapping[str, object]) -> Iterator[tuple[Loc, str]]:
    """Yield the label of each configured image, its alias or its ID, with its location."""
    aliases = {index: image.get("alias") for index, image in _mappings(cloud.get("images"))}
    for id_loc, image_id in _image_ids((*loc, "images"), cloud.get("images")):
        index = id_loc[len(loc) + 1]
        alias = aliases.get(index) if isinstance(index, int) else None
        if isinstance(alias, str):
            yield (*loc, "images", index, "alias"), alias
        elif isinstance(image_id, str):
            yield id_loc, image_id


def _duplicates(entries: Iterable[tuple[Loc, object]]) -> Iterator[ConfigError]:
    first: dict[str, Loc] = {}
    for loc, value in entries:
        if isinstance(value, str) and first.setdefault(value, loc) is not loc:
            yield ConfigError(loc, f"{shown(value)} is a duplicate of {key_path(first[value])}")


def _image_ids(loc: Loc, images: object) -> Iterator[tuple[Loc, object]]:
    for index, image in enumerate(images if isinstance(images, list) else ()):
        if isinstance(image, dict):
            yield (*loc, index, "id"), image.get("id")
        else:
            yield (*loc, index), image


def _mappings(value: object) -> Iterator[tuple[int, dict[str, object]]]:
    for index, entry in enumerate(value if isinstance(value, list) else ()):
        if isinstance(entry, dict):
            yield index, entry


def _without_null(raw: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in raw.items() if value is not None}


def _seconds(value: object) -> float | None:
    """Return a duration in seconds, or None if the value is not a duration."""
    try:
        return parse_duration(value) if isinstance(value, str) else None
    except ValueError:
        return None
