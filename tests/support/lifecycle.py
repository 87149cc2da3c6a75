"""The lifecycle of an image, step by step, and how its metrics in two API versions compare."""

import hashlib
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from exporter.clock import now
from exporter.store import Store
from tests.support.reference_collector import StoreCollector

DATA = b"the content of an image" * 64

LIFECYCLE: Mapping[str, Mapping[str, Any]] = {
    "queued": {"status": "queued", "size": None, "checksum": None},
    "saving": {"status": "saving", "size": len(DATA)},
    "active": {
        "status": "active",
        "size": len(DATA),
        "virtual_size": len(DATA),
        "checksum": hashlib.md5(DATA, usedforsecurity=False).hexdigest(),
        "sha512": hashlib.sha512(DATA).hexdigest(),
    },
    "protected": {"protected": True},
    "public": {"visibility": "public"},
    "deactivated": {"status": "deactivated"},
    "active again": {"status": "active"},
    "new content": {"size": 2048, "checksum": "2" * 32, "sha512": "2" * 128},
    "renamed": {"name": "other"},
    "private again": {"visibility": "private", "protected": False},
    "hidden": {"hidden": True},
    "deleted": {"deleted": True, "deleted_at": "2026-11-23T11:03:01", "status": "deleted"},
}
"""The fields of a simulated image that each step changes, in order.

A real service has no steps "saving", which is too short to be observed, and "new content", because
the content of an active image cannot change.
"""

Sample = tuple[str, tuple[tuple[str, str], ...]]
Comparable = Callable[[Sample, float], tuple[Sample, float] | None]
"""Returns the part of a sample that is the same in all API versions, or None."""


def _unchanged(sample: Sample, value: float) -> tuple[Sample, float]:
    return sample, value


def _not_comparable(_sample: Sample, _value: float) -> None:
    return None


def _without_label(label: str) -> Comparable:
    def comparable(sample: Sample, value: float) -> tuple[Sample, float]:
        name, labels = sample
        return (name, tuple(pair for pair in labels if pair[0] != label)), value

    return comparable


def _except_series(label: str, label_value: str) -> Comparable:
    def comparable(sample: Sample, value: float) -> tuple[Sample, float] | None:
        return None if (label, label_value) in sample[1] else (sample, value)

    return comparable


def _whole_seconds(sample: Sample, value: float) -> tuple[Sample, float]:
    return sample, math.floor(value)


API_DIFFERENCES: Mapping[str, Comparable] = {
    # v1 does not report whether an image is hidden.
    "openstack_image_hidden": _not_comparable,
    # v1 only distinguishes public images from others, not the other visibilities.
    "openstack_image_info": _without_label("visibility"),
    "openstack_image_attribute_changes_total": _except_series("attribute", "visibility"),
    # v1 only has MD5 digests.
    "openstack_image_content_info": _except_series("algorithm", "sha512"),
    # v2 omits fractions of a second.
    "openstack_image_created_timestamp_seconds": _whole_seconds,
    "openstack_image_updated_timestamp_seconds": _whole_seconds,
}
"""The comparable part of metrics that differ between the API versions, by metric."""

ADMIN_DIFFERENCES: Mapping[str, Comparable] = {
    # v1 shows a deleted image to an administrator, v2 returns 404.
    "openstack_image_status": _not_comparable,
    "openstack_image_status_changes_total": _not_comparable,
    "openstack_image_deleted_timestamp_seconds": _not_comparable,
}
"""The same for a deleted image that is polled by an administrator."""


def _existence(sample: Sample, _: float) -> tuple[Sample, float]:
    return sample, 1.0


POLL_TIMES: Mapping[str, Comparable] = {
    "openstack_image_last_change_timestamp_seconds": _existence,
}
"""Times of polls, which no two clouds share."""

NO_DIFFERENCES: Mapping[str, Comparable] = MappingProxyType({})


def comparable_samples(
    store: Store, differences: Mapping[str, Comparable] = NO_DIFFERENCES
) -> dict[Sample, float]:
    """Return the comparable part of the samples of images."""
    samples = {}
    comparables = {**POLL_TIMES, **differences}
    for family in StoreCollector(store, now).collect():
        for sample in family.samples:
            if "image_id" not in sample.labels:
                continue
            key = (sample.name, tuple(sorted(sample.labels.items())))
            comparable = comparables.get(sample.name, _unchanged)(key, sample.value)
            if comparable is not None:
                samples[comparable[0]] = comparable[1]
    return samples
