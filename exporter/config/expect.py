"""What images are expected to be like, as settings say it: how each key is read, and who wins."""

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator
from pydantic_core import PydanticCustomError

from exporter.config import types
from exporter.config.messages import name, shown
from exporter.model.api_traits import API_TRAITS
from exporter.model.expectations.checks import EXISTS, EXPECTATIONS, VISIBILITIES
from exporter.model.expectations.checks import Expectations as Wanted
from exporter.model.image import STATUSES
from exporter.model.units import SIZE_UNITS, SizeRange, parse_size_range

NOTHING = "none"
"""Instead of a value, as ``null``: lifts what would be inherited."""

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
"""The algorithms that Glance may be set to, as hashlib has them, and how long a digest is."""

_HEX = re.compile(r"[0-9A-Fa-f]+", re.ASCII)


def nothing(value: object) -> object:
    """Let the word ``none`` stand for null; anything else is left to be checked."""
    return None if value == NOTHING else value


def read_size(unit: str) -> Callable[[object], SizeRange | None]:
    """Read a size or a range of sizes; the service counts, and so do bare numbers, this unit."""
    accepted = "such as 512MiB or 1536KiB, or a range such as 1GiB..4GiB, 1GiB.. or ..4GiB"

    def read(value: object) -> SizeRange | None:
        if value is None or value == NOTHING:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            if value == 0:
                return SizeRange.exactly(0)
            raise types.refused(f"has no unit; write {shown(value)}{unit}")
        try:
            size = parse_size_range(value if isinstance(value, str) else shown(value))
        except ValueError as error:
            units = ", ".join(SIZE_UNITS)
            right = units if "unit" in str(error) else f"a size {accepted}"
            raise types.refused(f"{error}; accepted: {right}") from None
        if size.most is not None and size.most // SIZE_UNITS[unit] * SIZE_UNITS[unit] < (
            size.least or 0
        ):
            problem = f"can never be so: the Image service counts whole {unit}"
            raise types.refused(f"{problem}; accepted: such as 2{unit}, or a range with one in it")
        return size

    return read


def read_checksum(value: object) -> str | None:
    """Read an MD5."""
    return None if value is None else _digest(value, "an MD5", 32)


def read_hashes(value: object) -> tuple[tuple[str, str], ...] | None:
    """Read a mapping of algorithms to digests."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise types.refused("is not a mapping; accepted: a mapping of algorithms to digests")
    types.not_empty(list(value))
    return tuple((_algorithm(key), _of_mapping(key, digest)) for key, digest in value.items())


def read_properties(value: object) -> tuple[tuple[str, str | None], ...] | None:
    """Read a mapping of custom properties to what they are to be; null lifts a single one."""
    if value is None:
        return None
    if not isinstance(value, dict):
        return types.properties(value)
    lifted = {key for key, each in value.items() if each is None}
    wanted = {key: "lifted" if key in lifted else each for key, each in value.items()}
    read = types.properties(wanted)
    return tuple((key, None if key in lifted else each) for key, each in read)


_NONE = BeforeValidator(nothing)
_LIST = (BeforeValidator(types.not_empty), BeforeValidator(types.as_list), _NONE)
_Words = Annotated[tuple[types.Label, ...] | None, *_LIST]
_Pairs = tuple[tuple[str, str], ...]
_Flag = Annotated[types.Flag | None, _NONE]
_Seconds = Annotated[types.Seconds | None, _NONE]


class Expect(BaseModel):
    """What an image should be like; each key given becomes openstack_image_expectation_met."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    exists: _Flag = Field(
        default=None,
        description="Whether there should be such an image. false excludes all other keys.",
    )
    status: Annotated[
        tuple[Annotated[str, BeforeValidator(types.one_of(*STATUSES))], ...] | None, *_LIST
    ] = Field(default=None, description=f"A status or a list of them: {', '.join(STATUSES)}.")
    protected: _Flag = Field(
        default=None, description="Whether the image should be protected from deletion."
    )
    public: _Flag = Field(
        default=None, description="Whether the image should be visible to every project."
    )
    visibility: Annotated[
        tuple[Annotated[str, BeforeValidator(types.one_of(*VISIBILITIES))], ...] | None, *_LIST
    ] = Field(
        default=None,
        description=f"Who should see the image, one or a list: {', '.join(VISIBILITIES)}.",
    )
    hidden: _Flag = Field(
        default=None, description="Whether the image should be hidden from lists. Only v2 says."
    )
    checksum: Annotated[str | None, BeforeValidator(read_checksum), _NONE] = Field(
        default=None, description="MD5 of the image's content, 32 hexadecimal digits."
    )
    hash: Annotated[_Pairs | None, BeforeValidator(read_hashes), _NONE] = Field(
        default=None,
        description="Mapping of algorithms to digests of the content, such as `{sha512: …}`. "
        "Only v2 says.",
    )
    size: Annotated[SizeRange | None, PlainValidator(read_size("B"))] = Field(
        default=None,
        description="Size of the image file: exact, such as `2252MiB`, or a range, such as "
        "`1GiB..4GiB`, `1GiB..` or `..4GiB`.",
    )
    min_disk: Annotated[SizeRange | None, PlainValidator(read_size("GiB"))] = Field(
        default=None, description="Smallest disk that the image boots on, as `size` is written."
    )
    min_ram: Annotated[SizeRange | None, PlainValidator(read_size("MiB"))] = Field(
        default=None, description="Smallest memory that the image boots with, likewise."
    )
    disk_format: _Words = Field(
        default=None, description="Format of the disk, such as `qcow2`, or a list of them."
    )
    container_format: _Words = Field(
        default=None, description="Format of the container, such as `bare`, or a list of them."
    )
    owner: _Words = Field(
        default=None, description="ID of the project that should own it, or a list of them."
    )
    name: Annotated[types.Label | None, _NONE] = Field(
        default=None, description="Glob for the image's name, such as `ubuntu-24.04-*`."
    )
    properties: Annotated[
        tuple[tuple[str, str | None], ...] | None, BeforeValidator(read_properties), _NONE
    ] = Field(
        default=None,
        description="Mapping of custom properties to their values, all to be so; `null` lifts one.",
    )
    max_age: _Seconds = Field(
        default=None, description="How old the image may be, counted from its creation."
    )
    max_unchanged: _Seconds = Field(
        default=None, description="How long ago the image may have been updated last."
    )

    @property
    def given(self) -> dict[str, Any]:
        """What is written, ``None`` where it lifts what would be inherited."""
        return {key: getattr(self, key) for key in EXPECTATIONS if key in self.model_fields_set}


assert set(Expect.model_fields) == set(EXPECTATIONS)  # noqa: S101  # every key needs its check


def merged(*levels: Expect) -> Wanted:
    """What holds for an image, from the farthest level to the nearest, which wins key by key.

    Properties are keys of their own. ``public`` and ``visibility`` say the same, so either
    replaces the other; and whoever expects anything of an image expects it to be there.
    """
    wanted: dict[str, Any] = {}
    for level in levels:
        given = level.given
        if "properties" in given and given["properties"] is not None:
            both = {**dict(wanted.get("properties") or ()), **dict(given["properties"])}
            given["properties"] = tuple((k, v) for k, v in both.items() if v is not None) or None
        new = {key for key, value in given.items() if value is not None}
        if new & {"public", "visibility"}:
            wanted = {k: v for k, v in wanted.items() if k not in {"public", "visibility"}}
        if new - {EXISTS} and wanted.get(EXISTS) is False:
            del wanted[EXISTS]
        wanted.update(given)
    if wanted.get(EXISTS) is False:
        return ((EXISTS, False),)
    return tuple((key, wanted[key]) for key in EXPECTATIONS if wanted.get(key) is not None)


def expected_properties(expects: Iterable[Wanted]) -> frozenset[str]:
    """The names of the properties that have to be known, also as v1 writes them."""
    names = {
        held
        for expect in expects
        for key, wanted in expect
        if key == "properties" and isinstance(wanted, tuple)
        for held, _ in wanted
    }
    traits = API_TRAITS.values()
    return frozenset(api.property_name(name) for name in names for api in traits)


def _algorithm(key: object) -> str:
    text = key if isinstance(key, str) else shown(key)
    if text == "md5":
        raise types.hidden("md5 is no key of it; write checksum instead")
    if text not in DIGITS:
        raise types.hidden(f"{name(text)} is no algorithm; accepted: {', '.join(DIGITS)}")
    return text


def _of_mapping(algorithm: str, value: object) -> str:
    try:
        return _digest(value, f"a {algorithm} digest", DIGITS[algorithm])
    except PydanticCustomError as error:
        raise types.hidden(f"{algorithm}: {shown(value)} {error.message()}") from None


def _digest(value: object, what: str, digits: int) -> str:
    if not isinstance(value, str) and isinstance(value, int | float):
        raise types.refused("is not text to YAML; put it in quotes")
    if not isinstance(value, str) or len(value) != digits or not _HEX.fullmatch(value):
        raise types.refused(f"is not {what}; accepted: {digits} hexadecimal digits")
    return value.lower()
