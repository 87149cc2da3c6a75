"""The fields of the Image service API v2, one row each, and an ``Image`` from a JSON document.

Keys and types are those of the v2 schema (``GET /v2/schemas/image``). Measured on Glance 33: what
is not known is ``null``, times end in ``Z``, custom properties stand beside the fixed fields, and
``stores`` is absent without data. As in ``headers``, every rule errs towards an absent field or a
``Malformed`` answer, never a wrong value.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from exporter.model.image import Image
from exporter.model.parsers import GIBI, LARGEST_INTEGER, MEBI, Malformed, utc_timestamp
from exporter.model.parsers import integer as integer_in_text

PUBLIC = {"public": True, "private": False, "shared": False, "community": False}
"""What each visibility of v2 says of being public; any other word says nothing."""

TRUE_SIZE = "__image_size"
"""The property in which Open Telekom Cloud gives the size where ``size`` is 0."""

MD5_OF_NOTHING = "d41d8cd98f00b204e9800998ecf8427e"


class ObjectWithDuplicates(dict[str, object]):
    """A JSON object in which keys stand twice with different values; ``repeated`` names them."""

    repeated: tuple[str, ...] = ()


def text(value: object) -> str | None:
    """The text itself, ``None`` where it is empty; raises ``ValueError`` for anything else."""
    if not isinstance(value, str):
        raise ValueError("not text")
    if not _is_unicode(value):
        raise ValueError("not text that UTF-8 can hold")
    return value or None


def tenants_text(value: object) -> str | None:
    """The text itself, ``None`` where it is empty or holds what UTF-8 cannot.

    A tenant chooses it, and must not be able to make the whole answer ``Malformed``.
    """
    return text(value) if not isinstance(value, str) or _is_unicode(value) else None


def integer(value: object) -> int:
    """A whole number from 0 to 2^63 - 1; raises ``ValueError`` for anything else, 1.0 included."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("not a whole number of 0 or more")
    if value > LARGEST_INTEGER:
        raise ValueError("larger than 2^63 - 1")
    return value


def gibibytes(value: object) -> int:
    """Bytes, from a number of GiB: the unit of ``min_disk``."""
    return integer(value) * GIBI


def mebibytes(value: object) -> int:
    """Bytes, from a number of MiB: the unit of ``min_ram``."""
    return integer(value) * MEBI


def boolean(value: object) -> bool:
    """True or False; raises ``ValueError`` for anything else, 1 and "true" included."""
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def time(value: object) -> float:
    """Seconds since the epoch, from ISO 8601; raises ``ValueError`` for anything else."""
    return utc_timestamp(text(value) or "")


def tags(value: object) -> tuple[str, ...]:
    """The tags in the order of the alphabet, for a server may give them in any.

    Tenants choose them: one that UTF-8 cannot hold is left out.
    """
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise ValueError("not a list of texts")
    return tuple(sorted(filter(_is_unicode, value)))


def stores(value: object) -> tuple[str, ...]:
    """The names in a list with commas."""
    return tuple(filter(None, (text(value) or "").split(",")))


@dataclass(frozen=True, slots=True)
class Field:
    """One row: the attribute of ``Image``, the key in the document, and how its value is read."""

    attribute: str
    key: str
    read: Callable[[object], object] = text
    required: bool = False


V2_FIELDS = (
    Field("id", "id", required=True),
    Field("status", "status", required=True),
    Field("name", "name", tenants_text),
    Field("size_bytes", "size", integer),
    Field("virtual_size_bytes", "virtual_size", integer),
    Field("protected", "protected", boolean),
    Field("hidden", "os_hidden", boolean),
    Field("visibility", "visibility"),
    Field("created_at", "created_at", time),
    Field("updated_at", "updated_at", time),
    Field("container_format", "container_format"),
    Field("disk_format", "disk_format"),
    Field("min_disk_bytes", "min_disk", gibibytes),
    Field("min_ram_bytes", "min_ram", mebibytes),
    Field("checksum", "checksum"),
    Field("hash_algorithm", "os_hash_algo"),
    Field("hash_value", "os_hash_value"),
    Field("project_id", "owner"),
    Field("tags", "tags", tags),
    Field("stores", "stores", stores),
)

NO_PROPERTIES = frozenset(field.key for field in V2_FIELDS) | {
    "direct_url",
    "file",
    "locations",
    "schema",
    "self",
}
"""The keys of the v2 schema; every other key of a document is a custom property."""


def parse_json(body: bytes) -> object:
    """The JSON in ``body``; raises ``ValueError`` where there is none.

    An object in which a key stands twice with different values becomes ``ObjectWithDuplicates``.
    """
    try:
        return json.loads(
            body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def image_from_document(
    document: object, image_id: str, properties: frozenset[str] | None = None
) -> Image | Malformed:
    """The image that the answer to ``GET /v2/images/{image_id}``, or an entry of a list, describes.

    ``document`` is of ``parse_json``. Of the properties only those named (case counts) are kept,
    all where it is ``None``.
    """
    if not isinstance(document, dict):
        return Malformed(("the answer is no JSON object",))
    read: dict[str, object] = {}
    problems = _repeated(document)
    for field in V2_FIELDS:
        raw = document.get(field.key)
        try:
            value = None if raw is None else field.read(raw)
        except ValueError as error:
            problems.append(f"{field.key} is {error}: {_excerpt(raw)}")
            continue
        if value is not None:
            read[field.attribute] = value
        elif field.required:
            problems.append(f"{field.key} is missing")
    if read.pop("id", image_id) != image_id:
        problems.append(f"id is another image's: {_excerpt(document['id'])}")
    digests = _digests(read)
    if len(dict(digests)) != len(digests):
        problems.append("checksum and os_hash_value are two digests of one algorithm")
    if problems:
        return Malformed(tuple(problems))
    if not read.get("size_bytes") and (true_size := _true_size(document.get(TRUE_SIZE))):
        read["size_bytes"] = true_size
        digests = [pair for pair in digests if pair != ("md5", MD5_OF_NOTHING)]
    return Image(
        api="v2",
        id=image_id,
        public=PUBLIC.get(str(read.get("visibility"))),
        digests=tuple(digests),
        properties=tuple(sorted(_properties(document, properties))),
        requested_properties=properties,
        **read,  # type: ignore[arg-type]  # the rows name attributes of Image
    )


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) == len(pairs):
        return document
    # repr, because to Python 1, 1.0 and True are equal.
    repeated = dict.fromkeys(k for k, value in pairs if repr(value) != repr(document[k]))
    if not repeated:
        return document
    doubtful = ObjectWithDuplicates(document)
    doubtful.repeated = tuple(repeated)
    return doubtful


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _repeated(document: dict[str, object]) -> list[str]:
    """A problem for each key that stands twice with different values."""
    keys = document.repeated if isinstance(document, ObjectWithDuplicates) else ()
    return [
        f"{key if key in NO_PROPERTIES else _excerpt(key)} stands twice with different values"
        for key in keys
    ]


def _digests(read: dict[str, object]) -> list[tuple[str, str]]:
    """Pairs of algorithm and digest, each once, taken out of what was read."""
    algorithm, value = read.pop("hash_algorithm", None), read.pop("hash_value", None)
    pairs = (("md5", read.pop("checksum", None)), (algorithm, value))
    return list(dict.fromkeys((str(a), str(digest)) for a, digest in pairs if a and digest))


def _true_size(value: object) -> int | None:
    """The size that Open Telekom Cloud keeps in a property, ``None`` where it is no size."""
    try:
        return integer_in_text(value) if isinstance(value, str) else integer(value)
    except ValueError:
        return None


def _properties(
    document: Mapping[str, object], wanted: frozenset[str] | None
) -> Iterable[tuple[str, str]]:
    for key, value in document.items():
        if key in NO_PROPERTIES or not key or not isinstance(value, str):
            continue
        if (wanted is None or key in wanted) and _is_unicode(key) and _is_unicode(value):
            yield key, value


def _is_unicode(value: str) -> bool:
    """Whether it can be written as UTF-8: JSON may escape halves of surrogate pairs."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _excerpt(value: object) -> str:
    """At most 60 characters of the value, in a form that cannot forge or break a line."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    whole = ascii(value[:60] if isinstance(value, str) else value)
    return whole if len(whole) <= 60 else whole[:57] + "..."
