"""One image as the Image service describes it."""

from dataclasses import dataclass

from exporter.model.api_traits import API_TRAITS, ApiName, ApiTraits

STATUSES = (
    "queued",
    "saving",
    "uploading",
    "importing",
    "active",
    "deactivated",
    "killed",
    "deleted",
    "pending_delete",
)
"""Every status that Glance documents, of v1 and v2 together."""

DELETED_STATUSES = frozenset({"deleted", "pending_delete"})
"""The statuses of an image that only an administrator still sees."""


@dataclass(frozen=True, slots=True)
class Content:
    """Digests and size that identify the bytes of an image, as one API version reports them."""

    api: ApiName
    digests: tuple[tuple[str, str], ...]
    size_bytes: int | None

    @property
    def is_known(self) -> bool:
        """True if there is a digest or a size to compare."""
        return bool(self.digests or self.size_bytes)

    def differs(self, other: "Content") -> bool:
        """Return True if both are known to belong to different bytes.

        Only responses of one API version are compared, since v1 and v2 may describe one image
        differently. Digests decide if both have one of the same algorithm. Otherwise sizes above 0
        decide: Open Telekom Cloud sends a size of 0 if the true one is unknown.
        """
        if self.api != other.api:
            return False
        own, others = dict(self.digests), dict(other.digests)
        common = own.keys() & others.keys()
        if common:
            return any(own[algorithm] != others[algorithm] for algorithm in common)
        sizes = (self.size_bytes or 0, other.size_bytes or 0)
        return all(sizes) and sizes[0] != sizes[1]


@dataclass(frozen=True, slots=True)
class Image:
    """Attributes of one image in one response. ``None`` means that the response has no value.

    Sizes are bytes, times are seconds since the Unix epoch (UTC).

    Attributes:
        digests: Pairs of algorithm and hexadecimal digest.
        properties: Pairs of name and value. v1 reports names in lower case.
        requested_properties: The names to which ``properties`` is limited, or None for no limit.
        stores: The names of the backends that hold the data.
    """

    api: ApiName
    id: str
    status: str
    name: str | None = None
    size_bytes: int | None = None
    virtual_size_bytes: int | None = None
    protected: bool | None = None
    public: bool | None = None
    hidden: bool | None = None
    visibility: str | None = None
    deleted: bool | None = None
    created_at: float | None = None
    updated_at: float | None = None
    deleted_at: float | None = None
    container_format: str | None = None
    disk_format: str | None = None
    min_disk_bytes: int | None = None
    min_ram_bytes: int | None = None
    digests: tuple[tuple[str, str], ...] = ()
    project_id: str | None = None
    properties: tuple[tuple[str, str], ...] = ()
    requested_properties: frozenset[str] | None = None
    tags: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()

    @property
    def traits(self) -> ApiTraits:
        """The traits of the API version that reported the image."""
        return API_TRAITS[self.api]

    @property
    def exists(self) -> bool:
        """True if the image can be used. An administrator also sees images that are deleted."""
        return not self.deleted and self.status not in DELETED_STATUSES

    @property
    def is_active(self) -> bool:
        """True if machines can boot from the image, so that its content is complete."""
        return self.exists and self.status == "active"

    @property
    def content(self) -> Content:
        """Digests and size that identify the image's bytes."""
        return Content(self.api, self.digests, self.size_bytes)

    def tombstone(self) -> "Image":
        """Return the image with only what is exported of a deleted image: status and deletion."""
        return Image(self.api, self.id, self.status, deleted=True, deleted_at=self.deleted_at)
