"""The headers of the Image service API v1, one row each, and an ``Image`` from them.

Names and types are those of the v1 reference ("HEAD /v1/images/{image_id}"). Measured on
Glance 15: a null field is absent or the word ``None``; names are raw UTF-8; a name or property
made through v2 may hold line breaks, which v1 sends as they are. So a tenant can forge headers,
and every rule below errs towards an absent field or a ``Malformed`` answer, never a wrong value.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from exporter.model.image import Image
from exporter.model.parsers import (
    Malformed,
    boolean,
    gibibytes,
    integer,
    mebibytes,
    text,
    utc_timestamp,
)

Field = tuple[bytes, bytes]
"""A header's name in lower case and its value, both as on the wire; the name of a stray line,
one that is no header, is empty."""

ID = b"x-image-meta-id"
PREFIX = b"x-image-meta-"
PROPERTY_PREFIX = b"x-image-meta-property-"
NULLS = frozenset({b"", b"None"})
LINE_BREAK = re.compile(rb"[\r\n]")

_PLAIN_NAME = re.compile(rb"[!-~]{1,60}")


@dataclass(frozen=True, slots=True)
class Header:
    """One row: the attribute of ``Image``, the name on the wire, and how its text is read."""

    attribute: str
    name: bytes
    read: Callable[[str], object] = text
    required: bool = False


V1_HEADERS = (
    Header("id", ID),
    Header("status", b"x-image-meta-status", required=True),
    Header("name", b"x-image-meta-name"),
    Header("size_bytes", b"x-image-meta-size", integer),
    Header("virtual_size_bytes", b"x-image-meta-virtual_size", integer),
    Header("protected", b"x-image-meta-protected", boolean),
    Header("public", b"x-image-meta-is_public", boolean),
    Header("deleted", b"x-image-meta-deleted", boolean),
    Header("created_at", b"x-image-meta-created_at", utc_timestamp),
    Header("updated_at", b"x-image-meta-updated_at", utc_timestamp),
    Header("deleted_at", b"x-image-meta-deleted_at", utc_timestamp),
    Header("container_format", b"x-image-meta-container_format"),
    Header("disk_format", b"x-image-meta-disk_format"),
    Header("min_disk_bytes", b"x-image-meta-min_disk", gibibytes),
    Header("min_ram_bytes", b"x-image-meta-min_ram", mebibytes),
    Header("checksum", b"x-image-meta-checksum"),
    Header("project_id", b"x-image-meta-owner"),
)

TENANTS_OWN = b"x-image-meta-name"
"""The one fixed header whose text a tenant chooses freely; properties are the others."""


def image_from_headers(
    fields: Iterable[Field], image_id: str, properties: frozenset[str] | None = None
) -> Image | Malformed:
    """The image that the fields of an answer to ``HEAD /v1/images/{image_id}`` describe.

    Of the properties only those named (in lower case) are kept, all where it is ``None``.
    """
    values, absent, problems = _collect(fields)
    read: dict[str, object] = {}
    for header in V1_HEADERS:
        raw = values.get(header.name)
        if raw is None or raw in NULLS or header.name in absent:
            if header.required:
                problems.append(f"{_shown(header.name)} is missing")
            continue
        try:
            read[header.attribute] = header.read(raw.decode("utf-8"))
        except ValueError as error:
            if header.name != TENANTS_OWN:
                problems.append(f"{_shown(header.name)} is {_why(error)}: {_excerpt(raw)}")
    if read.pop("id", image_id) != image_id:
        problems.append(f"{_shown(ID)} is another image's: {_excerpt(values[ID])}")
    if problems:
        return Malformed(tuple(dict.fromkeys(problems)))
    checksum = read.pop("checksum", None)
    if checksum:
        read["digests"] = (("md5", checksum),)
    if read.get("public"):
        read["visibility"] = "public"
    read["properties"] = tuple(sorted(_properties(values, absent, properties)))
    return Image(api="v1", id=image_id, requested_properties=properties, **read)  # type: ignore[arg-type]  # the rows name attributes of Image


def _collect(fields: Iterable[Field]) -> tuple[dict[bytes, bytes], set[bytes], list[str]]:
    """The values by name, the names whose value is spoiled, and the problems met so far."""
    values: dict[bytes, bytes] = {}
    spoiled: set[bytes] = set()
    problems: list[str] = []
    previous = tenants = b""
    for name, value in fields:
        if not name:
            # Part of some value that holds a line break: of the field before, or, when that one
            # is no image header, of the last text of a tenant's, which must have begun it.
            culprit = previous if previous.startswith(PREFIX) else tenants
            if culprit:
                _spoil(culprit, spoiled, problems)
            continue
        previous = name
        if not name.startswith(PREFIX):
            continue
        if _is_tenants(name):
            tenants = name
        if values.setdefault(name, value) != value:
            problems.append(f"{_shown(name)} stands twice with different values")
        elif LINE_BREAK.search(value):
            _spoil(name, spoiled, problems)
    return values, spoiled, problems


def _spoil(name: bytes, spoiled: set[bytes], problems: list[str]) -> None:
    if _is_tenants(name):
        spoiled.add(name)
    else:
        problems.append(f"{_shown(name)} is followed by a line that is no header")


def _is_tenants(name: bytes) -> bool:
    return name == TENANTS_OWN or name.startswith(PROPERTY_PREFIX)


def _properties(
    values: dict[bytes, bytes], absent: set[bytes], wanted: frozenset[str] | None
) -> Iterable[tuple[str, str]]:
    for name, raw in values.items():
        if not name.startswith(PROPERTY_PREFIX) or name in absent or raw == b"None":
            continue
        try:
            key, value = name[len(PROPERTY_PREFIX) :].decode("utf-8"), raw.decode("utf-8")
        except UnicodeDecodeError:
            continue
        if key and (wanted is None or key in wanted):
            yield key, value


def _why(error: ValueError) -> str:
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def _shown(name: bytes) -> str:
    """The header's name, which holds what a tenant likes where it is a property's."""
    return name.decode() if _PLAIN_NAME.fullmatch(name) else _excerpt(name)


def _excerpt(raw: bytes) -> str:
    """At most 60 characters of the value, in a form that cannot forge or break a line."""
    whole = ascii(raw.decode("utf-8", "backslashreplace"))
    return whole if len(whole) <= 60 else whole[:57] + "..."
