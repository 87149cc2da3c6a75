"""Versions of the Image service API: their traits, and the choice of one."""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol, get_args

from exporter.glance import v1, v2
from exporter.model.api_traits import ApiName, RequestedVersion
from exporter.model.outcome import Failed, ImageResult
from exporter.model.replies import Batch
from exporter.model.responses.v2_fields import parse_json
from exporter.transport.http1 import Response

VERSIONS_PATHS = ("/", "/versions")
"""Paths of the version document, in the order to try; neither needs a token."""

OFFERED_STATUSES = frozenset({"CURRENT", "SUPPORTED", "DEPRECATED"})
"""Statuses of a version that can be used; EXPERIMENTAL promises nothing."""

DOCUMENT_CODES = frozenset({HTTPStatus.OK, HTTPStatus.MULTIPLE_CHOICES})
"""Status codes with a version document. 300 is also sent for a version that is switched off."""

_VERSION_ID = re.compile(r"(v[0-9]+)(?:\.[0-9]+)*", re.ASCII)


class SplitIntoBatches(Protocol):
    """Function that splits IDs into batches that each fit into one request."""

    def __call__(
        self, image_ids: Iterable[str], *, prefix_length: int, max_id_bytes: int | None
    ) -> tuple[tuple[str, ...], ...]:
        """Split IDs into batches."""
        ...


class BatchPath(Protocol):
    """Function that returns the path of a request for a batch."""

    def __call__(self, image_ids: Iterable[str], *, filters: str, limit: int) -> str:
        """Return the path."""
        ...


@dataclass(frozen=True, slots=True)
class BatchTraits:
    """Requests for many images at once: how to build them and how to parse the responses."""

    split: SplitIntoBatches
    path: BatchPath
    parse: Callable[[Response, Collection[str], frozenset[str] | None], Batch | Failed]
    is_splittable: Callable[[Response], bool]


@dataclass(frozen=True, slots=True)
class ApiVersion:
    """One version of the Image API: how to build its requests and how to parse the responses.

    Attributes:
        name: The version in the settings and in version documents.
        method: Method of the request for one image.
        image_path: Returns the path of the request for one image.
        parse_image: Parses the response to it.
        list_paths: Paths of lists of images that prove that the API responds; some services refuse
            the first one only.
        control_list_paths: Paths of lists of a few images, as the control of a probe.
        batches: Requests for many images at once, or ``None`` if there are none.
    """

    name: ApiName
    method: str
    image_path: Callable[[str], str]
    parse_image: Callable[[Response, str, frozenset[str] | None], ImageResult]
    list_paths: tuple[str, ...]
    control_list_paths: tuple[str, ...]
    batches: BatchTraits | None

    @property
    def list_path(self) -> str:
        """The usual path of a list of images."""
        return self.list_paths[0]

    @property
    def control_list_path(self) -> str:
        """The usual path of a list of a few images."""
        return self.control_list_paths[0]

    @property
    def responses_have_bodies(self) -> bool:
        """True if an image is described by the body of a response, and not by its headers."""
        return self.method != "HEAD"


V1 = ApiVersion(
    name="v1",
    method="HEAD",
    image_path=v1.image_path,
    parse_image=v1.parse_image,
    list_paths=(v1.LIST_PATH, v1.DETAIL_LIST_PATH),
    control_list_paths=(v1.CONTROL_LIST_PATH, v1.CONTROL_DETAIL_LIST_PATH),
    batches=None,
)
V2 = ApiVersion(
    name="v2",
    method="GET",
    image_path=v2.image_path,
    parse_image=v2.parse_image,
    list_paths=(v2.LIST_PATH,),
    control_list_paths=(v2.CONTROL_LIST_PATH,),
    batches=BatchTraits(
        split=v2.split_into_batches,
        path=v2.batch_path,
        parse=v2.parse_batch,
        is_splittable=v2.is_splittable,
    ),
)

API_VERSIONS: dict[ApiName, ApiVersion] = {version.name: version for version in (V1, V2)}
"""All versions by name, in order of preference: v1 first, because it responds to HEAD."""

assert set(API_VERSIONS) == set(get_args(ApiName)), (  # noqa: S101  # a version needs its row
    f"ApiName and API_VERSIONS differ in {set(get_args(ApiName)) ^ set(API_VERSIONS)}"
)

INITIAL = V1
"""The version to use until one has been chosen."""

PROBED = V2
"""The version whose list is requested if the endpoint has no version document."""


def parse_versions(response: Response) -> frozenset[ApiName]:
    """Return the supported versions in a version document; empty if the response is not one."""
    if response.code not in DOCUMENT_CODES:
        return frozenset()
    try:
        document = parse_json(response.body)
    except ValueError:
        return frozenset()
    entries = document.get("versions") if isinstance(document, dict) else None
    names = {_offered_version(entry) for entry in entries} if isinstance(entries, list) else set()
    return frozenset(name for name in API_VERSIONS if name in names)


def preferred_version(offered: Collection[ApiName], requested: RequestedVersion) -> ApiName | None:
    """Return the requested version, or for ``auto`` the preferred one of the offered versions."""
    if requested != "auto":
        return requested
    return next((version for version in API_VERSIONS if version in offered), None)


def _offered_version(entry: object) -> str:
    """Return ``v1`` for an entry of v1.1 that can be used, or an empty string."""
    if not isinstance(entry, dict):
        return ""
    name, status = entry.get("id"), entry.get("status")
    if not isinstance(name, str) or not isinstance(status, str) or status not in OFFERED_STATUSES:
        return ""
    match = _VERSION_ID.fullmatch(name)
    return match[1] if match else ""
