"""What to expect of an image so that all is as expected now."""

import re
from collections.abc import Callable, Collection, Iterator

from exporter.model.expectations.checks import EXISTS, MD5, Expectations, evaluate
from exporter.model.image import Image
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.units import format_size

Holds = Callable[[str, object], bool]
"""Whether settings accept a value for an expectation, and the image then is as expected."""

PROPERTIES = "properties"

_SPECIAL = re.compile(r"([*?\[])")


def baseline(
    expect: Expectations,
    own: Collection[str],
    properties: Collection[str],
    *,
    seen: Observation,
    now: Instant,
    holds: Holds,
) -> dict[str, object]:
    """What is to be changed in an image's own ``expect``, by key, as settings write it.

    ``expect`` is all that is expected of it, ``own`` the keys that are its own, ``properties`` the
    names of those to be expected besides. What is its own and met stays as it is. Else a key gets
    what is now, and where that cannot be said, ``None``, which lifts what is expected and not met;
    so does each of the properties.
    """
    met = {each.expectation: each.met for each in evaluate(expect, seen, now)}
    kept = {key for key in own if met.get(key)}
    if not seen.exists or seen.image is None:
        gone = {EXISTS: False, **dict.fromkeys(key for key in own if key != EXISTS)}
        return {key: value for key, value in gone.items() if key not in kept}
    expected = _expected(expect)
    held = _properties(seen.image, {*properties, *expected}, expected, holds)
    changes = {
        key: value
        for key, value in (*_what_is(seen.image), (PROPERTIES, held))
        if key not in kept and holds(key, value)
    }
    lifted = (key for key, is_met in met.items() if not is_met and key not in changes)
    return {**changes, **dict.fromkeys(lifted)}


def _what_is(image: Image) -> Iterator[tuple[str, object]]:
    """All that can be expected of a living image but its properties, as settings write it."""
    yield EXISTS, True
    yield "status", image.status
    yield "protected", image.protected
    # Either says the same, and v1 says only whether it is public.
    is_told = image.visibility is not None
    yield ("visibility", image.visibility) if is_told else ("public", image.public)
    yield "hidden", image.hidden
    digests = dict(image.digests)
    yield "checksum", digests.pop(MD5, None)
    yield "hash", digests
    for key in ("size", "min_disk", "min_ram"):
        size = getattr(image, f"{key}_bytes")
        yield key, None if size is None else format_size(size)
    yield "disk_format", image.disk_format
    yield "container_format", image.container_format
    yield "owner", image.project_id
    yield "name", None if image.name is None else _SPECIAL.sub(r"[\1]", image.name)


def _properties(
    image: Image, wanted: Collection[str], expected: Collection[str], holds: Holds
) -> dict[str, str | None]:
    """Those that can be expected, and ``None`` for those that are expected and cannot be.

    Tenants write them, so what settings would refuse must not take the others with it.
    """
    told = dict(image.properties)
    is_v1 = image.api == "v1"
    held: dict[str, str | None] = {}
    for name in sorted(wanted):
        value = told.get(name.lower() if is_v1 else name)
        if value is not None and holds(PROPERTIES, {name: value}):
            held[name] = value
        elif name in expected:
            held[name] = None
    return held


def _expected(expect: Expectations) -> frozenset[str]:
    """The names of the properties that are expected."""
    wanted = dict(expect).get(PROPERTIES)
    return frozenset(name for name, _ in wanted) if isinstance(wanted, tuple) else frozenset()
