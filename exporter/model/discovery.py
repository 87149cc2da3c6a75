"""Which images are watched because of what they are, and not because their ID is on a list."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from math import inf

from exporter.model.expectations.checks import Expectations
from exporter.model.image import Image


@dataclass(frozen=True, slots=True)
class DiscoveryRule:
    """What an image has to be like to be watched: all that is given must hold.

    ``name`` is a glob in which case counts, ``tags`` are all to be there, ``statuses`` are those
    that will do, ``properties`` pairs of name and value. With an ``alias`` only the most recent
    of the images that match is meant, and that is what it is called. ``expect`` is what is
    expected of the images that it finds.
    """

    name: str | None = None
    tags: tuple[str, ...] = ()
    owner: str | None = None
    visibility: str | None = None
    statuses: tuple[str, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    alias: str | None = None
    expect: Expectations = ()

    def matches(self, image: Image) -> bool:
        """Whether the image meets every criterion; a hidden or deleted one never does."""
        return (
            image.exists
            and not image.hidden
            and (self.name is None or fnmatchcase(image.name or "", self.name))
            and set(self.tags) <= set(image.tags)
            and self.owner in (None, image.project_id)
            and self.visibility in (None, image.visibility)
            and (not self.statuses or image.status in self.statuses)
            and set(self.properties) <= set(image.properties)
        )


@dataclass(frozen=True, slots=True)
class DiscoveryResult:
    """What the entries come to in one list of images.

    ``labels`` has what each discovered image is called, by ID, ``aliases`` the ID that each alias
    stands for now; an alias for which there is no image is not among them. ``expects`` has what
    is expected of each discovered image, by ID.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    expectations: Mapping[str, Expectations] = field(default_factory=dict)


def apply_rules(
    entries: Iterable[DiscoveryRule], images: Iterable[Image], configured: Collection[str]
) -> DiscoveryResult:
    """What the entries come to; an image that is ``configured`` is not discovered once more.

    An alias stands for the image created last, of several that were created at once for the one
    whose ID sorts last. An image that has no alias is called by its ID, and one that has several
    by the first. Of an image that several entries find, the first one's expectations hold.
    """
    labels: dict[str, str] = {}
    aliases: dict[str, str] = {}
    expects: dict[str, Expectations] = {}
    listed = tuple(images)
    for entry in entries:
        matching = [image for image in listed if entry.matches(image)]
        if entry.alias is None:
            for image in matching:
                labels.setdefault(image.id, image.id)
                expects.setdefault(image.id, entry.expect)
        elif matching:
            newest = max(matching, key=_age).id
            aliases[entry.alias] = newest
            expects.setdefault(newest, entry.expect)
            if labels.get(newest, newest) == newest:
                labels[newest] = entry.alias
    for image_id in configured:
        labels.pop(image_id, None)
        expects.pop(image_id, None)
    return DiscoveryResult(labels, aliases, expects)


@dataclass(frozen=True, slots=True)
class DiscoveredImage:
    """One discovered image: what it is called, and whether it ``matches`` by the last list.

    One that does not is leaving: its next answer tells whether it is superseded, and dropped, or
    gone, and kept. ``gone_since`` is when it was first answered as gone, in steady seconds.
    """

    label: str
    matches: bool = True
    gone_since: float | None = None
    expect: Expectations = ()

    def after_poll(self, exists: bool, now: float) -> "DiscoveredImage | None":
        """What an answer makes of it; ``None`` where it is to be dropped, being superseded."""
        if not exists:
            return replace(self, gone_since=now if self.gone_since is None else self.gone_since)
        return replace(self, gone_since=None) if self.matches else None

    def is_expired(self, forget_after: float, now: float) -> bool:
        """Whether it has been gone for so long that it is to be dropped."""
        return (
            not self.matches
            and self.gone_since is not None
            and now - self.gone_since >= forget_after
        )


def merge_discovered(
    members: Mapping[str, DiscoveredImage], found: DiscoveryResult
) -> dict[str, DiscoveredImage]:
    """The members when a list has come to what is ``found``: they stay, are new, or are leaving.

    Those that leave keep their labels and what is expected of them; one that matches again goes
    on with what is known of it.
    """
    staying = {
        image_id: replace(
            member,
            label=found.labels.get(image_id, member.label),
            matches=image_id in found.labels,
            expect=found.expectations.get(image_id, member.expect),
        )
        for image_id, member in members.items()
    }
    new = {
        image_id: DiscoveredImage(label, expect=found.expectations.get(image_id, ()))
        for image_id, label in found.labels.items()
        if image_id not in members
    }
    return staying | new


def _age(image: Image) -> tuple[float, str]:
    return (-inf if image.created_at is None else image.created_at, image.id)
