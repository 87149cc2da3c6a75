"""One image as the simulated service knows it, and how each version of the API tells of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from exporter.simulator.response import line

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
# The order in which Glance 33 sends them (tests/recordings/v2/active-private.http).
V2_FIELDS = (
    ("name", "name"),
    ("disk_format", "disk_format"),
    ("container_format", "container_format"),
    ("visibility", "visibility"),
    ("size", "size"),
    ("virtual_size", "virtual_size"),
    ("status", "status"),
    ("checksum", "checksum"),
    ("protected", "protected"),
    ("min_ram", "min_ram"),
    ("min_disk", "min_disk"),
    ("owner", "owner"),
    ("os_hidden", "hidden"),
    ("os_hash_algo", "hash_algorithm"),
    ("os_hash_value", "hash_digest"),
    ("id", "id"),
)
V1_BRIEF = ("id", "name", "disk_format", "container_format", "size", "checksum")


@dataclass(frozen=True)
class SimulatedImage:
    """A record of the Image service, neutral between API v1 and v2.

    Nothing is checked: a test may put anything here. None and "" are left out of
    a v1 head, as Glance does. Times are UTC as Glance writes them,
    ``2026-11-23T11:02:42.011804``. ``size`` is bytes, ``min_disk`` GiB, ``min_ram``
    MiB. Lone surrogates in a name or property are sent as the bytes they escape.
    ``members`` are the projects that a shared image is shared with, and what each
    says to it: accepted, pending or rejected. ``sha512`` is made up from the checksum
    where none is given, so that it changes with the content.
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
        """What v1 knows of the visibility."""
        return self.visibility == "public"

    @cached_property
    def v1_head(self) -> bytes:
        """The answer to HEAD by v1, up to where the request's own headers begin.

        Ends with the line break of its last header; what is left out is
        ``X-Openstack-Request-Id``, ``Date`` and the empty line.
        """
        fields = [(f"X-Image-Meta-{name}", getattr(self, key)) for name, key in V1_FIELDS]
        fields += [(_property_header(key), value) for key, value in self.properties.items()]
        fields.append(("Etag", self.checksum))
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Length: 0\r\n"
            + b"".join(line(name, str(value)) for name, value in fields if value not in (None, ""))
        )

    @property
    def hash_algorithm(self) -> str | None:
        """What v2's digest is of; None without data."""
        return self.checksum and "sha512"

    @property
    def hash_digest(self) -> str | None:
        """The digest that v2 has beside the checksum; None without data."""
        if not self.checksum:
            return None
        return self.sha512 or hashlib.sha512(self.checksum.encode()).hexdigest()

    def v2_document(self) -> dict[str, object]:
        """The answer to GET by v2; an image without data is in no store."""
        document: dict[str, object] = dict(self.properties)
        document |= {key: getattr(self, name) for key, name in V2_FIELDS}
        document |= {
            "created_at": _seconds(self.created_at),
            "updated_at": _seconds(self.updated_at),
            "tags": list(self.tags),
            "self": f"/v2/images/{self.id}",
            "file": f"/v2/images/{self.id}/file",
            "schema": "/v2/schemas/image",
        }
        if self.checksum and self.stores:
            document["stores"] = ",".join(self.stores)
        return document

    @cached_property
    def v2_body(self) -> bytes:
        """The document as it is sent: Unicode as UTF-8, lone surrogates as bytes."""
        text = json.dumps(self.v2_document(), ensure_ascii=False)
        return text.encode("utf-8", "surrogateescape")

    def v1_brief(self) -> dict[str, object]:
        """The entry of ``GET /v1/images``."""
        return {key: getattr(self, key) for key in V1_BRIEF}

    def v1_detail(self) -> dict[str, object]:
        """The entry of ``GET /v1/images/detail``."""
        return {key: getattr(self, key) for _, key in V1_FIELDS} | {
            "properties": dict(self.properties)
        }


def _seconds(time: str | None) -> str | None:
    """A time as v2 writes it: no fraction, and the zone."""
    return time and f"{time[:19]}Z"


def _property_header(key: str) -> str:
    # Glance's web server capitalises each part between dashes: Property-Os_distro.
    return "-".join(part.capitalize() for part in f"X-Image-Meta-Property-{key}".split("-"))
