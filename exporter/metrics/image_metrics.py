"""The metrics of an image: one row each, its values a function of what is seen of the target."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from exporter.metrics.family import Family, Point
from exporter.model.changes import COUNTED_ATTRIBUTES
from exporter.model.expectations.checks import verifiable
from exporter.model.image import STATUSES, Image
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.scs0102 import built_at, provided_until, replacement_due, uuid_valid_until
from exporter.model.target import Target

IMAGE_LABELS = ("cloud", "image_id", "image")
"""The labels of every series of an image, all of the operator's choosing."""


@dataclass(frozen=True, slots=True)
class ImageView:
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
        return () if self.image is None else self.target.select_properties(self.image.properties)


def view_of(target: Target, observation: Observation, now: Instant) -> ImageView:
    """What the families show of ``target`` at ``now``."""
    return ImageView(target, observation.as_of(now), now)


def _number(value: float | bool | None) -> Iterable[Point]:
    return () if value is None else (((), float(value)),)


def _of_image(attribute: str) -> Callable[[ImageView], Iterable[Point]]:
    """The number in one attribute of the image, and nothing where it is not known."""
    return lambda view: () if view.image is None else _number(getattr(view.image, attribute))


def _count(counter: str) -> Callable[[ImageView], Iterable[Point]]:
    return lambda view: _number(getattr(view.observation.change_counts, counter))


def _status(view: ImageView) -> Iterable[Point]:
    if view.image is None:
        return ()
    shown = view.image.status if view.image.status in STATUSES else "unknown"
    return (((status,), float(status == shown)) for status in (*STATUSES, "unknown"))


def _deleted_at(view: ImageView) -> Iterable[Point]:
    # A living image has no such time; one that stands there all the same was forged by a name.
    image = view.image
    return () if image is None or image.exists else _number(image.deleted_at)


def _info(view: ImageView) -> Iterable[Point]:
    image = view.image
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


def _content_info(view: ImageView) -> Iterable[Point]:
    return ((digest, 1.0) for digest in (view.image.digests if view.image else ()))


def _property_info(view: ImageView) -> Iterable[Point]:
    return ((held, 1.0) for held in view.properties)


def _lifetime(
    value: Callable[[Mapping[str, str]], float | None],
) -> Callable[[ImageView], Iterable[Point]]:
    """A time that properties say, where all of those that say it are to be shown."""
    return lambda view: _number(value(dict(view.properties)))


def _attribute_changes(view: ImageView) -> Iterable[Point]:
    counts = view.observation.change_counts
    return (((attribute,), float(getattr(counts, attribute))) for attribute in COUNTED_ATTRIBUTES)


def _target_info(view: ImageView) -> Iterable[Point]:
    return (((view.target.source,), 1.0),)


def _expectation_met(view: ImageView) -> Iterable[Point]:
    verdicts = verifiable(view.target.expect, view.observation, view.now)
    return (((each.expectation,), float(each.met is True)) for each in verdicts)


IMAGE_FAMILIES: tuple[Family[ImageView], ...] = (
    Family(
        "openstack_image_exists",
        "gauge",
        "Whether the image exists and is visible to these credentials, as last polled.",
        lambda view: _number(view.observation.exists),
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
        lambda view: _number(view.observation.poll_success),
    ),
)
"""Every metric of an image, in the order of the exposition."""
