"""The images of a simulated service, and the form each API version gives them."""

import hashlib
import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from exporter.simulator.release import Release, ordered
from exporter.simulator.response import header_line

OWNER = "70e8fbac958f4a27b37bb02f2af0c8ad"
CREATED_AT = "2026-11-23T11:02:42.011804"

# The order in which Glance 15 sends them (tests/recordings/v1/active-private.http).
V1_FIELDS = (
    ("Id", "id"),
    ("Deleted", "deleted"),
    ("Container_format", "container_format"),
    ("Checksum", "checksum"),
    ("Deleted_at", "deleted_at"),
    ("Protected", "protected"),
    ("Min_disk", "min_disk"),
    ("Created_at", "created_at"),
    ("Size", "size"),
    ("Status", "status"),
    ("Virtual_size", "virtual_size"),
    ("Is_public", "is_public"),
    ("Min_ram", "min_ram"),
    ("Owner", "owner"),
    ("Updated_at", "updated_at"),
    ("Disk_format", "disk_format"),
    ("Name", "name"),
)
# The attribute that each key of v2 comes from; ``Release`` has the keys that are sent.
V2_FIELDS = {
    "name": "name",
    "disk_format": "disk_format",
    "container_format": "container_format",
    "visibility": "visibility",
    "size": "size",
    "virtual_size": "virtual_size",
    "status": "status",
    "checksum": "checksum",
    "protected": "protected",
    "min_ram": "min_ram",
    "min_disk": "min_disk",
    "owner": "owner",
    "os_hidden": "hidden",
    "os_hash_algo": "hash_algorithm",
    "os_hash_value": "hash_digest",
    "id": "id",
}
V1_BRIEF = ("id", "name", "disk_format", "container_format", "size", "checksum")


@dataclass(frozen=True)
class SimulatedImage:
    """An image of the Image service, independent of the API version.

    Values are not validated: tests may use any. A v1 head omits None and "", as Glance does.
    Times are UTC in Glance's format, ``2026-11-23T11:02:42.011804``. ``size`` is in bytes,
    ``min_disk`` in GiB, ``min_ram`` in MiB. Lone surrogates in a name or property are sent
    as the bytes they escape. ``members`` maps the projects that a shared image is shared
    with to their member status: accepted, pending or rejected. ``sha512`` is derived from
    the checksum by default, so that it changes with the content.
    """

    id: str
    name: str | None = "cirros"
    status: str = "active"
    size: int | None = 16
    virtual_size: int | None = None
    checksum: str | None = "826ad52d67c55b1f07cabe148b8146ac"
    protected: bool = False
    visibility: str = "private"
    hidden: bool = False
    deleted: bool = False
    deleted_at: str | None = None
    created_at: str | None = CREATED_AT
    updated_at: str | None = CREATED_AT
    container_format: str | None = "bare"
    disk_format: str | None = "raw"
    min_disk: int = 0
    min_ram: int = 0
    owner: str | None = OWNER
    properties: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    stores: tuple[str, ...] = ("fs",)
    members: Mapping[str, str] = field(default_factory=dict)
    sha512: str | None = None

    @property
    def is_public(self) -> bool:
        """Return the visibility as v1 reports it."""
        return self.visibility == "public"

    @cached_property
    def v1_head(self) -> bytes:
        """Return the head of v1's response to HEAD, without the headers of one request.

        It ends with the line break of its last header. ``X-Openstack-Request-Id``, ``Date``
        and the empty line are missing.
        """
        fields = [(f"X-Image-Meta-{name}", getattr(self, key)) for name, key in V1_FIELDS]
        fields += [(_property_header(key), value) for key, value in self.properties.items()]
        fields.append(("Etag", self.checksum))
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Length: 0\r\n"
            + b"".join(
                header_line(name, str(value)) for name, value in fields if value not in (None, "")
            )
        )

    @property
    def hash_algorithm(self) -> str | None:
        """Return the algorithm of v2's ``os_hash_value``; None without data."""
        return self.checksum and "sha512"

    @property
    def hash_digest(self) -> str | None:
        """Return v2's ``os_hash_value``; None without data."""
        if not self.checksum:
            return None
        return self.sha512 or hashlib.sha512(self.checksum.encode()).hexdigest()

    def v2_document(self, release: Release = Release.GLANCE_33) -> dict[str, object]:
        """Return the document of v2; an image without data has no ``stores``."""
        fields: dict[str, object] = {key: getattr(self, name) for key, name in V2_FIELDS.items()}
        fields |= {
            "created_at": _seconds(self.created_at),
            "updated_at": _seconds(self.updated_at),
            "tags": list(self.tags),
            "self": f"/v2/images/{self.id}",
            "file": f"/v2/images/{self.id}/file",
            "schema": "/v2/schemas/image",
        }
        if self.checksum and self.stores:
            fields["stores"] = ",".join(self.stores)
        return {**self.properties, **ordered(fields, release.traits.image_keys)}

    def v2_body(self, release: Release = Release.GLANCE_33) -> bytes:
        """Return the document as sent: Unicode as UTF-8, lone surrogates as bytes."""
        body = self._v2_bodies.get(release)
        if body is None:
            text = json.dumps(self.v2_document(release), ensure_ascii=False)
            body = self._v2_bodies[release] = text.encode("utf-8", "surrogateescape")
        return body

    @cached_property
    def _v2_bodies(self) -> dict[Release, bytes]:
        return {}

    def v1_brief(self) -> dict[str, object]:
        """Return the entry in ``GET /v1/images``."""
        return {key: getattr(self, key) for key in V1_BRIEF}

    def v1_detail(self) -> dict[str, object]:
        """Return the entry in ``GET /v1/images/detail``."""
        return {key: getattr(self, key) for _, key in V1_FIELDS} | {
            "properties": dict(self.properties)
        }


class ImageSource(Protocol):
    """The images that an API server shows."""

    def get(self, image_id: str) -> SimulatedImage | None:
        """Return the image with this ID, which may be deleted; None if it is unknown."""

    def all(self) -> tuple[SimulatedImage, ...]:
        """Return all images, including deleted ones."""


class SimulatedImages:
    """The images of a service by ID, thread-safe. Changes apply to the next request."""

    def __init__(self, images: Iterable[SimulatedImage] = ()) -> None:
        self._lock = threading.Lock()
        self._images = {image.id: image for image in images}

    def __len__(self) -> int:
        """Return the number of images, including deleted ones."""
        return len(self._images)

    def get(self, image_id: str) -> SimulatedImage | None:
        """Return the image with this ID, which may be deleted; None if it is unknown."""
        return self._images.get(image_id)

    def all(self) -> tuple[SimulatedImage, ...]:
        """Return all images, including deleted ones, in the order they were added."""
        with self._lock:
            return tuple(self._images.values())

    def put(self, image: SimulatedImage) -> None:
        """Add an image, or replace the one with its ID."""
        with self._lock:
            self._images[image.id] = image

    def change(self, image_id: str, **fields: Any) -> SimulatedImage:  # dataclass fields
        """Change fields of an image and return it.

        Raises:
            KeyError: the image is unknown.
        """
        with self._lock:
            image = replace(self._images[image_id], **fields)
            self._images[image_id] = image
            return image

    def delete(self, image_id: str, at: str = "2026-11-23T11:03:01.979328") -> SimulatedImage:
        """Mark an image deleted: 404 for its owner, ``Deleted: True`` for an administrator.

        Raises:
            KeyError: the image is unknown.
        """
        return self.change(
            image_id, deleted=True, deleted_at=at, updated_at=at, status="deleted", protected=False
        )

    def remove(self, image_id: str) -> None:
        """Remove an image, as if it had never existed.

        Raises:
            KeyError: the image is unknown.
        """
        with self._lock:
            del self._images[image_id]


def _seconds(time: str | None) -> str | None:
    """Return a time in v2's format: no fraction, but a zone."""
    return time and f"{time[:19]}Z"


def _property_header(key: str) -> str:
    # Glance's web server capitalizes each part between dashes: Property-Os_distro.
    return "-".join(part.capitalize() for part in f"X-Image-Meta-Property-{key}".split("-"))
