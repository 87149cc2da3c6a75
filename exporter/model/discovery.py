"""Discovery of images: rules that choose images to watch by their attributes."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from math import inf

from exporter.model.expectations.checks import Expectations
from exporter.model.image import Image
from exporter.model.target import OperatorLabels


@dataclass(frozen=True, slots=True)
class DiscoveryRule:
    """Criteria of images to watch. An image must meet every criterion that is set.

    Attributes:
        name: A case-sensitive glob.
        tags: Tags that the image must all have.
        owner: The project ID.
        visibility: The visibility.
        statuses: The accepted statuses, any if empty.
        properties: Pairs of name and value that the image must all have.
        alias: The label of the most recent matching image. With an alias, only that image is
            watched; otherwise all matching images are watched.
        expect: The expectations of the discovered images.
        operator_labels: The operator's labels of the discovered images.
    """

    name: str | None = None
    tags: tuple[str, ...] = ()
    owner: str | None = None
    visibility: str | None = None
    statuses: tuple[str, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    alias: str | None = None
    expect: Expectations = ()
    operator_labels: OperatorLabels = ()

    def matches(self, image: Image) -> bool:
        """Return True if the image meets every criterion. Hidden and deleted images never match."""
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
    """Result of the rules for one list of images.

    Attributes:
        labels: The label of each discovered image, by ID.
        aliases: The ID that each alias resolves to. Aliases without an image are absent.
        rules: The first rule that matches each discovered image, by ID.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, DiscoveryRule] = field(default_factory=dict)


def apply_rules(
    rules: Iterable[DiscoveryRule], images: Iterable[Image], configured: Collection[str]
) -> DiscoveryResult:
    """Return the result of the rules. ``configured`` images are not discovered again.

    An alias resolves to the image that was created last; if several were created at the same time,
    the ID that sorts last wins. The label of an image is its first alias, or its ID without an
    alias. If several rules match an image, expectations and labels of the first rule apply.
    """
    labels: dict[str, str] = {}
    aliases: dict[str, str] = {}
    first_rules: dict[str, DiscoveryRule] = {}
    candidates = tuple(images)
    for rule in rules:
        matching = [image for image in candidates if rule.matches(image)]
        if rule.alias is None:
            for image in matching:
                labels.setdefault(image.id, image.id)
                first_rules.setdefault(image.id, rule)
        elif matching:
            newest = max(matching, key=_age_key).id
            aliases[rule.alias] = newest
            first_rules.setdefault(newest, rule)
            if labels.get(newest, newest) == newest:
                labels[newest] = rule.alias
    for image_id in configured:
        labels.pop(image_id, None)
        first_rules.pop(image_id, None)
    return DiscoveryResult(labels, aliases, first_rules)


@dataclass(frozen=True, slots=True)
class DiscoveredImage:
    """One discovered image.

    An image that no longer matches is polled by ID. If it still exists it is superseded and
    dropped; if it is gone it stays watched for a while.

    Attributes:
        label: The value of its label ``image``.
        matches: True if a rule matched it in the last list.
        gone_since: Monotonic time of the first poll that found it gone.
        expect: Its expectations.
        operator_labels: The labels that the operator gives to it.
    """

    label: str
    matches: bool = True
    gone_since: float | None = None
    expect: Expectations = ()
    operator_labels: OperatorLabels = ()

    def after_poll(self, exists: bool, now: float) -> "DiscoveredImage | None":
        """Return the image after a successful poll, or None if it is superseded."""
        if not exists:
            return replace(self, gone_since=now if self.gone_since is None else self.gone_since)
        return replace(self, gone_since=None) if self.matches else None

    def is_expired(self, forget_after: float, now: float) -> bool:
        """Return True if no rule matches the image and it has been gone for ``forget_after``."""
        return (
            not self.matches
            and self.gone_since is not None
            and now - self.gone_since >= forget_after
        )

    def with_rule(self, rule: DiscoveryRule) -> "DiscoveredImage":
        """Return the image with the expectations and labels of the rule that matches it."""
        return replace(self, expect=rule.expect, operator_labels=rule.operator_labels)


def merge_discovered(
    known: Mapping[str, DiscoveredImage], result: DiscoveryResult
) -> dict[str, DiscoveredImage]:
    """Merge a new listing into the known images.

    Each image stays, is added, or is marked as no longer matching. An image that no longer matches
    keeps its labels and expectations. An image that matches again keeps ``gone_since``.
    """
    merged: dict[str, DiscoveredImage] = {}
    for image_id, image in known.items():
        merged[image_id] = replace(image, matches=False)
    for image_id, label in result.labels.items():
        image = replace(merged.get(image_id, DiscoveredImage(label)), label=label, matches=True)
        merged[image_id] = image.with_rule(result.rules[image_id])
    return merged


def _age_key(image: Image) -> tuple[float, str]:
    return (-inf if image.created_at is None else image.created_at, image.id)
