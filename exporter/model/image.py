"""One image, as the Image service describes it."""

from dataclasses import dataclass

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
"""Every status Glance documents, v1 and v2 together."""

DELETED_STATUSES = frozenset({"deleted", "pending_delete"})
"""The statuses of an image that only an administrator still sees."""


@dataclass(frozen=True, slots=True)
class Image:
    """What one answer says of one image; ``None`` is what the answer does not say.

    Sizes are bytes, times are seconds since the Unix epoch (UTC). ``digests`` holds pairs of
    algorithm and hexadecimal digest, ``properties`` pairs of name (lower case where v1 gave it) and
    value; of others than those ``looked_for`` nothing is known, but where that is ``None``, all
    that there are stand there. ``stores`` names the backends that hold the data.
    """

    api: str
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
    def exists(self) -> bool:
        """Whether it can still be used: an administrator also sees images that are deleted."""
        return not self.deleted and self.status not in DELETED_STATUSES

    @property
    def is_active(self) -> bool:
        """Whether machines can boot from it: only then its content is complete."""
        return self.exists and self.status == "active"

    def tombstone(self) -> "Image":
        """What is still shown of a deleted image: its status and the time of its deletion."""
        return Image(self.api, self.id, self.status, deleted=True, deleted_at=self.deleted_at)


@dataclass(frozen=True, slots=True)
class Content:
    """What tells the bytes of one image from others, as one API gives it."""

    api: str
    digests: tuple[tuple[str, str], ...]
    size_bytes: int | None

    @property
    def is_known(self) -> bool:
        """Whether it says anything of the bytes."""
        return bool(self.digests or self.size_bytes)

    def differs(self, other: "Content") -> bool:
        """Whether both are known to be of different bytes.

        Only answers of one API are compared, since v1 and v2 may describe one image differently.
        Digests decide where an algorithm is common to both, else sizes above 0 do: Open Telekom
        Cloud gives a size of 0 where the true one is unknown.
        """
        if self.api != other.api:
            return False
        mine, theirs = dict(self.digests), dict(other.digests)
        common = mine.keys() & theirs.keys()
        if common:
            return any(mine[algorithm] != theirs[algorithm] for algorithm in common)
        sizes = (self.size_bytes or 0, other.size_bytes or 0)
        return all(sizes) and sizes[0] != sizes[1]


def content(image: Image) -> Content:
    """The identity of the image's bytes."""
    return Content(image.api, image.digests, image.size_bytes)
