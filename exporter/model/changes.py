"""Changes between two successful polls of one image."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from exporter.model.image import Content, Image
from exporter.model.instant import Instant

COUNTED_ATTRIBUTES = ("protected", "public", "visibility", "name")
"""The attributes of an image whose changes are counted."""

API_DEPENDENT_ATTRIBUTES = frozenset({"name"})
"""Attributes that API versions report differently: v1 trims white space around a name."""


_THERE, _GONE = "there", "gone"
"""The values of a change of the existence."""


class Change(NamedTuple):
    """A change from ``old`` to ``new``; ``what`` names the attribute or counter that changed."""

    what: str
    old: object
    new: object


class ChangeEvent(NamedTuple):
    """A poll that showed changes of an image.

    Attributes:
        at: Time of the poll.
        changes: The changes.
        request_id: Request ID of the response.
    """

    at: Instant
    changes: tuple[Change, ...]
    request_id: str


@dataclass(frozen=True, slots=True)
class ChangeCounts:
    """Number of changes of each kind that were counted."""

    existence: int = 0
    status: int = 0
    content: int = 0
    protected: int = 0
    public: int = 0
    visibility: int = 0
    name: int = 0

    def with_changes(self, changes: tuple[Change, ...]) -> "ChangeCounts":
        """Return the counts increased by the changes."""
        increases = Counter(change.what for change in changes)
        totals = {what: getattr(self, what) + count for what, count in increases.items()}
        return replace(self, **totals)


NO_CHANGE_COUNTS = ChangeCounts()
"""The counts with which every target starts."""


class TimedChange(NamedTuple):
    """A kind of change whose time is kept: what changes, to which value, None for any."""

    kind: str
    what: str
    new: object = None


TIMED_CHANGES = (
    TimedChange("status", "status"),
    TimedChange("content", "content"),
    TimedChange("gone", "existence", _GONE),
    TimedChange("back", "existence", _THERE),
    TimedChange("public", "public", True),
    TimedChange("unprotected", "protected", False),
)
"""The kinds of change whose time is kept."""

CHANGE_KINDS = tuple(timed.kind for timed in TIMED_CHANGES)
"""The names of these kinds."""


@dataclass(frozen=True, slots=True)
class ChangeTimes:
    """Unix time of the poll that last showed each kind of change, None if no poll did."""

    status: float | None = None
    content: float | None = None
    gone: float | None = None
    back: float | None = None
    public: float | None = None
    unprotected: float | None = None

    def with_changes(self, changes: tuple[Change, ...], at: float) -> "ChangeTimes":
        """Return the times after a poll at ``at``, the same object if it showed no such change."""
        times = {
            timed.kind: at
            for timed in TIMED_CHANGES
            for change in changes
            if timed.what == change.what and timed.new in (None, change.new)
        }
        return replace(self, **times) if times else self


NO_CHANGE_TIMES = ChangeTimes()
"""The times with which every target starts."""


class ChangeBaseline(NamedTuple):
    """State that the next response is compared with. It survives failures and expiry.

    Attributes:
        exists: Existence at the last successful poll, None before the first.
        image: The image as last described.
        active: The last known content of the image while it was active.
        since: Unix time of the first successful poll by the service's clock, None if unknown.
    """

    exists: bool | None = None
    image: Image | None = None
    active: Content | None = None
    since: float | None = None

    def updated(self, exists: bool, image: Image | None) -> "ChangeBaseline":
        """Return the baseline after a poll. ``image`` is None if the response describes none."""
        active = self.active
        content = image.content if image is not None and image.is_active else None
        # Content without a digest or a size must not replace content that has one.
        if content is not None and content != active and (content.is_known or active is None):
            active = content
        return self._replace(exists=exists, image=image or self.image, active=active)


NO_BASELINE = ChangeBaseline()
"""The baseline of a target that was never polled successfully."""


def find_changes(
    baseline: ChangeBaseline, exists: bool, image: Image | None, *, corrects: bool = False
) -> tuple[Change, ...]:
    """Return the changes that a response shows against the baseline.

    ``corrects`` is true if the baseline was wrong, see ``Found.corrects``: then only the existence
    is compared.

    The first response shows no change. An attribute that is unknown in either response is not
    compared.
    """
    changes: list[Change] = []
    if baseline.exists is not None and baseline.exists != exists:
        old, new = _format_existence(baseline.exists), _format_existence(exists)
        changes.append(Change("existence", old, new))
    if image is None or image == baseline.image or corrects:
        return tuple(changes)
    if baseline.image is not None:
        changes.extend(_attribute_changes(baseline.image, image))
    if image.is_active and baseline.active is not None and baseline.active.differs(image.content):
        old, new = _format_content(baseline.active), _format_content(image.content)
        changes.append(Change("content", old, new))
    return tuple(changes)


def _attribute_changes(old: Image, new: Image) -> Iterator[Change]:
    if old.status != new.status:
        yield Change("status", old.status, new.status)
    for attribute in COUNTED_ATTRIBUTES if new.exists else ():
        if attribute in API_DEPENDENT_ATTRIBUTES and old.api != new.api:
            continue
        old_value, new_value = getattr(old, attribute), getattr(new, attribute)
        if old_value is not None and new_value is not None and old_value != new_value:
            yield Change(attribute, old_value, new_value)


def _format_existence(exists: bool) -> str:
    return _THERE if exists else _GONE


def _format_content(content: Content) -> str:
    """Return the digests, or the size if the content has no digest."""
    digests = ",".join(f"{algorithm}:{digest}" for algorithm, digest in content.digests)
    return digests or f"{content.size_bytes} bytes"
