"""Expectations as settings write them: the validator of each key, and the precedence of levels."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator
from pydantic_core import PydanticCustomError

from exporter.config import types
from exporter.config.messages import name, shown
from exporter.model.api_traits import API_TRAITS
from exporter.model.expectations.checks import EXISTS, EXPECTATIONS, VISIBILITIES, Expectations
from exporter.model.image import STATUSES
from exporter.model.units import SIZE_UNITS, SizeRange, parse_size_range

PROPERTIES = "properties"
VISIBILITY_KEYS = ("public", "visibility")

REMOVE = "none"
"""Value that removes an inherited expectation, as ``null`` does."""

DIGITS = {
    "sha1": 40,
    "sha224": 56,
    "sha256": 64,
    "sha384": 96,
    "sha512": 128,
    "sha3_224": 56,
    "sha3_256": 64,
    "sha3_384": 96,
    "sha3_512": 128,
    "blake2b": 128,
    "blake2s": 64,
}
"""The number of digits of each algorithm that Glance can be configured to use, as in hashlib."""

_HEX = re.compile(r"[0-9A-Fa-f]+", re.ASCII)


def none_as_null(value: object) -> object:
    """Return null for the word ``none``; later validators check other values."""
    return None if value == REMOVE else value


def read_size(unit: str) -> Callable[[object], SizeRange | None]:
    """Return a validator of sizes and ranges of sizes that the Image service counts in ``unit``."""
    accepted = "such as 512MiB or 1536KiB, or a range such as 1GiB..4GiB, 1GiB.. or ..4GiB"

    def read(value: object) -> SizeRange | None:
        if value is None or value == REMOVE:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            if value == 0:
                return SizeRange.exactly(0)
            raise types.refused(f"has no unit; write {shown(value)}{unit}")
        try:
            size = parse_size_range(value if isinstance(value, str) else shown(value))
        except ValueError as error:
            units = ", ".join(SIZE_UNITS)
            expected = units if "unit" in str(error) else f"a size {accepted}"
            raise types.refused(f"{error}; accepted: {expected}") from None
        if size.most is not None and size.most // SIZE_UNITS[unit] * SIZE_UNITS[unit] < (
            size.least or 0
        ):
            problem = f"matches no image: the Image service counts whole {unit}"
            raise types.refused(f"{problem}; accepted: such as 2{unit}, or a range with one in it")
        return size

    return read


def read_checksum(value: object) -> str | None:
    """Validate an MD5 digest."""
    return None if value is None else _digest(value, "an MD5", 32)


def read_hashes(value: object) -> tuple[tuple[str, str], ...] | None:
    """Validate a mapping of algorithms to digests."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise types.refused("is not a mapping; accepted: a mapping of algorithms to digests")
    types.not_empty(list(value))
    return tuple((_algorithm(key), _of_mapping(key, digest)) for key, digest in value.items())


def read_properties(value: object) -> tuple[tuple[str, str | None], ...] | None:
    """Validate a mapping of custom properties to their values; null removes a property."""
    if value is None:
        return None
    if not isinstance(value, dict):
        return types.properties(value)
    removed = {key for key, item in value.items() if item is None}
    # A placeholder, so that the names of removed properties are validated too.
    items = {key: "removed" if key in removed else item for key, item in value.items()}
    return tuple((key, None if key in removed else item) for key, item in types.properties(items))


_NONE = BeforeValidator(none_as_null)
_LIST = (BeforeValidator(types.not_empty), BeforeValidator(types.as_list), _NONE)
_Words = Annotated[tuple[types.Label, ...] | None, *_LIST]
_Pairs = tuple[tuple[str, str], ...]
_Flag = Annotated[types.Flag | None, _NONE]
_Seconds = Annotated[types.Seconds | None, _NONE]


class Expect(BaseModel):
    """Expectations of an image. Each key becomes a series of openstack_image_expectation_met."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    exists: _Flag = Field(
        default=None,
        description="True if the image should exist. `false` excludes all other keys.",
    )
    status: Annotated[
        tuple[Annotated[str, BeforeValidator(types.one_of(*STATUSES))], ...] | None, *_LIST
    ] = Field(default=None, description=f"A status or a list of them: {', '.join(STATUSES)}.")
    protected: _Flag = Field(
        default=None, description="True if the image should be protected from deletion."
    )
    public: _Flag = Field(
        default=None, description="True if the image should be visible to every project."
    )
    visibility: Annotated[
        tuple[Annotated[str, BeforeValidator(types.one_of(*VISIBILITIES))], ...] | None, *_LIST
    ] = Field(
        default=None,
        description=f"A visibility or a list of them: {', '.join(VISIBILITIES)}.",
    )
    hidden: _Flag = Field(
        default=None, description="True if the image should be hidden from lists. API v2 only."
    )
    checksum: Annotated[str | None, BeforeValidator(read_checksum), _NONE] = Field(
        default=None, description="MD5 of the image's content, 32 hexadecimal digits."
    )
    hash: Annotated[_Pairs | None, BeforeValidator(read_hashes), _NONE] = Field(
        default=None,
        description="Mapping of algorithms to digests of the content, such as `{sha512: …}`. "
        "API v2 only.",
    )
    size: Annotated[SizeRange | None, PlainValidator(read_size("B"))] = Field(
        default=None,
        description="Size of the image file: exact, such as `2252MiB`, or a range, such as "
        "`1GiB..4GiB`, `1GiB..` or `..4GiB`.",
    )
    min_disk: Annotated[SizeRange | None, PlainValidator(read_size("GiB"))] = Field(
        default=None, description="Minimum disk size to boot the image, in the syntax of `size`."
    )
    min_ram: Annotated[SizeRange | None, PlainValidator(read_size("MiB"))] = Field(
        default=None, description="Minimum memory to boot the image, in the syntax of `size`."
    )
    disk_format: _Words = Field(
        default=None, description="Format of the disk, such as `qcow2`, or a list of them."
    )
    container_format: _Words = Field(
        default=None, description="Format of the container, such as `bare`, or a list of them."
    )
    owner: _Words = Field(
        default=None, description="ID of the project that should own the image, or a list of them."
    )
    name: Annotated[types.Label | None, _NONE] = Field(
        default=None, description="Glob for the image's name, such as `ubuntu-24.04-*`."
    )
    properties: Annotated[
        tuple[tuple[str, str | None], ...] | None, BeforeValidator(read_properties), _NONE
    ] = Field(
        default=None,
        description="Mapping of custom properties to their values; `null` removes an inherited "
        "property.",
    )
    max_age: _Seconds = Field(default=None, description="Maximum time since the image was created.")
    max_unchanged: _Seconds = Field(
        default=None, description="Maximum time since the image was last updated."
    )

    @property
    def written(self) -> dict[str, Any]:
        """The keys as written; ``None`` removes an inherited expectation."""
        return {key: getattr(self, key) for key in EXPECTATIONS if key in self.model_fields_set}


assert tuple(Expect.model_fields) == EXPECTATIONS, (  # noqa: S101  # every key needs its check
    f"Expect and CHECKS differ in {set(Expect.model_fields) ^ set(EXPECTATIONS) or 'their order'}"
)


def merged(*levels: Expect) -> Expectations:
    """Return the expectations of an image from all levels, the most general level first.

    A key of a nearer level replaces the same key of a more general one, with the exceptions of
    the functions below.
    """
    expectations: dict[str, Any] = {}
    for level in levels:
        own = _merge_properties(expectations, level.written)
        _drop_other_visibility(expectations, own)
        _drop_absence(expectations, own)
        expectations.update(own)
    return _ordered(expectations)


def _merge_properties(inherited: Mapping[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of a level with inherited properties added, which are merged by name."""
    if own.get(PROPERTIES) is None:
        return own
    properties = {**dict(inherited.get(PROPERTIES) or ()), **dict(own[PROPERTIES])}
    pairs = tuple((name, value) for name, value in properties.items() if value is not None)
    return {**own, PROPERTIES: pairs or None}


def _drop_other_visibility(inherited: dict[str, Any], own: Mapping[str, Any]) -> None:
    """Drop both inherited keys if the level has one: ``public`` and ``visibility`` are the same."""
    if any(own.get(key) is not None for key in VISIBILITY_KEYS):
        for key in VISIBILITY_KEYS:
            inherited.pop(key, None)


def _drop_absence(inherited: dict[str, Any], own: Mapping[str, Any]) -> None:
    """Drop an inherited ``exists: false`` if anything else is expected of the image."""
    has_other = any(value is not None for key, value in own.items() if key != EXISTS)
    if has_other and inherited.get(EXISTS) is False:
        del inherited[EXISTS]


def _ordered(expectations: Mapping[str, Any]) -> Expectations:
    """Return the expectations in their fixed order; ``exists: false`` excludes all others."""
    if expectations.get(EXISTS) is False:
        return ((EXISTS, False),)
    return tuple(
        (key, expectations[key]) for key in EXPECTATIONS if expectations.get(key) is not None
    )


def expected_properties(expects: Iterable[Expectations]) -> frozenset[str]:
    """Return the names of all expected properties, as each version of the API writes them."""
    names = {
        name
        for expect in expects
        for key, properties in expect
        if key == PROPERTIES and isinstance(properties, tuple)
        for name, _ in properties
    }
    traits = API_TRAITS.values()
    return frozenset(api.property_name(name) for name in names for api in traits)


def _algorithm(key: object) -> str:
    text = key if isinstance(key, str) else shown(key)
    if text == "md5":
        raise types.hidden("md5 is not accepted; use checksum instead")
    if text not in DIGITS:
        raise types.hidden(f"{name(text)} is not an algorithm; accepted: {', '.join(DIGITS)}")
    return text


def _of_mapping(algorithm: str, value: object) -> str:
    try:
        return _digest(value, f"a {algorithm} digest", DIGITS[algorithm])
    except PydanticCustomError as error:
        raise types.hidden(f"{algorithm}: {shown(value)} {error.message()}") from None


def _digest(value: object, what: str, digits: int) -> str:
    if not isinstance(value, str) and isinstance(value, int | float):
        raise types.refused("must be a string; quote it")
    if not isinstance(value, str) or len(value) != digits or not _HEX.fullmatch(value):
        raise types.refused(f"is not {what}; accepted: {digits} hexadecimal digits")
    return value.lower()
