"""What changed between two answers about one image."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from exporter.model.image import Content, Image, content

COUNTED_ATTRIBUTES = ("protected", "public", "visibility", "name")
"""The attributes of an image whose changes are counted."""

API_DEPENDENT_ATTRIBUTES = frozenset({"name"})
"""Those that one API gives otherwise than another: v1 loses white space around a name."""


class Change(NamedTuple):
    """One change, for the log and the counters: ``what`` changed from ``old`` to ``new``."""

    what: str
    old: object
    new: object


@dataclass(frozen=True, slots=True)
class ChangeCounts:
    """How often each thing was seen to change, since the exporter started."""

    existence: int = 0
    status: int = 0
    content: int = 0
    protected: int = 0
    public: int = 0
    visibility: int = 0
    name: int = 0

    def with_changes(self, changes: tuple[Change, ...]) -> "ChangeCounts":
        """These counts with the changes added."""
        seen = Counter(change.what for change in changes)
        return replace(self, **{what: getattr(self, what) + more for what, more in seen.items()})


NO_CHANGE_COUNTS = ChangeCounts()
"""Where every target begins."""


class ChangeBaseline(NamedTuple):
    """What later answers are compared with: it outlives failures, staleness and Gone."""

    exists: bool | None = None
    image: Image | None = None
    active: Content | None = None

    def updated(self, exists: bool, image: Image | None) -> "ChangeBaseline":
        """The memory after an answer that the image ``exists`` or not, described or not."""
        active = self.active
        now = content(image) if image is not None and image.is_active else None
        # What says nothing of the bytes must not take the place of what does.
        if now is not None and now != active and (now.is_known or active is None):
            active = now
        return ChangeBaseline(exists, image or self.image, active)


NO_BASELINE = ChangeBaseline()
"""What is remembered of a target that was never answered for."""


def changes(before: ChangeBaseline, exists: bool, image: Image | None) -> tuple[Change, ...]:
    """What an answer changes; a first answer changes nothing, nor does what one does not say."""
    found: list[Change] = []
    if before.exists is not None and before.exists != exists:
        found.append(Change("existence", _existence(before.exists), _existence(exists)))
    if image is None or image == before.image:
        return tuple(found)
    if before.image is not None:
        found.extend(_differences(before.image, image))
    if image.is_active:
        now = content(image)
        if before.active is not None and before.active.differs(now):
            found.append(Change("content", _identity(before.active), _identity(now)))
    return tuple(found)


def _differences(old: Image, new: Image) -> Iterator[Change]:
    if old.status != new.status:
        yield Change("status", old.status, new.status)
    for attribute in COUNTED_ATTRIBUTES if new.exists else ():
        if attribute in API_DEPENDENT_ATTRIBUTES and old.api != new.api:
            continue
        was, now = getattr(old, attribute), getattr(new, attribute)
        if was is not None and now is not None and was != now:
            yield Change(attribute, was, now)


def _existence(exists: bool) -> str:
    return "there" if exists else "gone"


def _identity(known: Content) -> str:
    """The content in words: digests, or the size where there are none."""
    digests = ",".join(f"{algorithm}:{digest}" for algorithm, digest in known.digests)
    return digests or f"{known.size_bytes} bytes"
