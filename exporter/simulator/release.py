"""The releases of Glance that the simulated service imitates, and how their API v2 differs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Release(Enum):
    """A release of Glance whose responses were recorded."""

    GLANCE_15 = 15
    """Pike, the last release with API v1 (``tests/recordings/glance15-v2``)."""

    GLANCE_33 = 33
    """The current release (``tests/recordings/v2``)."""

    @property
    def traits(self) -> "ReleaseTraits":
        """Return how API v2 of this release responds."""
        return TRAITS[self]


@dataclass(frozen=True, slots=True)
class ReleaseTraits:
    """How API v2 of one release responds, where releases differ.

    Attributes:
        versions: The versions of API v2 in the version document, in the order sent.
        current_version: The one of them that is CURRENT.
        version_keys: Keys of an entry of the version document, in the order sent.
        link_keys: Keys of a link in such an entry, in the order sent.
        image_keys: Keys of an image's document that are no custom properties, in the order sent.
        list_keys: Keys of a list that follow the images, in the order sent.
        query_order: Parameters that come first in the links of a list, in this order.
        visibilities: Values of the filter ``visibility``.
        has_hidden_images: False if no image is hidden, and ``os_hidden`` is a custom property.
        max_request_line: Longest request line in bytes; None if there is no limit.
    """

    versions: tuple[str, ...]
    current_version: str
    version_keys: tuple[str, ...]
    link_keys: tuple[str, ...]
    image_keys: tuple[str, ...]
    list_keys: tuple[str, ...]
    query_order: tuple[str, ...]
    visibilities: frozenset[str]
    has_hidden_images: bool
    max_request_line: int | None


def ordered(values: Mapping[str, object], keys: Iterable[str]) -> dict[str, object]:
    """Return the values that have one of these keys, in the order of the keys."""
    return {key: values[key] for key in keys if key in values}


TRAITS: Mapping[Release, ReleaseTraits] = MappingProxyType(
    {
        # The orders are those of dictionaries in Python 2, under which it was recorded.
        Release.GLANCE_15: ReleaseTraits(
            versions=("v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0"),
            current_version="v2.5",
            version_keys=("status", "id", "links"),
            link_keys=("href", "rel"),
            image_keys=(
                "status",
                "name",
                "tags",
                "container_format",
                "created_at",
                "size",
                "disk_format",
                "updated_at",
                "visibility",
                "self",
                "min_disk",
                "protected",
                "id",
                "file",
                "checksum",
                "owner",
                "virtual_size",
                "min_ram",
                "schema",
            ),
            list_keys=("next", "schema", "first"),
            query_order=("tag", "sort", "marker", "limit", "os_hidden"),
            visibilities=frozenset({"public", "private", "shared", "community"}),
            has_hidden_images=False,
            max_request_line=None,
        ),
        Release.GLANCE_33: ReleaseTraits(
            versions=(
                *("v2.15", "v2.13", "v2.12", "v2.11", "v2.10", "v2.9", "v2.8", "v2.17"),
                *("v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0"),
            ),
            current_version="v2.17",
            version_keys=("id", "status", "links"),
            link_keys=("rel", "href"),
            image_keys=(
                "name",
                "disk_format",
                "container_format",
                "visibility",
                "size",
                "virtual_size",
                "status",
                "checksum",
                "protected",
                "min_ram",
                "min_disk",
                "owner",
                "os_hidden",
                "os_hash_algo",
                "os_hash_value",
                "id",
                "created_at",
                "updated_at",
                "tags",
                "self",
                "file",
                "schema",
                "stores",
            ),
            list_keys=("first", "schema", "next"),
            query_order=(),
            visibilities=frozenset({"all", "public", "private", "shared", "community"}),
            has_hidden_images=True,
            max_request_line=4094,  # gunicorn's limit_request_line
        ),
    }
)

assert set(TRAITS) == set(Release)  # noqa: S101  # a release needs its traits
