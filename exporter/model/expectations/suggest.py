"""Suggested expectations that the current state of an image meets."""

import re
from collections.abc import Callable, Collection, Iterator

from exporter.model.expectations.checks import EXISTS, MD5, Expectations, evaluate
from exporter.model.image import Image
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.units import format_size

IsMet = Callable[[str, object], bool]
"""Returns True if settings accept a value for an expectation and the image meets it."""

PROPERTIES = "properties"

_GLOB_CHARACTERS = re.compile(r"([*?\[])")


def suggest_expectations(
    expectations: Expectations,
    own_keys: Collection[str],
    properties: Collection[str],
    *,
    observation: Observation,
    now: Instant,
    is_met: IsMet,
) -> dict[str, object]:
    """Return the changes to an image's own ``expect`` after which the image is as expected.

    A key in the image's own ``expect`` that is met stays unchanged. Any other key gets the current
    value. If the current value is unknown and the expectation is not met, the value is ``None``,
    which removes the expectation. The same rules apply to each property.

    Args:
        expectations: All expectations of the image, inherited ones included.
        own_keys: The keys in the image's own ``expect``.
        properties: The names of properties to expect in addition to those expected already.
        observation: The observation as of ``now``.
        now: The current time.
        is_met: The test of a suggested value.

    Returns:
        Values as settings write them, by key of ``expect``.
    """
    met = {result.expectation: result.met for result in evaluate(expectations, observation, now)}
    unchanged = {key for key in own_keys if met.get(key)}
    if not observation.exists or observation.image is None:
        gone = {EXISTS: False, **dict.fromkeys(key for key in own_keys if key != EXISTS)}
        return {key: value for key, value in gone.items() if key not in unchanged}
    expected_names = _expected_properties(expectations)
    changes: dict[str, object] = {}
    for key, value in _current_values(observation.image):
        if key not in unchanged and is_met(key, value):
            changes[key] = value
    names = {*properties, *expected_names}
    values = _properties(observation.image, names, expected_names, is_met)
    if PROPERTIES not in unchanged and is_met(PROPERTIES, values):
        changes[PROPERTIES] = values
    for key, key_is_met in met.items():
        if not key_is_met:
            changes.setdefault(key, None)
    return changes


def _current_values(image: Image) -> Iterator[tuple[str, object]]:
    """Yield every expectation of an existing image, except its properties, and the value."""
    yield EXISTS, True
    yield "status", image.status
    yield "protected", image.protected
    # One of the two is enough. v1 does not report the visibility of an image that is not public.
    if image.visibility is None:
        yield "public", image.public
    else:
        yield "visibility", image.visibility
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
    yield "name", None if image.name is None else _GLOB_CHARACTERS.sub(r"[\1]", image.name)


def _properties(
    image: Image, names: Collection[str], expected_names: Collection[str], is_met: IsMet
) -> dict[str, str | None]:
    """Return the values to expect of properties, and ``None`` to remove an expected name.

    Tenants write properties. One value that settings would reject must not prevent the suggestion
    of the others.
    """
    reported = dict(image.properties)
    values: dict[str, str | None] = {}
    for name in sorted(names):
        value = reported.get(image.traits.property_name(name))
        if value is not None and is_met(PROPERTIES, {name: value}):
            values[name] = value
        elif name in expected_names:
            values[name] = None
    return values


def _expected_properties(expectations: Expectations) -> frozenset[str]:
    expected = dict(expectations).get(PROPERTIES)
    return frozenset(name for name, _ in expected) if isinstance(expected, tuple) else frozenset()
