"""Headers of the Image service API v1, one row each, and their conversion to an ``Image``.

Names and types are those of the v1 reference ("HEAD /v1/images/{image_id}"). Measured on
Glance 15: a null field is absent or the word ``None``; names are raw UTF-8; a name or property
set through v2 may contain line breaks, which v1 sends unchanged. So a tenant can forge headers.
Every rule below therefore prefers an absent field or a ``Malformed`` response to a wrong value.
"""

import re
from collections.abc import Iterable
from sys import intern

from exporter.model.image import Image
from exporter.model.responses.parsers import (
    GIBI,
    MEBI,
    Column,
    Malformed,
    scaled,
    shared,
    text_to_boolean,
    text_to_integer,
    text_to_text,
    utc_timestamp,
)
from exporter.text import excerpt

ID = b"x-image-meta-id"
META_PREFIX = b"x-image-meta-"
PROPERTY_PREFIX = b"x-image-meta-property-"
NULLS = frozenset({b"", b"None"})
LINE_BREAK = re.compile(rb"[\r\n]")

_PLAIN_NAME = re.compile(rb"[!-~]{1,60}")

V1_HEADERS: tuple[Column[bytes, str], ...] = (
    Column("id", ID, text_to_text),
    Column("status", b"x-image-meta-status", shared(text_to_text), required=True),
    Column("name", b"x-image-meta-name", text_to_text),
    Column("size_bytes", b"x-image-meta-size", text_to_integer),
    Column("virtual_size_bytes", b"x-image-meta-virtual_size", text_to_integer),
    Column("protected", b"x-image-meta-protected", text_to_boolean),
    Column("public", b"x-image-meta-is_public", text_to_boolean),
    Column("deleted", b"x-image-meta-deleted", text_to_boolean),
    Column("created_at", b"x-image-meta-created_at", utc_timestamp),
    Column("updated_at", b"x-image-meta-updated_at", utc_timestamp),
    Column("deleted_at", b"x-image-meta-deleted_at", utc_timestamp),
    Column("container_format", b"x-image-meta-container_format", shared(text_to_text)),
    Column("disk_format", b"x-image-meta-disk_format", shared(text_to_text)),
    Column("min_disk_bytes", b"x-image-meta-min_disk", scaled(text_to_integer, GIBI)),
    Column("min_ram_bytes", b"x-image-meta-min_ram", scaled(text_to_integer, MEBI)),
    Column("checksum", b"x-image-meta-checksum", text_to_text),
    Column("project_id", b"x-image-meta-owner", shared(text_to_text)),
)

TENANT_HEADER = b"x-image-meta-name"
"""The only header in the table whose text a tenant chooses freely, as for all properties."""


def image_from_headers(
    headers: Iterable[tuple[bytes, bytes]],
    image_id: str,
    properties: frozenset[str] | None = None,
) -> Image | Malformed:
    """Return the image that a response to ``HEAD /v1/images/{image_id}`` describes.

    Args:
        headers: All headers of the response, as in ``Response.headers``.
        image_id: The ID of the requested image.
        properties: Names in lower case of the properties to keep, or None for all.
    """
    values, unusable, problems = _collect(headers)
    attributes: dict[str, object] = {}
    for column in V1_HEADERS:
        raw = values.get(column.key)
        if raw is None or raw in NULLS or column.key in unusable:
            if column.required:
                problems.append(f"{_printable(column.key)} is missing")
            continue
        try:
            attributes[column.attribute] = column.parse(raw.decode("utf-8"))
        except ValueError as error:
            if column.key != TENANT_HEADER:
                problems.append(f"{_printable(column.key)} is {_reason(error)}: {excerpt(raw)}")
    if attributes.pop("id", image_id) != image_id:
        problems.append(f"{_printable(ID)} belongs to another image: {excerpt(values[ID])}")
    if problems:
        return Malformed(tuple(dict.fromkeys(problems)))
    checksum = attributes.pop("checksum", None)
    if checksum:
        attributes["digests"] = (("md5", checksum),)
    if attributes.get("public"):
        attributes["visibility"] = "public"
    attributes["properties"] = tuple(sorted(_properties(values, unusable, properties)))
    return Image(api="v1", id=image_id, requested_properties=properties, **attributes)  # type: ignore[arg-type]  # the rows name attributes of Image


def _collect(
    headers: Iterable[tuple[bytes, bytes]],
) -> tuple[dict[bytes, bytes], set[bytes], list[str]]:
    """Return the values by name, the names with an unusable value, and the problems."""
    values: dict[bytes, bytes] = {}
    unusable: set[bytes] = set()
    problems: list[str] = []
    previous = last_of_tenant = b""
    for name, value in headers:
        if not name:
            # Continuation of a value that contained a line break. If the previous header is not
            # an image header, the tenant-controlled value before it must have been cut.
            cut = previous if previous.startswith(META_PREFIX) else last_of_tenant
            if cut:
                _reject(cut, unusable, problems)
            continue
        previous = name
        if not name.startswith(META_PREFIX):
            continue
        if _is_of_tenant(name):
            last_of_tenant = name
        if values.setdefault(name, value) != value:
            problems.append(f"{_printable(name)} is repeated with different values")
        elif LINE_BREAK.search(value):
            _reject(name, unusable, problems)
    return values, unusable, problems


def _reject(name: bytes, unusable: set[bytes], problems: list[str]) -> None:
    """Mark a tenant's value with a line break as unusable. In other headers it is a problem."""
    if _is_of_tenant(name):
        unusable.add(name)
    else:
        problems.append(f"{_printable(name)} is followed by a line that is not a header")


def _is_of_tenant(name: bytes) -> bool:
    return name == TENANT_HEADER or name.startswith(PROPERTY_PREFIX)


def _properties(
    values: dict[bytes, bytes], unusable: set[bytes], names: frozenset[str] | None
) -> Iterable[tuple[str, str]]:
    for header, raw in values.items():
        if not header.startswith(PROPERTY_PREFIX) or header in unusable or raw == b"None":
            continue
        try:
            name = header.removeprefix(PROPERTY_PREFIX).decode("utf-8")
            value = raw.decode("utf-8")
        except UnicodeDecodeError:
            continue
        if name and (names is None or name in names):
            yield intern(name), value


def _reason(error: ValueError) -> str:
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def _printable(name: bytes) -> str:
    """Return a header's name. A tenant chooses the names of properties, so escape those."""
    return name.decode() if _PLAIN_NAME.fullmatch(name) else excerpt(name)
