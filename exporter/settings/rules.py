"""What must hold between settings, checked on what was written.

A model checks fields one by one, and what holds between them only once all are right. These rules
take what was written as it is, right or wrong, so that all mistakes are reported at once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from exporter.settings.durations import format_duration, parse_duration
from exporter.settings.wording import key_path, shown

Loc = tuple[str | int, ...]

BESIDE_ENDPOINT = ("cloud", "region", "interface")
"""Keys of a cloud that belong to a sign-in by OpenStack's own configuration."""


_ONE = "accepted: one of the two"


class Mistake(NamedTuple):
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
)


def between_fields(
    written: Mapping[str, object], defaults: Mapping[str, object]
) -> Iterator[Mistake]:
    """Yield every mistake between settings, in what was written and the defaults of the rest."""
    yield from _times((), written, defaults)
    clouds = list(_mappings(written.get("clouds")))
    for index, cloud in clouds:
        loc: Loc = ("clouds", index)
        yield from _times(loc, cloud, {**defaults, **_given(written)})
        yield from _sign_in(loc, cloud)
        yield from _repeated(_image_ids((*loc, "images"), cloud.get("images")))
    yield from _repeated((("clouds", index, "name"), cloud.get("name")) for index, cloud in clouds)


def _times(
    loc: Loc, written: Mapping[str, object], general: Mapping[str, object]
) -> Iterator[Mistake]:
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
            yield Mistake((*loc, limit.key), f"{shown(here[limit.key])} {problem}")
        elif "interval" in here:
            problem = limit.of_interval.format(format_duration(seconds))
            yield Mistake((*loc, "interval"), f"{shown(here['interval'])} {problem}")


def _sign_in(loc: Loc, cloud: Mapping[str, object]) -> Iterator[Mistake]:
    here = _given(cloud)
    if "endpoint" in here:
        for key in BESIDE_ENDPOINT:
            if key in here:
                yield Mistake((*loc, key), f"{shown(here[key])} is excluded by endpoint; {_ONE}")
    else:
        for key in ("token", "token_file"):
            if key in here:
                yield Mistake((*loc, key), "needs an endpoint; accepted: only beside endpoint")
    if "token" in here and "token_file" in here:
        yield Mistake((*loc, "token"), f"excluded by token_file; {_ONE}")


def _repeated(entries: Iterable[tuple[Loc, object]]) -> Iterator[Mistake]:
    first: dict[str, Loc] = {}
    for loc, value in entries:
        if isinstance(value, str) and first.setdefault(value, loc) is not loc:
            yield Mistake(loc, f"{shown(value)} stands twice, first at {key_path(first[value])}")


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
