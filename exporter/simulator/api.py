"""What Glance answers to a request: v1 as Glance 15 does, v2 as Glance 33 does.

A path is one row of ROUTES. Images cannot be changed by requests, only in ``images``.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import parse_qs, urlencode

from exporter.simulator.image import OWNER, SimulatedImage
from exporter.simulator.images import SimulatedImages
from exporter.simulator.listing import DEFAULT_LIMIT, Caller, page
from exporter.simulator.request import Request
from exporter.simulator.response import (
    LONGEST_LINE,
    SimulatedResponse,
    document,
    finished,
    listing,
    recorded,
    refusal,
    too_long,
)

Handler: TypeAlias = "Callable[[ImageApi, Request, str], SimulatedResponse]"

V2_VERSIONS = ("v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0")
V1_VERSIONS = ("v1.1", "v1.0")


@dataclass
class ImageApi:
    """The state of a simulated Image service; all of it may change while it answers.

    Attributes:
        images: the images it knows.
        tokens: those it accepts, None for a service without authentication.
        admin: whether callers are administrators, who see deleted images by v1, and those
            of all projects by v2.
        project: that of the callers; v1 is not strict about it.
        v1_enabled: False answers 300 to all of v1, as ``enable_v1_api = False`` does.
        page_limit: the most images in one list (``api_limit_max``).
        path_prefix: what stands before the version, ``/image`` for example.
        url: what the version documents say, without the prefix.
        replays: raw answers by image ID; they come before all the rest.
    """

    images: SimulatedImages
    tokens: frozenset[str] | None = None
    admin: bool = False
    project: str = OWNER
    v1_enabled: bool = True
    page_limit: int = 1000
    path_prefix: str = ""
    url: str = ""
    replays: dict[str, bytes] = field(default_factory=dict)

    def answer(self, request: Request) -> SimulatedResponse:
        """The answer of a service that works."""
        raw = self.replays.get(request.image_id or "")
        if raw is not None:
            return recorded(raw)
        path = re.sub("//+", "/", request.target.partition("?")[0])
        if not path.startswith(self.path_prefix):
            return refuse(404, request)
        if path.startswith(f"{self.path_prefix}/v2/") and len(request.line) > LONGEST_LINE:
            return too_long(len(request.line))
        methods, handler, subject = self._route(path.removeprefix(self.path_prefix))
        if handler not in (_versions, _choices) and not self._accepts(request):
            challenge = {"Www-Authenticate": f"Keystone uri='{self.url}'"}
            return refuse(401, request, headers=challenge)
        if methods and request.method not in methods.split(", "):
            return refuse(405, request, headers={"Allow": methods})
        return handler(self, request, subject)

    def _route(self, path: str) -> tuple[str, Handler, str]:
        if self.v1_enabled or not path.startswith("/v1"):
            for pattern, methods, handler in ROUTES:
                if match := pattern.fullmatch(path):
                    return methods, handler, match[1] if match.lastindex else ""
        return "", _choices, ""

    def visible(self, image_id: str) -> SimulatedImage | None:
        """The image of this ID if v1 shows it to the callers."""
        image = self.images.get(image_id)
        return image if image and (self.admin or not image.deleted) else None

    @property
    def caller(self) -> Caller:
        """Whom v2 answers."""
        return Caller(self.project, self.admin)

    def _accepts(self, request: Request) -> bool:
        return self.tokens is None or request.headers.get("x-auth-token") in self.tokens

    def versions(self) -> bytes:
        """The version document: v1 is in it while it is switched on."""
        rows = [(name, "SUPPORTED", "v2") for name in V2_VERSIONS]
        rows[0] = (V2_VERSIONS[0], "CURRENT", "v2")
        if self.v1_enabled:
            rows += [(name, "DEPRECATED", "v1") for name in V1_VERSIONS]
        base = self.url + self.path_prefix
        entries = [
            {"status": status, "id": name, "links": [{"href": f"{base}/{path}/", "rel": "self"}]}
            for name, status, path in rows
        ]
        return json.dumps({"versions": entries}).encode()


def refuse(
    status: int, request: Request, detail: str = "", headers: dict[str, str] | None = None
) -> SimulatedResponse:
    """A refusal of a request in the form its method calls for."""
    return refusal(
        status,
        method=request.method,
        detail=detail,
        headers=headers,
        closes=request.closes,
    )


def _image(api: ImageApi, request: Request, image_id: str) -> SimulatedResponse:
    image = api.visible(image_id)
    if image is None:
        detail = f"Image with identifier {image_id} not found"
        return refuse(404, request, detail, {"Content-Type": "text/plain; charset=UTF-8"})
    return SimulatedResponse(
        200, finished(image.v1_head, closes=request.closes), b"", request.closes
    )


def _list(api: ImageApi, request: Request, detail: str) -> SimulatedResponse:
    query = parse_qs(request.target.partition("?")[2], keep_blank_values=True)
    text = query.get("limit", [str(DEFAULT_LIMIT)])[-1]
    if not (text.isascii() and text.isdigit()):
        return refuse(400, request, "limit param must be a positive integer")
    limit = min(int(text), api.page_limit)
    shown = [image for image in api.images.all() if not image.deleted]
    if marker := query.get("marker", [""])[-1]:
        ids = [image.id for image in shown]
        if marker not in ids:
            return refuse(400, request, "Invalid marker. Image could not be found.")
        shown = shown[ids.index(marker) + 1 :]
    entry = SimulatedImage.v1_detail if detail else SimulatedImage.v1_brief
    body = json.dumps({"images": [entry(image) for image in shown[:limit]]}).encode()
    return listing(body, closes=request.closes)


def _image_v2(api: ImageApi, request: Request, image_id: str) -> SimulatedResponse:
    if request.method != "GET":
        return refuse(403, request)
    image = api.images.get(image_id)
    if image is None or not api.caller.sees(image):
        return refuse(404, request, f"No image found with ID {image_id}")
    return listing(image.v2_body, closes=request.closes)


def _list_v2(api: ImageApi, request: Request, _: str) -> SimulatedResponse:
    if request.method != "GET":
        return refuse(403, request)
    query = parse_qs(request.target.partition("?")[2], keep_blank_values=True)
    try:
        found = page(api.images.all(), query, api.caller, api.page_limit)
    except ValueError as error:
        return refuse(400, request, str(error))
    # Of a parameter that stands twice Glance repeats only the last value.
    again = {key: values[-1] for key, values in query.items() if key != "marker"}
    ends = {"first": _v2_link(again), "schema": "/v2/schemas/images"}
    if found.marker:
        ends["next"] = _v2_link(again | {"marker": found.marker})
    documents = b", ".join(image.v2_body for image in found.images)
    body = b'{"images": [' + documents + b"], " + json.dumps(ends).encode()[1:]
    return listing(body, closes=request.closes)


def _v2_link(query: dict[str, str]) -> str:
    return f"/v2/images?{urlencode(query)}" if query else "/v2/images"


def _versions(api: ImageApi, request: Request, _: str) -> SimulatedResponse:
    return document(200, api.versions(), method=request.method, closes=request.closes)


def _choices(api: ImageApi, request: Request, _: str) -> SimulatedResponse:
    return document(300, api.versions(), method=request.method, closes=request.closes)


def _not_found(_api: ImageApi, request: Request, _: str) -> SimulatedResponse:
    return refuse(404, request)


# Path, the methods it has (as its Allow says; empty: any), and who answers. The first
# that matches the whole path; what matches none is 300, as on a real server.
ROUTES: tuple[tuple[re.Pattern[str], str, Handler], ...] = (
    (re.compile(r"/v1(?:\.\d)?/images/(?!detail$)([^/]+)"), "HEAD", _image),
    (re.compile(r"/v1(?:\.\d)?/images(?:/(detail))?"), "GET", _list),
    (re.compile(r"/versions"), "", _versions),
    (re.compile(r"/v2/images/([^/]+)"), "GET, PATCH, DELETE", _image_v2),
    (re.compile(r"/v2/images"), "GET, POST", _list_v2),
    (re.compile(r"/v[12](?:\.\d)?/.*"), "", _not_found),
)
