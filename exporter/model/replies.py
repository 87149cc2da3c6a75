"""Replies of the Image API client, one type for each kind of request.

They are plain data without I/O, so the polling engine can decide on them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from exporter.model.image import Image
from exporter.model.outcome import Failed, Found, ImageResult


class Deadline(NamedTuple):
    """Time limits of requests, in monotonic seconds.

    Attributes:
        latest_start: Time after which a request is no longer sent.
        end: Time by which a response must be complete.
    """

    latest_start: float
    end: float


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """Facts about one request that do not depend on its kind.

    Attributes:
        sent_at: Monotonic time at which the request was sent, or at which it failed to be sent.
        received_at: Monotonic time at which the response was complete, or the request failed.
        retry_after: Seconds for which no request may be sent to this cloud, from ``received_at``.
        retry_after_usable: False if ``Retry-After`` was too long, negative or unreadable, so that
            ``retry_after`` is the maximum instead.
        is_unavailable: ``Retry-After`` came with 503: the service is down, not limiting a rate.
        failed_at_authentication: Keystone failed, so no request was sent to the Image service.
    """

    sent_at: float
    received_at: float
    retry_after: float | None = None
    retry_after_usable: bool = True
    failed_at_authentication: bool = False
    is_unavailable: bool = False

    @property
    def retry_at(self) -> float | None:
        """Monotonic time until which no request may be sent to this cloud."""
        return None if self.retry_after is None else self.received_at + self.retry_after


@dataclass(frozen=True, slots=True)
class ImageReply:
    """The reply to a request for one image, see ``PollReply``."""

    facts: RequestFacts
    result: ImageResult
    accepted: bool = False

    @property
    def failure(self) -> Failed | None:
        """The reason why the request failed, if it did."""
        return self.result if isinstance(self.result, Failed) else None


@dataclass(frozen=True, slots=True)
class Batch:
    """One page of a list of requested images.

    ``results`` has the images on this page by ID. ``next_path`` is the path of the next page, or
    ``None`` on the last one.
    """

    results: Mapping[str, Found | Failed]
    next_path: str | None = None


@dataclass(frozen=True, slots=True)
class BatchReply:
    """The reply to a request for many images at once, see ``PollReply``.

    ``splittable`` is true if the request failed, but requests for fewer images may succeed.
    """

    facts: RequestFacts
    batch: Batch | Failed
    accepted: bool = False
    splittable: bool = False

    @property
    def failure(self) -> Failed | None:
        """The reason why the request failed, if it did."""
        return self.batch if isinstance(self.batch, Failed) else None


@dataclass(frozen=True, slots=True)
class ListReply:
    """The reply to a request for the list of images, see ``PollReply``.

    Any list, even an empty one, proves that the API responds to these credentials. ``failure`` is
    the reason why the request returned no list.
    """

    facts: RequestFacts
    failure: Failed | None = None
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of images as the control of a probe: the IDs of the images on its first page."""

    image_ids: tuple[str, ...]
    request_id: str = ""


ControlResult = ImageResult | Listed
"""Result of a request for a control: an image that should be found, or a list of images."""


@dataclass(frozen=True, slots=True)
class ProbeReply:
    """The reply to a controlled probe: control, suspect, control, on one connection.

    The probe ends with the first request after which it cannot be conclusive, so the results of the
    later ones are None.

    Attributes:
        facts: Facts of the last request, with the ``sent_at`` of the first one.
        before: Result of the control before the suspect.
        suspect: Result of the image that is in doubt.
        after: Result of the control after the suspect.
        requests: Number of requests that were sent.
        connection: Local and remote address of the connection, for people.
        used_one_connection: False if the server closed the connection between the requests, so that
            they were sent on several.
        accepted: See ``PollReply``.
        by_second_version: The probe used another version of the API than the poll, because the
            service refuses the list of that version. A 404 of one version and an image of the other
            do not contradict each other.
    """

    facts: RequestFacts
    before: ControlResult
    suspect: ImageResult | None = None
    after: ControlResult | None = None
    requests: int = 1
    connection: str = ""
    used_one_connection: bool = True
    accepted: bool = False
    by_second_version: bool = False

    @property
    def failure(self) -> Failed | None:
        """The reason why a request of the probe failed, if one did."""
        results = (self.before, self.suspect, self.after)
        return next((result for result in results if isinstance(result, Failed)), None)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a discovery listing.

    ``next_path`` is the path of the next page, or ``None`` on the last one.
    """

    images: tuple[Image, ...]
    next_path: str | None


@dataclass(frozen=True, slots=True)
class PageReply:
    """The reply to a request for one page of a discovery listing."""

    facts: RequestFacts
    page: Page | Failed


PollReply = ImageReply | BatchReply | ListReply | ProbeReply
"""The reply to a request of a poll cycle.

``accepted`` is true if the Image service itself responded and accepted the credentials.
"""
