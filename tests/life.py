"""One image's life step by step, and how what is shown of it through two APIs is compared."""

import hashlib
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from exporter.clock import now
from exporter.store import Store
from tests.support.reference_collector import StoreCollector

DATA = b"the content of an image" * 64

LIFE: Mapping[str, Mapping[str, Any]] = {
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
"""What each step changes of a simulated image, in order; a real service leaves out two of them.

Saving is over before anybody can look, and an active image keeps its content.
"""

Sample = tuple[str, tuple[tuple[str, str], ...]]
Differs = Callable[[Sample, float], tuple[Sample, float] | None]


def _as_it_is(sample: Sample, value: float) -> tuple[Sample, float]:
    return sample, value


def _nothing(_sample: Sample, _value: float) -> None:
    return None


def _without(label: str) -> Differs:
    def differs(sample: Sample, value: float) -> tuple[Sample, float]:
        name, labels = sample
        return (name, tuple(pair for pair in labels if pair[0] != label)), value

    return differs


def _but(label: str, value_of_one: str) -> Differs:
    def differs(sample: Sample, value: float) -> tuple[Sample, float] | None:
        return None if (label, value_of_one) in sample[1] else (sample, value)

    return differs


def _to_the_second(sample: Sample, value: float) -> tuple[Sample, float]:
    return sample, math.floor(value)


EXCEPTIONS: Mapping[str, Differs] = {
    # v1 does not say whether an image is hidden.
    "openstack_image_hidden": _nothing,
    # v1 knows no visibility but public, so it sees none change into another.
    "openstack_image_info": _without("visibility"),
    "openstack_image_attribute_changes_total": _but("attribute", "visibility"),
    # v1 has no digest but MD5.
    "openstack_image_content_info": _but("algorithm", "sha512"),
    # v2 leaves out fractions of a second.
    "openstack_image_created_timestamp_seconds": _to_the_second,
    "openstack_image_updated_timestamp_seconds": _to_the_second,
}
"""What either version cannot know, by sample: what of it can be compared, if anything."""

TO_AN_ADMINISTRATOR: Mapping[str, Differs] = {
    # v1 shows a deleted image to an administrator, v2 answers 404.
    "openstack_image_status": _nothing,
    "openstack_image_status_changes_total": _nothing,
    "openstack_image_deleted_timestamp_seconds": _nothing,
}
"""The same, where an administrator asks and the image is deleted."""

NONE: Mapping[str, Differs] = MappingProxyType({})


def shown(store: Store, exceptions: Mapping[str, Differs] = NONE) -> dict[Sample, float]:
    """The samples of images on /metrics, as far as they can be compared."""
    found = {}
    for family in StoreCollector(store, now).collect():
        for each in family.samples:
            if "image_id" not in each.labels:
                continue
            sample = (each.name, tuple(sorted(each.labels.items())))
            compared = exceptions.get(each.name, _as_it_is)(sample, each.value)
            if compared is not None:
                found[compared[0]] = compared[1]
    return found
