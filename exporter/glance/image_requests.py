"""Requests for single images, lists and probes by a given version of the API."""

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import NamedTuple

from exporter.glance.listing import parse_list
from exporter.glance.request_sender import RequestSender
from exporter.glance.v1 import has_image_headers, may_describe
from exporter.glance.versions import ApiVersion
from exporter.model.outcome import Failed, Found, ImageResult, NotFound
from exporter.model.replies import (
    Deadline,
    ImageReply,
    Listed,
    ListReply,
    ProbeReply,
    RequestFacts,
)
from exporter.transport.http1 import Response
from exporter.transport.pool import HeldConnection, HttpRequest

SERVICE_CODES = frozenset({400, 429})
"""Status codes that the Image service sends only after it has accepted the credentials."""

LATE_DATA_TIMEOUT = 0.05
"""Seconds to wait after a probe of v1 for bytes that follow the last response.

A server that closes the connection as requested ends the wait earlier.
"""


class ListControlReply(NamedTuple):
    """The reply to a request for a list as a control, as ``ImageReply`` is for an image."""

    facts: RequestFacts
    result: Listed | Failed
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class ImageRequests:
    """Sends requests by any version of the API; thread-safe. Failures are returned, not raised.

    Attributes:
        sender: Sends the requests.
        properties: Names of the custom properties to keep, or ``None`` for all.
    """

    sender: RequestSender
    properties: frozenset[str] | None

    def image(
        self,
        api: ApiVersion,
        image_id: str,
        deadline: Deadline,
        *,
        fresh: bool = False,
        tag: object = None,
    ) -> ImageReply:
        """Request one image. ``fresh`` uses a new connection; see ``HttpRequest`` for ``tag``."""
        request = _image_request(api, image_id, deadline)
        request = replace(request, fresh_connection=fresh, tag=tag)
        return self._image(api, image_id, request, deadline)

    def list(self, path: str, deadline: Deadline) -> ListReply:
        """Request the list of images, as proof that the API responds to these credentials."""
        facts, response = self.sender.get(path, deadline)
        images = response if isinstance(response, Failed) else parse_list(response)
        if isinstance(images, Failed):
            return ListReply(facts, images)
        return ListReply(facts, accepted=True)

    def probe(
        self,
        api: ApiVersion,
        suspect_id: str,
        control: str,
        deadline: Deadline,
        *,
        is_list: bool,
        needs_control: bool = True,
    ) -> ProbeReply:
        """Request a control, the suspect and the control again, on one fresh connection.

        ``control`` is the ID of an image, or the path of a list of images. Failures are results,
        and the probe ends with the first result after which it cannot be conclusive. Without
        ``needs_control`` the suspect is requested although the control was refused: it may be
        found.
        """
        suspect = after = None
        timeout = 0.0 if api.responses_have_bodies else LATE_DATA_TIMEOUT
        with HeldConnection(timeout) as held:
            request = _control_request(api, control, deadline, is_list=is_list)
            request = replace(request, held=held)
            before = self._control(api, control, request, deadline, is_list=is_list)
            if isinstance(before.result, Found | Listed) or not needs_control:
                of_suspect = replace(_image_request(api, suspect_id, deadline), held=held)
                suspect = self._image(api, suspect_id, of_suspect, deadline)
            if (
                suspect is not None
                and isinstance(suspect.result, NotFound)
                and isinstance(before.result, Found | Listed)
            ):
                last = replace(request, is_last=True)
                after = self._control(api, control, last, deadline, is_list=is_list)
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

    def _image(
        self, api: ApiVersion, image_id: str, request: HttpRequest, deadline: Deadline
    ) -> ImageReply:
        """Send a request for one image and parse the response."""
        facts, response = self.sender.send(request, deadline.latest_start)
        if isinstance(response, Failed):
            return ImageReply(facts, response)
        result = api.parse_image(response, image_id, self.properties)
        return ImageReply(facts, result, is_accepted(response, result))

    def _control(
        self,
        api: ApiVersion,
        control: str,
        request: HttpRequest,
        deadline: Deadline,
        *,
        is_list: bool,
    ) -> ImageReply | ListControlReply:
        """Request the control of a probe: an image, or a list of images."""
        if not is_list:
            return self._image(api, control, request, deadline)
        facts, response = self.sender.send(request, deadline.latest_start)
        if isinstance(response, Failed):
            return ListControlReply(facts, response)
        images = parse_list(response)
        if isinstance(images, Failed):
            return ListControlReply(facts, images, is_accepted(response, images))
        listed = Listed(images.image_ids, response.request_id)
        return ListControlReply(facts, listed, accepted=True)


def is_accepted(response: Response, result: ImageResult) -> bool:
    """Return True if the Image service itself responded and accepted the credentials.

    A gateway in front of it also sends 400 and 429, but without a request ID. A login portal may
    send any 200, so a 200 needs headers of an image. Malformed headers count too, because the name
    of an image may garble them.
    """
    code = response.code
    if code in SERVICE_CODES:
        return bool(response.request_id)
    return isinstance(result, Found) or (code == HTTPStatus.OK and has_image_headers(response))


def without_list(reply: ProbeReply, why: str) -> ProbeReply:
    """Return the reply to a probe whose control was a list that proves nothing."""
    return replace(reply, before=Failed("unconfirmed", why), after=None)


def _image_request(api: ApiVersion, image_id: str, deadline: Deadline) -> HttpRequest:
    return HttpRequest(
        api.method,
        api.image_path(image_id),
        deadline.end,
        matches_request=lambda response: may_describe(response, image_id),
    )


def _control_request(
    api: ApiVersion, control: str, deadline: Deadline, *, is_list: bool
) -> HttpRequest:
    if is_list:
        return HttpRequest("GET", control, deadline.end)
    return _image_request(api, control, deadline)


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
