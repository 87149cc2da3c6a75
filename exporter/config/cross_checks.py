"""What must hold between settings, checked on what was written.

A model checks fields one by one, and what holds between them only once all are right. These rules
take what was written as it is, right or wrong, so that all mistakes are reported at once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from pydantic_core import PydanticCustomError

from exporter.config import types
from exporter.config.expect import NOTHING
from exporter.config.messages import key_path, shown
from exporter.model.units import format_duration, parse_duration

Loc = tuple[str | int, ...]

BESIDE_ENDPOINT = ("cloud", "region", "interface")
"""Keys of a cloud that belong to a sign-in by OpenStack's own configuration."""

CRITERIA = ("name", "tag", "owner", "visibility", "status", "property")
"""Keys of a discovery that narrow it down."""

_ONE = "accepted: one of the two"


class ConfigError(NamedTuple):
    """Where a mistake is, and one line about it."""

    loc: Loc
    text: str


class _Limit(NamedTuple):
    """How a time and the interval bound each other, and how it is said of either."""

    key: str
    is_broken: Callable[[float, float], bool]
    of_key: str
    of_interval: str


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
    written: Mapping[str, object], defaults: Mapping[str, object]
) -> Iterator[ConfigError]:
    """Yield every mistake between settings, in what was written and the defaults of the rest."""
    yield from _times((), written, defaults)
    yield from _shard(written.get("shard"))
    yield from _expectations(("expect",), written.get("expect"))
    clouds = list(_mappings(written.get("clouds")))
    for index, cloud in clouds:
        loc: Loc = ("clouds", index)
        yield from _times(loc, cloud, {**defaults, **_given(written)})
        yield from _sign_in(loc, cloud)
        yield from _repeated(_image_ids((*loc, "images"), cloud.get("images")))
        yield from _discoveries(loc, cloud)
        yield from _expectations((*loc, "expect"), cloud.get("expect"))
        for key in ("images", "discover"):
            for place, entry in _mappings(cloud.get(key)):
                yield from _expectations((*loc, key, place, "expect"), entry.get("expect"))
    yield from _repeated((("clouds", index, "name"), cloud.get("name")) for index, cloud in clouds)


def _times(
    loc: Loc, written: Mapping[str, object], general: Mapping[str, object]
) -> Iterator[ConfigError]:
    """Blame only what is written here, so that a general mistake is reported once."""
    here = _given(written)
    every = {**general, **here}
    interval = _seconds(every.get("interval"))
    for limit in _LIMITS:
        seconds = _seconds(every.get(limit.key))
        if interval is None or seconds is None or not limit.is_broken(seconds, interval):
            continue
        if limit.key in here:
            problem = limit.of_key.format(format_duration(interval))
            yield ConfigError((*loc, limit.key), f"{shown(here[limit.key])} {problem}")
        elif "interval" in here:
            problem = limit.of_interval.format(format_duration(seconds))
            yield ConfigError((*loc, "interval"), f"{shown(here['interval'])} {problem}")


def _shard(written: object) -> Iterator[ConfigError]:
    here = _given(written) if isinstance(written, dict) else {}
    for key, other in (("index", "total"), ("total", "index")):
        if key in here and other not in here:
            problem = f"needs shard.{other} beside it; accepted: both or none"
            yield ConfigError(("shard", key), f"{shown(here[key])} {problem}")
    try:
        index, total = types.shard_index(here.get("index")), types.shards(here.get("total"))
    except PydanticCustomError:
        # What else they are, their fields say.
        return
    if index >= total:
        problem = f"is no shard of {total}; accepted: 0 to {total - 1}, the first is 0"
        yield ConfigError(("shard", "index"), f"{shown(here['index'])} {problem}")


def _sign_in(loc: Loc, cloud: Mapping[str, object]) -> Iterator[ConfigError]:
    here = _given(cloud)
    if "endpoint" in here:
        for key in BESIDE_ENDPOINT:
            if key in here:
                yield ConfigError(
                    (*loc, key), f"{shown(here[key])} is excluded by endpoint; {_ONE}"
                )
    else:
        for key in ("token", "token_file"):
            if key in here:
                yield ConfigError((*loc, key), "needs an endpoint; accepted: only beside endpoint")
    if "token" in here and "token_file" in here:
        yield ConfigError((*loc, "token"), f"excluded by token_file; {_ONE}")


def nothing_to_watch(written: Mapping[str, object]) -> Iterator[ConfigError]:
    """Yield a mistake for each cloud that has neither images nor discoveries."""
    for index, cloud in _mappings(written.get("clouds")):
        if not {"images", "discover"} & cloud.keys():
            yield ConfigError(
                ("clouds", index, "images"),
                "missing; accepted: list of image IDs, or of mappings, unless discover is given",
            )


def _discoveries(loc: Loc, cloud: Mapping[str, object]) -> Iterator[ConfigError]:
    taken = {label: place for place, label in _labels(loc, cloud)}
    for index, entry in _mappings(cloud.get("discover")):
        at: Loc = (*loc, "discover", index)
        here = _given(entry)
        if here.keys().isdisjoint(CRITERIA):
            yield ConfigError(at, f"no criterion; accepted: at least one of {', '.join(CRITERIA)}")
        alias, is_one = here.get("alias"), here.get("most_recent", False)
        if is_one is True and alias is None:
            yield ConfigError((*at, "most_recent"), "needs an alias; accepted: only beside alias")
        if is_one is False and alias is not None:
            problem = "would be shared by many images; accepted: only beside most_recent: true"
            yield ConfigError((*at, "alias"), f"{shown(alias)} {problem}")
        if isinstance(alias, str) and taken.setdefault(alias, (*at, "alias")) != (*at, "alias"):
            problem = f"stands twice, first at {key_path(taken[alias])}"
            yield ConfigError((*at, "alias"), f"{shown(alias)} {problem}")


def _expectations(loc: Loc, written: object) -> Iterator[ConfigError]:
    """What cannot hold of one image at once."""
    if not isinstance(written, dict):
        return
    here = {key: value for key, value in _given(written).items() if value != NOTHING}
    if here.get("exists") is False:
        problem = "excluded by exists: false; accepted: that alone"
        yield from (ConfigError((*loc, key), problem) for key in here if key != "exists")
    public, visibility = here.get("public"), here.get("visibility")
    if not isinstance(public, bool) or visibility is None:
        return
    ways = visibility if isinstance(visibility, list) else [visibility]
    if all((way == "public") is not public for way in ways):
        problem = f"contradicts public: {shown(public)}; accepted: one of the two, or both alike"
        yield ConfigError((*loc, "visibility"), f"{shown(visibility)} {problem}")


def _labels(loc: Loc, cloud: Mapping[str, object]) -> Iterator[tuple[Loc, str]]:
    """What the images on the cloud's list are called, and where that is written."""
    aliases = {index: image.get("alias") for index, image in _mappings(cloud.get("images"))}
    for at, image_id in _image_ids((*loc, "images"), cloud.get("images")):
        index = at[len(loc) + 1]
        label = aliases.get(index) if isinstance(index, int) else None
        if isinstance(label, str):
            yield (*loc, "images", index, "alias"), label
        elif isinstance(image_id, str):
            yield at, image_id


def _repeated(entries: Iterable[tuple[Loc, object]]) -> Iterator[ConfigError]:
    first: dict[str, Loc] = {}
    for loc, value in entries:
        if isinstance(value, str) and first.setdefault(value, loc) is not loc:
            yield ConfigError(
                loc, f"{shown(value)} stands twice, first at {key_path(first[value])}"
            )


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


def _given(written: Mapping[str, object]) -> dict[str, object]:
    """What is written and not left empty."""
    return {key: value for key, value in written.items() if value is not None}


def _seconds(value: object) -> float | None:
    """The seconds of a duration, where it is one; what else it is, its field says."""
    try:
        return parse_duration(value) if isinstance(value, str) else None
    except ValueError:
        return None
