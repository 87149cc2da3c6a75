"""HTTP responses, and the failure to get one."""

import re
from dataclasses import dataclass

from exporter.model.outcome import Failed, Reason, reason_for_status

_REQUEST_ID = re.compile(rb"req-[0-9a-f-]{36}")


@dataclass(slots=True)
class Response:
    """A response. ``http1`` creates it from the head, and adds the rest as it is read.

    Attributes:
        code: The status code.
        headers: Pairs of lower-case name and value, in the order received. A line that is not a
            header has an empty name.
        keeps_alive: True if the server keeps the connection open after this response.
        body: The body, without the framing of its chunks.
        has_trailing_data: True if the server sent bytes after the end of the response.
        sent_at: Monotonic time at which the request was sent.
        received_at: Monotonic time at which the response was complete.
    """

    code: int
    headers: list[tuple[bytes, bytes]]
    keeps_alive: bool = True
    body: bytes = b""
    has_trailing_data: bool = False
    sent_at: float = 0.0
    received_at: float = 0.0

    def first(self, name: bytes) -> bytes | None:
        """Return the value of the first header with this lower-case name."""
        for header, value in self.headers:
            if header == name:
                return value
        return None

    def only(self, name: bytes) -> bytes | None:
        """Return the value of the header, or None if it is missing or has several values."""
        values = {value for header, value in self.headers if header == name}
        return values.pop() if len(values) == 1 else None

    @property
    def request_id(self) -> str:
        """``X-Openstack-Request-Id``, or an empty string if it is not in Glance's format."""
        raw = self.first(b"x-openstack-request-id")
        return raw.decode("ascii") if raw and _REQUEST_ID.fullmatch(raw) else ""

    def failure(self) -> Failed:
        """Return the failure that the status code means."""
        retry_after = self.first(b"retry-after") is not None
        reason = reason_for_status(self.code, retry_after)
        return Failed(reason, f"HTTP {self.code}", self.request_id)


class RequestFailed(Exception):  # noqa: N818  # the usual name of this failure
    """A request without a usable response.

    Attributes:
        reason: The failure reason, as in the label ``reason``.
        detail: One line for the log.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
