"""The metrics of an image: one row each, its values a function of what is seen of the target."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from exporter.metrics.family import Family, Point
from exporter.model.changes import ATTRIBUTES
from exporter.model.expectations.checks import evaluable
from exporter.model.image import STATUSES, Image
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.scs0102 import built_at, provided_until, replacement_due, uuid_valid_until
from exporter.model.target import Target

IMAGE_LABELS = ("cloud", "image_id", "image")
"""The labels of every series of an image, all of the operator's choosing."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A target and what is known of it at one moment, with values past their time dropped."""

    target: Target
    observation: Observation
    now: Instant

    @property
    def image(self) -> Image | None:
        """What was last said of it."""
        return self.observation.image

    @property
    def properties(self) -> Iterable[tuple[str, str]]:
        """Name and value of the image's properties that are to be shown."""
        return () if self.image is None else self.target.shown(self.image.properties)


def seen(target: Target, observation: Observation, now: Instant) -> Seen:
    """What the families show of ``target`` at ``now``."""
    return Seen(target, observation.at(now), now)


def _number(value: float | bool | None) -> Iterable[Point]:
    return () if value is None else (((), float(value)),)


def _of_image(attribute: str) -> Callable[[Seen], Iterable[Point]]:
    """The number in one attribute of the image, and nothing where it is not known."""
    return lambda seen: () if seen.image is None else _number(getattr(seen.image, attribute))


def _count(counter: str) -> Callable[[Seen], Iterable[Point]]:
    return lambda seen: _number(getattr(seen.observation.counts, counter))


def _status(seen: Seen) -> Iterable[Point]:
    if seen.image is None:
        return ()
    shown = seen.image.status if seen.image.status in STATUSES else "unknown"
    return (((status,), float(status == shown)) for status in (*STATUSES, "unknown"))


def _deleted_at(seen: Seen) -> Iterable[Point]:
    # A living image has no such time; one that stands there all the same was forged by a name.
    image = seen.image
    return () if image is None or image.exists else _number(image.deleted_at)


def _info(seen: Seen) -> Iterable[Point]:
    image = seen.image
    if image is None or not image.exists:
        return ()
    stable = (
        image.name,
        image.project_id,
        image.disk_format,
        image.container_format,
        image.visibility,
    )
    return ((tuple(text or "" for text in stable), 1.0),)


def _content_info(seen: Seen) -> Iterable[Point]:
    return ((digest, 1.0) for digest in (seen.image.digests if seen.image else ()))


def _property_info(seen: Seen) -> Iterable[Point]:
    return ((held, 1.0) for held in seen.properties)


def _lifetime(
    value: Callable[[Mapping[str, str]], float | None],
) -> Callable[[Seen], Iterable[Point]]:
    """A time that properties say, where all of those that say it are to be shown."""
    return lambda seen: _number(value(dict(seen.properties)))


def _attribute_changes(seen: Seen) -> Iterable[Point]:
    counts = seen.observation.counts
    return (((attribute,), float(getattr(counts, attribute))) for attribute in ATTRIBUTES)


def _target_info(seen: Seen) -> Iterable[Point]:
    return (((seen.target.source,), 1.0),)


def _expectation_met(seen: Seen) -> Iterable[Point]:
    verdicts = evaluable(seen.target.expect, seen.observation, seen.now)
    return (((each.expectation,), float(each.met is True)) for each in verdicts)


FAMILIES: tuple[Family[Seen], ...] = (
    Family(
        "openstack_image_exists",
        "gauge",
        "Whether the image exists and is visible to these credentials, as last polled.",
        lambda seen: _number(seen.observation.exists),
    ),
    Family(
        "openstack_image_status",
        "gauge",
        "Whether the image has the status, as last polled; exactly one of its series is 1.",
        _status,
        ("status",),
    ),
    Family(
        "openstack_image_size_bytes",
        "gauge",
        "Size of the image file in bytes, as last polled.",
        _of_image("size_bytes"),
    ),
    Family(
        "openstack_image_virtual_size_bytes",
        "gauge",
        "Size of the virtual disk in bytes, as last polled; absent where the API does not say.",
        _of_image("virtual_size_bytes"),
    ),
    Family(
        "openstack_image_protected",
        "gauge",
        "Whether the image is protected from deletion, as last polled.",
        _of_image("protected"),
    ),
    Family(
        "openstack_image_public",
        "gauge",
        "Whether every project sees the image, as last polled.",
        _of_image("public"),
    ),
    Family(
        "openstack_image_hidden",
        "gauge",
        "Whether the image is hidden from lists, as last polled; absent through API v1, which does "
        "not say.",
        _of_image("hidden"),
    ),
    Family(
        "openstack_image_min_disk_bytes",
        "gauge",
        "Smallest disk that the image boots on in bytes, as last polled.",
        _of_image("min_disk_bytes"),
    ),
    Family(
        "openstack_image_min_ram_bytes",
        "gauge",
        "Smallest memory that the image boots with in bytes, as last polled.",
        _of_image("min_ram_bytes"),
    ),
    Family(
        "openstack_image_created_timestamp_seconds",
        "gauge",
        "When the image was created in seconds since the epoch, as last polled.",
        _of_image("created_at"),
    ),
    Family(
        "openstack_image_updated_timestamp_seconds",
        "gauge",
        "When the image was last updated in seconds since the epoch, as last polled.",
        _of_image("updated_at"),
    ),
    Family(
        "openstack_image_deleted_timestamp_seconds",
        "gauge",
        "When a deleted image that an administrator still sees was deleted in seconds since the "
        "epoch, as last polled.",
        _deleted_at,
    ),
    Family(
        "openstack_image_info",
        "gauge",
        "What is stable about the image, as last polled; empty where unknown.",
        _info,
        ("name", "project_id", "disk_format", "container_format", "visibility"),
    ),
    Family(
        "openstack_image_content_info",
        "gauge",
        "Digest of the image's content, as last polled.",
        _content_info,
        ("algorithm", "digest"),
    ),
    Family(
        "openstack_image_property_info",
        "gauge",
        "Custom property of the image that the configuration asks for, as last polled.",
        _property_info,
        ("property", "value"),
    ),
    Family(
        "openstack_image_built_timestamp_seconds",
        "gauge",
        "When the image was built in seconds since the epoch, by its property image_build_date, as "
        "last polled.",
        _lifetime(built_at),
    ),
    Family(
        "openstack_image_replacement_due_timestamp_seconds",
        "gauge",
        "When the next build is due in seconds since the epoch, by the image's properties "
        "image_build_date and replace_frequency, as last polled.",
        _lifetime(replacement_due),
    ),
    Family(
        "openstack_image_provided_until_timestamp_seconds",
        "gauge",
        "Until when images of this name are provided in seconds since the epoch, by the image's "
        "property provided_until, as last polled.",
        _lifetime(provided_until),
    ),
    Family(
        "openstack_image_uuid_valid_until_timestamp_seconds",
        "gauge",
        "Until when the image can be used by its ID in seconds since the epoch, by its property "
        "uuid_validity, as last polled.",
        _lifetime(uuid_valid_until),
    ),
    Family(
        "openstack_image_status_changes_total",
        "counter",
        "Changes of the image's status seen since the exporter started.",
        _count("status"),
    ),
    Family(
        "openstack_image_existence_changes_total",
        "counter",
        "Times the image was seen to go or to come back since the exporter started.",
        _count("existence"),
    ),
    Family(
        "openstack_image_content_changes_total",
        "counter",
        "Changes of the active image's content under the same ID seen since the exporter started.",
        _count("content"),
    ),
    Family(
        "openstack_image_attribute_changes_total",
        "counter",
        "Changes of one attribute of the image seen since the exporter started.",
        _attribute_changes,
        ("attribute",),
    ),
    Family(
        "openstack_image_target_info",
        "gauge",
        "A watched image, and how it came to be watched.",
        _target_info,
        ("source",),
    ),
    Family(
        "openstack_image_expectation_met",
        "gauge",
        "Whether the image is as the configuration expects, as last polled.",
        _expectation_met,
        ("expectation",),
    ),
    Family(
        "openstack_image_poll_success",
        "gauge",
        "Whether the API answered for the image, as last polled; that it is gone is an answer.",
        lambda seen: _number(seen.observation.poll_success),
    ),
)
"""Every metric of an image, in the order of the exposition."""
