"""The true life of the images of a simulated cloud, computed before the simulation starts.

Every state is a function of the time. So a healthy server, a stale one and the oracle read the same
timeline, at different times.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from math import inf
from typing import NamedTuple

from exporter.model.api_traits import ApiName
from exporter.model.image import Image

WALL_START = 1_700_000_000.0
"""Seconds since the Unix epoch at the start of the simulation."""

CREATED = -86_400.0
"""When the first images were created, relative to the start of the simulation."""

ALL = -1
"""The image of an event that concerns all images."""


class ReprEnum(Enum):
    """An enum whose ``repr`` is the Python expression for it."""

    def __repr__(self) -> str:
        """Return the name with that of the class."""
        return f"{type(self).__name__}.{self.name}"


class EventKind(ReprEnum):
    """Changes of an image. An event that cannot happen, as to a deleted image, has no effect."""

    CREATE = "create"
    UPLOAD = "upload"
    DEACTIVATE = "deactivate"
    REACTIVATE = "reactivate"
    SWAP_CONTENT = "swap content"
    PUBLISH = "publish or withdraw"
    PROTECT = "protect or release"
    RENAME = "rename"
    HIDE = "hide or unhide"
    REVOKE_SHARE = "revoke the share"
    SHARE = "share again"
    DELETE = "delete"
    RECREATE = "create again under the same ID"
    MOVE = "move to another owner"


class Event(NamedTuple):
    """A change of an image, or of ``ALL``, in seconds since the start of the simulation."""

    at: float
    kind: EventKind
    image: int


@dataclass(frozen=True, slots=True)
class Record:
    """The row of one image in the database of the service."""

    exists: bool = False
    shared: bool = True
    status: str = "queued"
    digest: str = ""
    name: str = ""
    owner: str = "owner"
    protected: bool = False
    public: bool = False
    hidden: bool = False
    created_at: float = CREATED
    updated_at: float = CREATED


class Signature(NamedTuple):
    """The attributes of a state whose changes are counted; equal ones look like no change."""

    exists: bool
    status: str
    digest: str
    name: str
    protected: bool
    public: bool


@dataclass(frozen=True, slots=True)
class ImageState:
    """One image from ``at`` until its next state, as these credentials see it.

    Attributes:
        image: The image in a response, or None for a 404.
        signature: None if the response is a 404.
        listed: The image is on the first list of a batch.
        hidden: The image is on the second list of a batch.
    """

    at: float
    image: Image | None
    signature: Signature | None
    listed: bool
    hidden: bool

    @property
    def exists(self) -> bool:
        """True if machines could use the image."""
        return self.image is not None and self.image.exists


class Timeline:
    """All states of one image; the index of a state is its version."""

    __slots__ = ("starts", "states")

    def __init__(self, states: list[ImageState]) -> None:
        self.states = states
        self.starts = [state.at for state in states]

    def version(self, at: float) -> int:
        """Return the version at that time."""
        return bisect_right(self.starts, at) - 1

    def existed_throughout(self, since: float, until: float) -> bool:
        """Return True if the image existed at every time of the period."""
        versions = range(self.version(since), self.version(until) + 1)
        return all(self.states[version].exists for version in versions)


def image_id(index: int) -> str:
    """Return the ID of a watched image."""
    return f"image-{index}"


def build_timelines(
    api: ApiName, initial: Iterable[bool], events: Iterable[Event], *, shows_deleted: bool
) -> list[Timeline]:
    """Return the timeline of each image.

    Args:
        api: The API version whose responses describe the images.
        initial: Existence of each image at the start.
        events: All events, in any order.
        shows_deleted: An administrator sees images that are deleted, with 200.
    """
    records = [
        Record(exists, status="active", digest=f"{index}-0", name=f"name {index}")
        for index, exists in enumerate(initial)
    ]
    absent = ImageState(-inf, None, None, listed=False, hidden=False)
    states = [
        [absent, _state(api, index, CREATED, record, shows_deleted)] if record.exists else [absent]
        for index, record in enumerate(records)
    ]
    for event in sorted(events, key=lambda event: event.at):
        for index in range(len(records)) if event.image == ALL else (event.image,):
            record = _after(records[index], event)
            if record != records[index]:
                records[index] = record
                states[index].append(_state(api, index, event.at, record, shows_deleted))
    return [Timeline(of_image) for of_image in states]


STATUS_NEEDED = {
    EventKind.UPLOAD: "queued",
    EventKind.DEACTIVATE: "active",
    EventKind.REACTIVATE: "deactivated",
    EventKind.SWAP_CONTENT: "active",
}
"""The status that an image has before an event; the event has no effect on any other."""


def _after(record: Record, event: Event) -> Record:
    """Return the record after an event."""
    at, kind = event.at, event.kind
    if kind in {EventKind.CREATE, EventKind.RECREATE}:
        if record.exists:
            return record
        status, digest = ("queued", "") if kind is EventKind.CREATE else ("active", f"again-{at}")
        return Record(
            True, status=status, digest=digest, name=record.name, created_at=at, updated_at=at
        )
    if not record.exists:
        return record
    if kind is EventKind.REVOKE_SHARE:
        # Members of an image are rows of another table: the image itself is not updated.
        return replace(record, shared=False)
    if kind is EventKind.SHARE:
        return replace(record, shared=True)
    changed = _changed(record, event)
    return record if changed == record else replace(changed, updated_at=at)


def _changed(record: Record, event: Event) -> Record:
    """Return an existing record after an event that updates it, or the same one."""
    at, kind = event.at, event.kind
    new: dict[EventKind, dict[str, object]] = {
        EventKind.UPLOAD: {"status": "active", "digest": f"upload-{at}"},
        EventKind.DEACTIVATE: {"status": "deactivated"},
        EventKind.REACTIVATE: {"status": "active"},
        EventKind.SWAP_CONTENT: {"digest": f"swap-{at}"},
        EventKind.PUBLISH: {"public": not record.public},
        EventKind.PROTECT: {"protected": not record.protected},
        EventKind.RENAME: {"name": f"name at {at}"},
        EventKind.HIDE: {"hidden": not record.hidden},
        EventKind.DELETE: {"exists": False},
        EventKind.MOVE: {"owner": f"owner at {at}", "shared": record.public},
    }
    if STATUS_NEEDED.get(kind, record.status) != record.status:
        return record
    return replace(record, **new[kind])  # type: ignore[arg-type]  # the table has the right types


def _state(api: ApiName, index: int, at: float, record: Record, shows_deleted: bool) -> ImageState:
    is_deleted = not record.exists and record.updated_at > CREATED
    is_visible = record.exists and (record.shared or record.public)
    if not is_visible and not (shows_deleted and is_deleted):
        return ImageState(at, None, None, listed=False, hidden=False)
    image = Image(
        api,
        image_id(index),
        record.status if record.exists else "deleted",
        name=record.name,
        size_bytes=len(record.digest),
        protected=record.protected,
        public=record.public,
        hidden=record.hidden if api == "v2" else None,
        visibility=("public" if record.public else "shared") if api == "v2" else None,
        deleted=not record.exists,
        created_at=WALL_START + record.created_at,
        updated_at=WALL_START + record.updated_at,
        deleted_at=None if record.exists else WALL_START + at,
        digests=(("md5", record.digest),) if record.digest else (),
        project_id=record.owner,
    )
    signature = Signature(
        record.exists, image.status, record.digest, record.name, record.protected, record.public
    )
    return ImageState(
        at,
        image,
        signature,
        listed=record.exists and not record.hidden,
        hidden=record.exists and record.hidden,
    )
