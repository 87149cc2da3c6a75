"""Client of one cloud's Image API: one method for each kind of request."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import NamedTuple

from exporter.clock import steady
from exporter.glance.capabilities import Capabilities, parameters
from exporter.glance.discovery_listing import parse_page
from exporter.glance.list_filters import ListFilters, choose_filters, refused_visibility
from exporter.glance.listing import PAGE_LIMIT, parse_list
from exporter.glance.request_sender import RequestSender
from exporter.glance.v1 import has_image_headers, may_describe
from exporter.glance.versions import (
    API_VERSIONS,
    INITIAL,
    PROBED,
    VERSIONS_PATHS,
    ApiVersion,
    parse_versions,
    preferred_version,
)
from exporter.model.api_traits import ApiName, RequestedVersion
from exporter.model.outcome import Failed, Found, ImageResult, NotFound
from exporter.model.replies import (
    BatchReply,
    Deadline,
    ImageReply,
    Listed,
    ListReply,
    PageReply,
    ProbeReply,
    RequestFacts,
)
from exporter.transport.http1 import Response
from exporter.transport.pool import HeldConnection, HttpRequest

PLAIN_LIST = "/v2/images?limit=1"
"""A list without parameters that a service may lack: the control when parameters are tried."""

SERVICE_CODES = frozenset({400, 429})
"""Status codes that the Image service sends only after it has accepted the credentials."""

LATE_DATA_TIMEOUT = 0.05
"""Seconds to wait after a probe of v1 for bytes that follow the last response, see ``end_cycle``.

A server that closes the connection as requested ends the wait earlier.
"""


class _ListControlReply(NamedTuple):
    """The reply to a request for a list as a control, as ``ImageReply`` is for an image."""

    facts: RequestFacts
    result: Listed | Failed
    accepted: bool = False


@dataclass(slots=True)
class ImageClient:
    """Client of one cloud's Image API; thread-safe. Failures are returned in replies, not raised.

    Attributes:
        sender: Sends the requests.
        properties: Names of the custom properties to keep, or ``None`` for all.
        requested_version: The configured API version, or ``auto``.
        version: The API version in use, or ``None`` until one has been chosen.
        capabilities: Capabilities of the endpoint, as far as refused requests have shown them.
    """

    sender: RequestSender
    properties: frozenset[str] | None
    requested_version: RequestedVersion = "auto"
    version: ApiName | None = None
    capabilities: Capabilities = field(default_factory=Capabilities)
    _is_version_refused: bool = field(init=False, default=False)
    _endpoint: str | None = field(init=False, default=None)
    _is_plain_list_refused: bool = field(init=False, default=False)
    _trial: threading.Lock = field(init=False, default_factory=threading.Lock)

    def image(
        self, image_id: str, deadline: Deadline, *, fresh: bool = False, tag: object = None
    ) -> ImageReply:
        """Request one image. ``fresh`` uses a new connection; see ``HttpRequest`` for ``tag``."""
        request = self._image_request(image_id, deadline)
        return self._image(image_id, replace(request, fresh_connection=fresh, tag=tag), deadline)

    def batch(
        self,
        image_ids: tuple[str, ...],
        deadline: Deadline,
        *,
        second: bool,
        page: str | None,
        fresh: bool = False,
    ) -> BatchReply:
        """Request many images together, by the first or the ``second`` list of ``ListFilters``.

        ``page`` is the path of a further page, as the previous reply named it, and ``fresh`` uses a
        new connection. If the service refuses a parameter, the list is requested again without it.
        """
        batches = self._api.batches
        if batches is None:
            failed = Failed("api_version", f"API {self._api.name} has no lists by ID")
            return BatchReply(RequestFacts(steady(), steady()), failed)
        filters = self.list_filters
        query_filters = filters.second_list if second else filters.first_list
        path = page or batches.path(image_ids, filters=query_filters, limit=PAGE_LIMIT)
        known = self.capabilities.refused
        facts, response = self._get_list(path, deadline, fresh=fresh)
        if isinstance(response, Failed):
            return BatchReply(facts, response)
        is_bad_request = response.code == HTTPStatus.BAD_REQUEST
        if page is None and is_bad_request and self.capabilities.refused > known:
            return self.batch(image_ids, deadline, second=second, page=None, fresh=fresh)
        batch = batches.parse(response, image_ids, self.properties)
        if not isinstance(batch, Failed):
            return BatchReply(facts, batch, accepted=True)
        if batch.reason == "api_version":
            self._is_version_refused = True
        if response.code == HTTPStatus.NOT_FOUND:
            # A 404 for the list proves nothing, so report it as unconfirmed.
            batch = Failed("unconfirmed", "the list of images is 404", batch.request_id)
        accepted = _is_accepted(response, batch)
        return BatchReply(facts, batch, accepted, batches.is_splittable(response))

    def list(self, deadline: Deadline) -> ListReply:
        """Request the list of images, as proof that the API responds to these credentials."""
        facts, response = self.sender.get(self._api.list_path, deadline)
        images = response if isinstance(response, Failed) else parse_list(response)
        if isinstance(images, Failed):
            return ListReply(facts, images)
        return ListReply(facts, accepted=True)

    def probe(self, suspect_id: str, control_id: str | None, deadline: Deadline) -> ProbeReply:
        """Request a control, the suspect and the control again, on one fresh connection.

        ``control_id`` is the ID of an image, or None for a list of images. Failures are results,
        and the probe ends with the first result after which it cannot be conclusive.
        """
        suspect = after = None
        with HeldConnection(self._late_data_timeout) as held:
            before = self._control(control_id, deadline, held)
            if isinstance(before.result, Found | Listed):
                request = replace(self._image_request(suspect_id, deadline), held=held)
                suspect = self._image(suspect_id, request, deadline)
            if suspect is not None and isinstance(suspect.result, NotFound):
                after = self._control(control_id, deadline, held, is_last=True)
            is_followed_by_data = held.is_followed_by_data()
        replies = [reply for reply in (before, suspect, after) if reply is not None]
        reply = ProbeReply(
            facts=replace(replies[-1].facts, sent_at=before.facts.sent_at),
            before=before.result,
            suspect=suspect.result if suspect is not None else None,
            after=after.result if after is not None else None,
            requests=held.requests,
            connection=held.addresses,
            used_one_connection=held.opened <= 1,
            accepted=any(reply.accepted for reply in replies),
        )
        return _without_last_result(reply) if is_followed_by_data else reply

    def page(self, path: str, deadline: Deadline, properties: frozenset[str]) -> PageReply:
        """Request one page of a discovery listing, always from v2, whichever version is in use."""
        facts, response = self._get_list(path, deadline)
        if isinstance(response, Failed):
            return PageReply(facts, response)
        return PageReply(facts, parse_page(response, properties))

    def split_into_batches(self, image_ids: Iterable[str]) -> tuple[tuple[str, ...], ...]:
        """Return the IDs in batches for ``batch``; empty if the API has no such requests."""
        batches = self._api.batches
        if batches is None:
            return ()
        return batches.split(image_ids, prefix_length=self.sender.prefix_length)

    def choose_version(self, deadline: Deadline) -> RequestFacts | None:
        """Choose the API version if none is in use, or if the one in use was refused.

        The version in use is kept unless the service offers another one. A configured version needs
        no request. Returns the facts of the last request, if there was one: the service may have
        sent ``Retry-After``.
        """
        if self.version is not None and not self._is_version_refused:
            return None
        facts, version = None, preferred_version((), self.requested_version)
        if version is None:
            facts, offered = self._request_versions(deadline)
            version = preferred_version(offered, self.requested_version)
        if version is not None:
            self._is_version_refused = False
            if self.version not in {None, version}:
                # Another release may have other capabilities.
                self.capabilities = Capabilities()
            self.version = version
        return facts

    def start_cycle(self) -> None:
        """Prepare for the requests of a cycle."""
        endpoint = self.sender.endpoint
        if self._endpoint not in {None, endpoint}:
            self.capabilities = Capabilities()
        self._endpoint = endpoint
        self.capabilities = self.capabilities.at(steady())
        self._is_plain_list_refused = False
        self.sender.start_cycle()

    def end_cycle(self, grace: float) -> None:
        """Look for bytes that followed a response, on idle connections.

        v1 describes an image in headers, where the text of a tenant could forge the end of a
        response. The rest of it may arrive late, so wait ``grace`` seconds for it. v2 uses bodies
        of a known length, so check without waiting.
        """
        self.sender.check_idle(0.0 if self._api.responses_have_bodies else grace)

    def close(self) -> None:
        """Close every connection, including those with a request in flight."""
        self.sender.close()

    @property
    def list_filters(self) -> ListFilters:
        """The filters of lists that the service has not refused."""
        return choose_filters(self.capabilities.refused_visibilities)

    def _image_request(self, image_id: str, deadline: Deadline) -> HttpRequest:
        return HttpRequest(
            self._api.method,
            self._api.image_path(image_id),
            deadline.end,
            matches_request=lambda response: may_describe(response, image_id),
        )

    def _image(self, image_id: str, request: HttpRequest, deadline: Deadline) -> ImageReply:
        """Send a request for one image and parse the response."""
        api = self._api
        facts, response = self.sender.send(request, deadline.latest_start)
        if isinstance(response, Failed):
            return ImageReply(facts, response)
        result = api.parse_image(response, image_id, self.properties)
        if isinstance(result, Failed) and result.reason == "api_version":
            self._is_version_refused = True
        elif isinstance(result, Found) and self.version is None:
            # No version document offers this version, but the service responds to it.
            self.version = api.name
        return ImageReply(facts, result, _is_accepted(response, result))

    def _control(
        self,
        control_id: str | None,
        deadline: Deadline,
        held: HeldConnection,
        *,
        is_last: bool = False,
    ) -> "ImageReply | _ListControlReply":
        """Request the control of a probe: an image, or a list of images."""
        if control_id is not None:
            request = self._image_request(control_id, deadline)
            return self._image(control_id, replace(request, held=held, is_last=is_last), deadline)
        path = self._api.control_list_path
        request = HttpRequest("GET", path, deadline.end, held=held, is_last=is_last)
        facts, response = self.sender.send(request, deadline.latest_start)
        if isinstance(response, Failed):
            return _ListControlReply(facts, response)
        images = parse_list(response)
        if isinstance(images, Failed):
            return _ListControlReply(facts, images, _is_accepted(response, images))
        listed = Listed(images.image_ids, response.request_id)
        return _ListControlReply(facts, listed, accepted=True)

    @property
    def _late_data_timeout(self) -> float:
        return 0.0 if self._api.responses_have_bodies else LATE_DATA_TIMEOUT

    def _get_list(
        self, path: str, deadline: Deadline, *, fresh: bool = False
    ) -> tuple[RequestFacts, Response | Failed]:
        """Request a list without the parameters that the service has refused.

        After a 400, find out which other parameters it refuses; the caller requests it again.
        """
        path = self.capabilities.accepted_path(path)
        request = HttpRequest("GET", path, deadline.end, fresh_connection=fresh)
        facts, response = self.sender.send(request, deadline.latest_start)
        if isinstance(response, Response) and response.code == HTTPStatus.BAD_REQUEST:
            named = f"visibility={refused_visibility(response)}"
            with self._trial:
                if any(named == name for name, _ in parameters(path)):
                    self.capabilities = self.capabilities.with_refused(named, steady())
                else:
                    self._try_parameters(path, deadline)
        return facts, response

    def _try_parameters(self, path: str, deadline: Deadline) -> None:
        """Find out which parameters of a list that was refused with 400 are to blame.

        Each is tried by itself in a short list, after that list without it: the path may have been
        too long, or all lists may be refused.
        """
        untried = self.capabilities.untried(path)
        if not untried or self._is_plain_list_refused:
            return
        if self._code_of(PLAIN_LIST, deadline) != HTTPStatus.OK:
            self._is_plain_list_refused = True
            return
        for name, query in untried:
            match self._code_of(f"{PLAIN_LIST}&{query}", deadline):
                case HTTPStatus.BAD_REQUEST:
                    self.capabilities = self.capabilities.with_refused(name, steady())
                case HTTPStatus.OK:
                    self.capabilities = self.capabilities.with_accepted(name, steady())

    def _code_of(self, path: str, deadline: Deadline) -> int | None:
        """Return the status code of the response to a GET request, None without a response."""
        _, response = self.sender.get(path, deadline)
        return None if isinstance(response, Failed) else response.code

    @property
    def _api(self) -> ApiVersion:
        return API_VERSIONS[self.version] if self.version else INITIAL

    def _request_versions(self, deadline: Deadline) -> tuple[RequestFacts, frozenset[ApiName]]:
        """Return the facts of the last request, and the versions that the endpoint offers.

        An endpoint without a version document offers the probed version if its list responds, also
        if the list cannot be decompressed: polls then report that.
        """
        for path in VERSIONS_PATHS:
            facts, response = self.sender.get(path, deadline, warms_token=False)
            if isinstance(response, Failed):
                # The other paths would fail as well.
                return facts, frozenset()
            offered = parse_versions(response)
            if offered or facts.retry_after is not None:
                return facts, offered
        facts, response = self.sender.get(PROBED.list_path, deadline)
        if isinstance(response, Failed):
            return facts, frozenset()
        is_list = not isinstance(parse_list(response), Failed)
        is_unreadable = response.code == HTTPStatus.OK and bool(response.compressed)
        return facts, frozenset({PROBED.name}) if is_list or is_unreadable else frozenset()


def _without_last_result(reply: ProbeReply) -> ProbeReply:
    """Replace the last result of a probe by a failure, because data followed the last response.

    An earlier response on the connection may have been forged, and this is the rest of it.
    """
    failed = Failed("malformed", "unexpected data after the last response of a probe")
    if reply.after is not None:
        return replace(reply, after=failed)
    if reply.suspect is not None:
        return replace(reply, suspect=failed)
    return replace(reply, before=failed)


def _is_accepted(response: Response, result: ImageResult) -> bool:
    """Return True if the Image service itself responded and accepted the credentials.

    A gateway in front of it also sends 400 and 429, but without a request ID. A login portal may
    send any 200, so a 200 needs headers of an image. Malformed headers count too, because the name
    of an image may garble them.
    """
    code = response.code
    if code in SERVICE_CODES:
        return bool(response.request_id)
    return isinstance(result, Found) or (code == HTTPStatus.OK and has_image_headers(response))
