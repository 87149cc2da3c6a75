"""Documents of the Image API v2, and a simple parser to compare the product's parser with."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from exporter.model.image import Image
from exporter.model.responses.parsers import Malformed
from exporter.model.responses.v2_fields import image_from_document, parse_json

ID = "87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"
LINKS = ("self", "file", "schema", "direct_url", "locations")


def image(**attributes: Any) -> Image:
    """Return an image with its status and these attributes only."""
    return Image(**{"api": "v2", "id": ID, "status": "active"} | attributes)


def parse_text(text: str, properties: frozenset[str] | None = None) -> Image | Malformed:
    """Parse JSON text as the image ``ID``."""
    return image_from_document(parse_json(text.encode()), ID, properties)


def _time(written: str) -> float:
    moment = datetime.fromisoformat(written)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


BY_HAND: dict[str, tuple[str, type, Callable[[Any], object]]] = {
    "id": ("id", str, str),
    "status": ("status", str, str),
    "name": ("name", str, str),
    "size": ("size_bytes", int, int),
    "virtual_size": ("virtual_size_bytes", int, int),
    "protected": ("protected", bool, bool),
    "os_hidden": ("hidden", bool, bool),
    "visibility": ("visibility", str, str),
    "created_at": ("created_at", str, _time),
    "updated_at": ("updated_at", str, _time),
    "container_format": ("container_format", str, str),
    "disk_format": ("disk_format", str, str),
    "min_disk": ("min_disk_bytes", int, lambda number: number * 1024**3),
    "min_ram": ("min_ram_bytes", int, lambda number: number * 1024**2),
    "owner": ("project_id", str, str),
    "tags": (
        "tags",
        list,
        lambda tags: tuple(sorted(tag for tag in tags if is_valid_unicode(tag))),
    ),
    "stores": ("stores", str, lambda names: tuple(name for name in names.split(",") if name)),
}


def is_valid_unicode(text: str) -> bool:
    """Return True if the text has no half of a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def parse_by_hand(document: dict[str, Any]) -> Image:
    """Parse a document in a simple way; raise if a field has the wrong type."""
    attributes: dict[str, Any] = {}
    for key, (attribute, kind, convert) in BY_HAND.items():
        value = document.get(key)
        if value is None or value == "" or (key == "name" and not is_valid_unicode(value)):
            continue
        assert kind in (type(value),)
        assert kind is not int or 0 <= value < 2**63
        assert kind is not str or is_valid_unicode(value)
        attributes[attribute] = convert(value)
    digests = {}
    if document.get("checksum"):
        digests["md5"] = document["checksum"]
    if document.get("os_hash_algo") and document.get("os_hash_value"):
        algorithm = document["os_hash_algo"]
        assert digests.setdefault(algorithm, document["os_hash_value"]) == document["os_hash_value"]
    true_size = document.get("__image_size")
    if isinstance(true_size, str) and true_size.isascii() and true_size.isdigit():
        true_size = int(true_size)
    if not document.get("size") and type(true_size) is int and 0 < true_size < 2**63:
        attributes["size_bytes"] = true_size
        if digests.get("md5") == "d41d8cd98f00b204e9800998ecf8427e":
            del digests["md5"]
    if attributes.get("visibility") in ("public", "private", "shared", "community"):
        attributes["public"] = attributes["visibility"] == "public"
    fixed = {*BY_HAND, "checksum", "os_hash_algo", "os_hash_value", *LINKS}
    custom = {
        key: value
        for key, value in document.items()
        if key
        and key not in fixed
        and isinstance(value, str)
        and is_valid_unicode(key)
        and is_valid_unicode(value)
    }
    return Image(
        **{"api": "v2"} | attributes,
        digests=tuple(digests.items()),
        properties=tuple(sorted(custom.items())),
    )
