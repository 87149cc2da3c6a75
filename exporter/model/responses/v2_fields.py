"""Fields of the Image service API v2, one row each, and the conversion of JSON to an ``Image``.

Keys and types are those of the v2 schema (``GET /v2/schemas/image``). Measured on Glance 33:
unknown values are ``null``, times end in ``Z``, custom properties are siblings of the fixed
fields, and ``stores`` is absent without data. As in ``v1_headers``, every rule prefers an absent
field or a ``Malformed`` response to a wrong value.
"""

import json
from collections.abc import Iterable, Mapping
from sys import intern
from typing import NoReturn

from exporter.model.image import Image
from exporter.model.responses.parsers import (
    GIBI,
    MEBI,
    Column,
    Malformed,
    is_unicode,
    json_to_boolean,
    json_to_integer,
    json_to_text,
    json_to_timestamp,
    scaled,
    shared,
    text_to_integer,
)
from exporter.text import excerpt

PUBLIC = {"public": True, "private": False, "shared": False, "community": False}
"""The value of ``public`` for each visibility of v2. It is unknown for any other word."""

TRUE_SIZE = "__image_size"
"""The property in which Open Telekom Cloud sends the size if ``size`` is 0."""

MD5_OF_NOTHING = "d41d8cd98f00b204e9800998ecf8427e"


class ObjectWithDuplicates(dict[str, object]):
    """A JSON object that repeats keys with different values: those in ``repeated``."""

    repeated: tuple[str, ...] = ()


def tenant_text(value: object) -> str | None:
    """Return a string, or None if it is empty or not valid Unicode.

    A tenant chooses the text, and must not be able to make the whole response ``Malformed``.
    """
    return None if isinstance(value, str) and not is_unicode(value) else json_to_text(value)


def tags(value: object) -> tuple[str, ...]:
    """Return the tags sorted, because a server may send them in any order.

    Tenants choose them, so a tag that is not valid Unicode is left out.
    """
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise ValueError("not a list of strings")
    return tuple(sorted(filter(is_unicode, value)))


def stores(value: object) -> tuple[str, ...]:
    """Return the names in a comma-separated list."""
    return tuple(filter(None, (json_to_text(value) or "").split(",")))


V2_FIELDS: tuple[Column[str, object], ...] = (
    Column("id", "id", json_to_text, required=True),
    Column("status", "status", shared(json_to_text), required=True),
    Column("name", "name", tenant_text),
    Column("size_bytes", "size", json_to_integer),
    Column("virtual_size_bytes", "virtual_size", json_to_integer),
    Column("protected", "protected", json_to_boolean),
    Column("hidden", "os_hidden", json_to_boolean),
    Column("visibility", "visibility", shared(json_to_text)),
    Column("created_at", "created_at", json_to_timestamp),
    Column("updated_at", "updated_at", json_to_timestamp),
    Column("container_format", "container_format", shared(json_to_text)),
    Column("disk_format", "disk_format", shared(json_to_text)),
    Column("min_disk_bytes", "min_disk", scaled(json_to_integer, GIBI)),
    Column("min_ram_bytes", "min_ram", scaled(json_to_integer, MEBI)),
    Column("checksum", "checksum", json_to_text),
    Column("hash_algorithm", "os_hash_algo", json_to_text),
    Column("hash_value", "os_hash_value", json_to_text),
    Column("project_id", "owner", shared(json_to_text)),
    Column("tags", "tags", tags),
    Column("stores", "stores", stores),
)

SCHEMA_KEYS = frozenset(column.key for column in V2_FIELDS) | {
    "direct_url",
    "file",
    "locations",
    "schema",
    "self",
}
"""The keys of the v2 schema. Every other key of a document is a custom property."""


def parse_json(body: bytes) -> object:
    """Return the value of a JSON text.

    An object that repeats a key with different values becomes ``ObjectWithDuplicates``.

    Raises:
        ValueError: The body is not JSON.
    """
    try:
        return json.loads(
            body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_reject_constant
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def image_from_document(
    document: object, image_id: str, properties: frozenset[str] | None = None
) -> Image | Malformed:
    """Return the image that a document of ``GET /v2/images/{image_id}`` or of a list describes.

    Args:
        document: A value of ``parse_json``.
        image_id: The ID of the requested image.
        properties: Case-sensitive names of the properties to keep, or None for all.
    """
    if not isinstance(document, dict):
        return Malformed(("the response is not a JSON object",))
    attributes: dict[str, object] = {}
    problems = _repeated(document)
    for column in V2_FIELDS:
        raw = document.get(column.key)
        try:
            value = None if raw is None else column.parse(raw)
        except ValueError as error:
            problems.append(f"{column.key} is {error}: {excerpt(raw)}")
            continue
        if value is not None:
            attributes[column.attribute] = value
        elif column.required:
            problems.append(f"{column.key} is missing")
    if attributes.pop("id", image_id) != image_id:
        problems.append(f"id belongs to another image: {excerpt(document['id'])}")
    digests = _pop_digests(attributes)
    if len(dict(digests)) != len(digests):
        problems.append("checksum and os_hash_value are two digests of one algorithm")
    if problems:
        return Malformed(tuple(problems))
    if not attributes.get("size_bytes") and (true_size := _true_size(document.get(TRUE_SIZE))):
        attributes["size_bytes"] = true_size
        digests = [digest for digest in digests if digest != ("md5", MD5_OF_NOTHING)]
    return Image(
        api="v2",
        id=image_id,
        public=PUBLIC.get(str(attributes.get("visibility"))),
        digests=tuple(digests),
        properties=tuple(sorted(_properties(document, properties))),
        requested_properties=properties,
        **attributes,  # type: ignore[arg-type]  # the rows name attributes of Image
    )


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) == len(pairs):
        return document
    # Compare by repr, because 1, 1.0 and True are equal in Python.
    repeated = dict.fromkeys(key for key, value in pairs if repr(value) != repr(document[key]))
    if not repeated:
        return document
    ambiguous = ObjectWithDuplicates(document)
    ambiguous.repeated = tuple(repeated)
    return ambiguous


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _repeated(document: dict[str, object]) -> list[str]:
    """Return a problem for each key that is repeated with different values."""
    keys = document.repeated if isinstance(document, ObjectWithDuplicates) else ()
    return [
        f"{key if key in SCHEMA_KEYS else excerpt(key)} is repeated with different values"
        for key in keys
    ]


def _pop_digests(attributes: dict[str, object]) -> list[tuple[str, str]]:
    """Remove the digests from the attributes; return pairs of algorithm and digest, each once."""
    checksum = attributes.pop("checksum", None)
    algorithm = attributes.pop("hash_algorithm", None)
    value = attributes.pop("hash_value", None)
    pairs = (("md5", checksum), (algorithm, value))
    return list(dict.fromkeys((str(a), str(digest)) for a, digest in pairs if a and digest))


def _true_size(value: object) -> int | None:
    """Return the size that Open Telekom Cloud sends in a property, None if it is not a size."""
    try:
        return text_to_integer(value) if isinstance(value, str) else json_to_integer(value)
    except ValueError:
        return None


def _properties(
    document: Mapping[str, object], names: frozenset[str] | None
) -> Iterable[tuple[str, str]]:
    for key, value in document.items():
        if key in SCHEMA_KEYS or not key or not isinstance(value, str):
            continue
        if (names is None or key in names) and is_unicode(key) and is_unicode(value):
            yield intern(key), value
