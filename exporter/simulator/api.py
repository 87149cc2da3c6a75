"""The responses of Glance's API: v1 as in Glance 15, v2 as in the release to imitate.

Every path is one row of ROUTES. Requests cannot change images; use ``images`` for that.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias
from urllib.parse import parse_qs, urlencode

from exporter.simulator.image import OWNER, ImageSource, SimulatedImage
from exporter.simulator.listing import DEFAULT_LIMIT, Caller, page
from exporter.simulator.release import Release, ordered
from exporter.simulator.request import ReceivedRequest
from exporter.simulator.response import (
    SimulatedResponse,
    error_response,
    finish_head,
    json_response,
    line_too_long_response,
    raw_response,
    version_response,
)

Endpoint: TypeAlias = "Callable[[ImageApi, ReceivedRequest, str], SimulatedResponse]"
"""A function that responds to a request; the text is the variable part of its path."""

V1_VERSIONS = ("v1.1", "v1.0")


class TokenService(Protocol):
    """A service that validates tokens, such as a simulated Keystone."""

    def accepts(self, token: str | None) -> bool:
        """Return True if the token is valid."""


@dataclass
class ImageApi:
    """The state of a simulated Image service; it may be changed while the service runs.

    Attributes:
        images: the images.
        tokens: the accepted tokens; None for a service without authentication.
        keystone: the service that validates tokens, instead of ``tokens``.
        admin: True if callers are administrators. They see deleted images in v1, and images
            of all projects in v2.
        project: the project of the callers; v1 does not restrict images to it.
        v1_enabled: False responds with 300 to all of v1, as ``enable_v1_api = False`` does.
        page_limit: the most images in one page of a list (``api_limit_max``).
        path_prefix: the path in front of the version, ``/image`` for example.
        project_segment: the path between version and resource at a gateway that serves nothing
            else, ``/p1`` for example.
        url: the URL in the version documents, without the prefix.
        release: the release that API v2 and the version document are those of.
        replays: raw responses by image ID. They take precedence over everything else.
    """

    images: ImageSource
    tokens: frozenset[str] | None = None
    keystone: TokenService | None = None
    admin: bool = False
    project: str = OWNER
    v1_enabled: bool = True
    page_limit: int = 1000
    path_prefix: str = ""
    project_segment: str = ""
    url: str = ""
    release: Release = Release.GLANCE_33
    replays: dict[str, bytes] = field(default_factory=dict)

    def respond(self, request: ReceivedRequest) -> SimulatedResponse:
        """Return the response of a service that works."""
        raw = self.replays.get(request.image_id or "")
        if raw is not None:
            return raw_response(raw)
        path = self._api_path(request)
        if path is None:
            return _error(404, request)
        limit = self.release.traits.max_request_line
        if limit and path.startswith("/v2/") and len(request.line) > limit:
            return line_too_long_response(len(request.line), limit)
        methods, endpoint, subject = self._route(path)
        if endpoint not in (_versions, _multiple_choices) and not self._is_authorized(request):
            challenge = {"Www-Authenticate": f"Keystone uri='{self.url}'"}
            return _error(401, request, headers=challenge)
        if methods and request.method not in methods.split(", "):
            return _error(405, request, headers={"Allow": methods})
        return endpoint(self, request, subject)

    def _api_path(self, request: ReceivedRequest) -> str | None:
        """Return the path without prefix and project, None if the service is elsewhere."""
        path = re.sub("//+", "/", request.path)
        if not path.startswith(self.path_prefix):
            return None
        path = path.removeprefix(self.path_prefix)
        if not self.project_segment:
            return path
        version, segment, resource = path.partition(self.project_segment)
        return version + resource if segment and version in {"/v1", "/v2"} else None

    def _route(self, path: str) -> tuple[str, Endpoint, str]:
        if self.v1_enabled or not path.startswith("/v1"):
            for pattern, methods, endpoint in ROUTES:
                if match := pattern.fullmatch(path):
                    return methods, endpoint, match[1] if match.lastindex else ""
        return "", _multiple_choices, ""

    def visible(self, image_id: str) -> SimulatedImage | None:
        """Return the image with this ID if v1 shows it to the callers."""
        image = self.images.get(image_id)
        return image if image and (self.admin or not image.deleted) else None

    @property
    def caller(self) -> Caller:
        """Return the caller of v2 requests."""
        return Caller(self.project, self.admin)

    def _is_authorized(self, request: ReceivedRequest) -> bool:
        token = request.headers.get("x-auth-token")
        if self.keystone is not None:
            return self.keystone.accepts(token)
        return self.tokens is None or token in self.tokens

    def version_document(self) -> bytes:
        """Return the version document; it lists v1 while v1 is enabled."""
        traits = self.release.traits
        rows = [
            (name, "CURRENT" if name == traits.current_version else "SUPPORTED")
            for name in traits.versions
        ]
        if self.v1_enabled:
            rows += [(name, "DEPRECATED") for name in V1_VERSIONS]
        entries = []
        for name, status in rows:
            href = f"{self.url}{self.path_prefix}/{name.partition('.')[0]}/"
            link = ordered({"href": href, "rel": "self"}, traits.link_keys)
            entry = {"id": name, "status": status, "links": [link]}
            entries.append(ordered(entry, traits.version_keys))
        return json.dumps({"versions": entries}).encode()


def _error(
    status: int,
    request: ReceivedRequest,
    *,
    explanation: str = "",
    detail: str = "",
    headers: dict[str, str] | None = None,
) -> SimulatedResponse:
    return error_response(
        status,
        method=request.method,
        explanation=explanation,
        detail=detail,
        headers=headers,
        closes=request.closes,
    )


def _v1_image(api: ImageApi, request: ReceivedRequest, image_id: str) -> SimulatedResponse:
    image = api.visible(image_id)
    if image is None:
        detail = f"Image with identifier {image_id} not found"
        headers = {"Content-Type": "text/plain; charset=UTF-8"}
        return _error(404, request, detail=detail, headers=headers)
    head = finish_head(image.v1_head, closes=request.closes)
    return SimulatedResponse(200, head, b"", request.closes)


def _v1_list(api: ImageApi, request: ReceivedRequest, detail: str) -> SimulatedResponse:
    query = parse_qs(request.query, keep_blank_values=True)
    limit_text = query.get("limit", [str(DEFAULT_LIMIT)])[-1]
    if not (limit_text.isascii() and limit_text.isdigit()):
        return _error(400, request, detail="limit param must be a positive integer")
    limit = min(int(limit_text), api.page_limit)
    images = [image for image in api.images.all() if not image.deleted]
    if marker := query.get("marker", [""])[-1]:
        ids = [image.id for image in images]
        if marker not in ids:
            return _error(400, request, detail="Invalid marker. Image could not be found.")
        images = images[ids.index(marker) + 1 :]
    entry = SimulatedImage.v1_detail if detail else SimulatedImage.v1_brief
    body = json.dumps({"images": [entry(image) for image in images[:limit]]}).encode()
    return json_response(body, closes=request.closes)


def _v2_image(api: ImageApi, request: ReceivedRequest, image_id: str) -> SimulatedResponse:
    if request.method != "GET":
        return _error(403, request)
    image = api.images.get(image_id)
    if image is None or not api.caller.sees(image):
        return _error(404, request, explanation=f"No image found with ID {image_id}")
    return json_response(image.v2_body(api.release), closes=request.closes)


def _v2_list(api: ImageApi, request: ReceivedRequest, _: str) -> SimulatedResponse:
    if request.method != "GET":
        return _error(403, request)
    query = parse_qs(request.query, keep_blank_values=True)
    try:
        result = page(api.images.all(), query, api.caller, api.page_limit, api.release)
    except ValueError as error:
        return _error(400, request, explanation=str(error))
    # Glance repeats only the last value of a parameter that is given more than once.
    parameters = {key: values[-1] for key, values in query.items() if key != "marker"}
    traits = api.release.traits
    links = {"first": _v2_link(parameters, traits.query_order), "schema": "/v2/schemas/images"}
    if result.marker:
        links["next"] = _v2_link(parameters | {"marker": result.marker}, traits.query_order)
    documents = b", ".join(image.v2_body(api.release) for image in result.images)
    following = json.dumps(ordered(links, traits.list_keys)).encode()
    body = b'{"images": [' + documents + b"], " + following[1:]
    return json_response(body, closes=request.closes)


def _v2_link(query: dict[str, str], order: Sequence[str]) -> str:
    parameters = ordered(query, dict.fromkeys((*order, *query)))
    return f"/v2/images?{urlencode(parameters)}" if parameters else "/v2/images"


def _versions(api: ImageApi, request: ReceivedRequest, _: str) -> SimulatedResponse:
    document = api.version_document()
    return version_response(200, document, method=request.method, closes=request.closes)


def _multiple_choices(api: ImageApi, request: ReceivedRequest, _: str) -> SimulatedResponse:
    document = api.version_document()
    return version_response(300, document, method=request.method, closes=request.closes)


def _not_found(_api: ImageApi, request: ReceivedRequest, _: str) -> SimulatedResponse:
    return _error(404, request)


# A path, its methods (as in its Allow header; empty for any) and its endpoint. The first
# row that matches the whole path counts; other paths get 300, as from a real server.
ROUTES: tuple[tuple[re.Pattern[str], str, Endpoint], ...] = (
    (re.compile(r"/v1(?:\.\d)?/images/(?!detail$)([^/]+)"), "HEAD", _v1_image),
    (re.compile(r"/v1(?:\.\d)?/images(?:/(detail))?"), "GET", _v1_list),
    (re.compile(r"/versions"), "", _versions),
    (re.compile(r"/v2/images/([^/]+)"), "GET, PATCH, DELETE", _v2_image),
    (re.compile(r"/v2/images"), "GET, POST", _v2_list),
    (re.compile(r"/v[12](?:\.\d)?/.*"), "", _not_found),
)
