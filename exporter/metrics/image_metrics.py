"""Table of the metrics of an image, one row each."""

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter

from exporter.metrics.family import Family, Row
from exporter.metrics.images.info import content_info, info, property_info
from exporter.metrics.images.state_info import STATE_LABELS, state_info
from exporter.metrics.images.view import ImageView
from exporter.model.changes import CHANGE_KINDS, COUNTED_ATTRIBUTES, NO_CHANGE_TIMES
from exporter.model.expectations.checks import verifiable
from exporter.model.image import STATUSES, Image
from exporter.model.observation import Aspect
from exporter.model.scs0102 import built_at, provided_until, replacement_due, uuid_valid_until
from exporter.model.target import INFO_ATTRIBUTES

IMAGE_LABELS = ("cloud", "image_id", "image")
"""The labels of every series of an image. The operator chooses all of their values."""

OPERATOR_LABELS_FAMILY = "openstack_image_labels"
"""The family with the operator's labels, which has no series if none are configured."""


OF_IMAGE: Set[Aspect] = frozenset({Aspect.IMAGE})
"""The aspect of the families that have no samples without an image."""


@dataclass(frozen=True, slots=True)
class ImageFamily(Family[ImageView]):
    """A metric family of images.

    Attributes:
        aspects: What the samples are made of. They are rendered again only if that changes.
        with_labels: Returns the family with the labels that are configured for these images.
    """

    aspects: Set[Aspect] = OF_IMAGE
    with_labels: Callable[[Collection[ImageView]], "ImageFamily"] | None = None

    def for_views(self, views: Collection[ImageView]) -> "ImageFamily":
        """Return the family with all labels that its samples of these images have."""
        return self if self.with_labels is None else self.with_labels(views)

    @property
    def needs_image(self) -> bool:
        """True if every sample needs an image."""
        return self.aspects == OF_IMAGE


def _number(value: float | bool | None) -> Mapping[tuple[str, ...], float]:
    return {} if value is None else {(): float(value)}


Column = Callable[[Collection[ImageView]], Sequence[float | None]]
"""Returns the value of each image, None without a sample."""


def _unlabelled(
    name: str, help_text: str, column: Column, aspects: Set[Aspect] = OF_IMAGE
) -> ImageFamily:
    """Return a family with at most one sample per image, without labels of its own."""
    return ImageFamily(
        name,
        "counter" if name.endswith("_total") else "gauge",
        help_text,
        lambda view: _number(column([view])[0]),
        column=column,
        aspects=aspects,
    )


_NO_IMAGE = Image("v1", "", "")
"""An image without values."""


def _of_image(attribute: str) -> Column:
    """Return a function that returns a numeric attribute of images."""
    value_of = attrgetter(attribute)
    return lambda views: [value_of(view.image or _NO_IMAGE) for view in views]


def _of_view(attribute: str) -> Column:
    value_of = attrgetter(attribute)
    return lambda views: list(map(value_of, views))


_STATUS_SAMPLES: Mapping[str, Mapping[tuple[str, ...], float]] = {
    current: {(status,): float(status == current) for status in (*STATUSES, "unknown")}
    for current in (*STATUSES, "unknown")
}


def _known_status(view: ImageView) -> str | None:
    if view.image is None:
        return None
    return view.image.status if view.image.status in _STATUS_SAMPLES else "unknown"


def _status(view: ImageView) -> Mapping[tuple[str, ...], float]:
    status = _known_status(view)
    return {} if status is None else _STATUS_SAMPLES[status]


def _deleted_at(views: Collection[ImageView]) -> Sequence[float | None]:
    # An existing image has no such time. If it seems to have one, a tenant forged the header.
    return [
        None if view.image is None or view.image.exists else view.image.deleted_at for view in views
    ]


def _info_family(
    name: str,
    help_text: str,
    rows: Callable[[Collection[ImageView]], Sequence[Row]],
    labels: tuple[str, ...],
    aspects: Set[Aspect] = OF_IMAGE,
) -> ImageFamily:
    """Return a family whose samples are all 1."""
    return ImageFamily(
        name,
        "gauge",
        help_text,
        lambda view: dict.fromkeys(rows([view])[0], 1.0),
        labels,
        rows=rows,
        aspects=aspects,
    )


def _lifetime(time_of: Callable[[Mapping[str, str]], float | None]) -> Column:
    """Return a function that returns a time from the exported properties of images."""
    return lambda views: [
        time_of(dict(view.properties)) if view.properties else None for view in views
    ]


_counts_of = attrgetter(*COUNTED_ATTRIBUTES)


def _attribute_changes(view: ImageView) -> Mapping[tuple[str, ...], float]:
    counts = _counts_of(view.observation.change_counts)
    return {
        (attribute,): float(count)
        for attribute, count in zip(COUNTED_ATTRIBUTES, counts, strict=True)
    }


_times_of = attrgetter(*CHANGE_KINDS)


def _last_changes(view: ImageView) -> Mapping[tuple[str, ...], float]:
    times = view.observation.change_times
    if times is NO_CHANGE_TIMES:
        return {}
    kinds = zip(CHANGE_KINDS, _times_of(times), strict=True)
    return {(kind,): time for kind, time in kinds if time is not None}


def _target_info(view: ImageView) -> Mapping[tuple[str, ...], float]:
    return {(view.target.source,): 1.0}


def _with_operator_labels(views: Collection[ImageView]) -> ImageFamily:
    all_labels = {view.target.operator_labels for view in views}
    return _labels_family(tuple(sorted({name for labels in all_labels for name, _ in labels})))


@lru_cache(maxsize=8)
def _labels_family(names: tuple[str, ...]) -> ImageFamily:
    """Return the family with the operator's labels of these names."""

    def samples(view: ImageView) -> Mapping[tuple[str, ...], float]:
        labels = dict(view.target.operator_labels)
        return {tuple([labels.get(name, "") for name in names]): 1.0} if names else {}

    return ImageFamily(
        OPERATOR_LABELS_FAMILY,
        "gauge",
        "Watched image with the labels that the configuration gives to it. Absent without labels.",
        samples,
        names,
        key=lambda view: view.target.operator_labels,
        aspects=frozenset({Aspect.TARGET}),
        with_labels=_with_operator_labels,
    )


def _expectation_results(view: ImageView) -> tuple[tuple[str, bool], ...]:
    """Return each expectation that can be evaluated, and if it is met."""
    expect = view.target.expect
    if not expect:
        return ()
    results = verifiable(expect, view.observation.as_of(view.now), view.now)
    return tuple([(result.expectation, result.met is True) for result in results])


def _expectation_met(view: ImageView) -> Mapping[tuple[str, ...], float]:
    return {(name,): float(is_met) for name, is_met in _expectation_results(view)}


IMAGE_FAMILIES: tuple[ImageFamily, ...] = (
    _unlabelled(
        "openstack_image_exists",
        "Whether the image exists and is visible to these credentials, as last polled.",
        _of_view("exists"),
        frozenset({Aspect.EXISTS}),
    ),
    _info_family(
        "openstack_image_state_info",
        "State of the image in labels, as last polled, for comparisons over time.",
        state_info,
        STATE_LABELS,
        frozenset({Aspect.EXISTS, Aspect.IMAGE}),
    ),
    ImageFamily(
        "openstack_image_status",
        "gauge",
        "Whether the image has this status, as last polled. Exactly one of the series is 1.",
        _status,
        ("status",),
        key=_known_status,
    ),
    _unlabelled(
        "openstack_image_size_bytes",
        "Size of the image file in bytes, as last polled.",
        _of_image("size_bytes"),
    ),
    _unlabelled(
        "openstack_image_virtual_size_bytes",
        "Size of the virtual disk in bytes, as last polled. Absent if the API does not report it.",
        _of_image("virtual_size_bytes"),
    ),
    _unlabelled(
        "openstack_image_protected",
        "Whether the image is protected from deletion, as last polled.",
        _of_image("protected"),
    ),
    _unlabelled(
        "openstack_image_public",
        "Whether the image is visible to every project, as last polled.",
        _of_image("public"),
    ),
    _unlabelled(
        "openstack_image_hidden",
        "Whether the image is hidden from lists, as last polled. Absent with API v1, which does "
        "not report it.",
        _of_image("hidden"),
    ),
    _unlabelled(
        "openstack_image_min_disk_bytes",
        "Minimum disk size to boot the image in bytes, as last polled.",
        _of_image("min_disk_bytes"),
    ),
    _unlabelled(
        "openstack_image_min_ram_bytes",
        "Minimum memory to boot the image in bytes, as last polled.",
        _of_image("min_ram_bytes"),
    ),
    _unlabelled(
        "openstack_image_created_timestamp_seconds",
        "Creation time of the image in seconds since the epoch, as last polled.",
        _of_image("created_at"),
    ),
    _unlabelled(
        "openstack_image_updated_timestamp_seconds",
        "Time of the last update of the image in seconds since the epoch, as last polled.",
        _of_image("updated_at"),
    ),
    _unlabelled(
        "openstack_image_deleted_timestamp_seconds",
        "Deletion time of a deleted image that an administrator still sees in seconds since the "
        "epoch, as last polled.",
        _deleted_at,
    ),
    _info_family(
        "openstack_image_info",
        "Image metadata, as last polled. Labels are empty if unknown.",
        info,
        INFO_ATTRIBUTES,
    ),
    _info_family(
        "openstack_image_content_info",
        "Digest of the image content, as last polled.",
        content_info,
        ("algorithm", "digest"),
    ),
    _info_family(
        "openstack_image_property_info",
        "Custom property of the image that is selected in the configuration, as last polled.",
        property_info,
        ("property", "value"),
    ),
    _unlabelled(
        "openstack_image_built_timestamp_seconds",
        "Build time of the image in seconds since the epoch, from its property image_build_date, "
        "as last polled.",
        _lifetime(built_at),
    ),
    _unlabelled(
        "openstack_image_replacement_due_timestamp_seconds",
        "Time at which the next build is due in seconds since the epoch, from the properties "
        "image_build_date and replace_frequency, as last polled.",
        _lifetime(replacement_due),
    ),
    _unlabelled(
        "openstack_image_provided_until_timestamp_seconds",
        "Time until which images of this name are provided in seconds since the epoch, from the "
        "property provided_until, as last polled.",
        _lifetime(provided_until),
    ),
    _unlabelled(
        "openstack_image_uuid_valid_until_timestamp_seconds",
        "Time until which the image ID stays valid in seconds since the epoch, from the property "
        "uuid_validity, as last polled.",
        _lifetime(uuid_valid_until),
    ),
    _unlabelled(
        "openstack_image_status_changes_total",
        "Changes of the image status.",
        _of_view("observation.change_counts.status"),
        frozenset({Aspect.CHANGE_COUNTS}),
    ),
    _unlabelled(
        "openstack_image_existence_changes_total",
        "Disappearances and reappearances of the image.",
        _of_view("observation.change_counts.existence"),
        frozenset({Aspect.CHANGE_COUNTS}),
    ),
    _unlabelled(
        "openstack_image_content_changes_total",
        "Changes of the content of the active image under the same ID.",
        _of_view("observation.change_counts.content"),
        frozenset({Aspect.CHANGE_COUNTS}),
    ),
    ImageFamily(
        "openstack_image_attribute_changes_total",
        "counter",
        "Changes of one attribute of the image.",
        _attribute_changes,
        ("attribute",),
        key=lambda view: _counts_of(view.observation.change_counts),
        aspects=frozenset({Aspect.CHANGE_COUNTS}),
    ),
    ImageFamily(
        "openstack_image_last_change_timestamp_seconds",
        "gauge",
        "Time of the poll that last showed this kind of change in seconds since the epoch. "
        "Absent if none did.",
        _last_changes,
        ("change",),
        aspects=frozenset({Aspect.CHANGE_COUNTS}),
    ),
    ImageFamily(
        "openstack_image_target_info",
        "gauge",
        "Watched image by source.",
        _target_info,
        ("source",),
        key=lambda view: view.target.source,
        aspects=frozenset({Aspect.TARGET}),
    ),
    _labels_family(()),
    ImageFamily(
        "openstack_image_expectation_met",
        "gauge",
        "Whether the image meets the expectation in the configuration, as last polled.",
        _expectation_met,
        ("expectation",),
        key=_expectation_results,
        aspects=frozenset({Aspect.EXISTS, Aspect.IMAGE, Aspect.TIME}),
    ),
    _unlabelled(
        "openstack_image_poll_success",
        "Whether the poll succeeded, as last polled. A poll that finds the image gone succeeds.",
        _of_view("observation.poll_success"),
        frozenset({Aspect.POLL_SUCCESS}),
    ),
)
"""Every metric of an image, in the order of the exposition."""
