"""HTTP responses, and the failure to get one."""

import re
from dataclasses import dataclass

from exporter.model.outcome import Failed, Reason, reason_for_status
from exporter.model.responses.v1_headers import RawHeader

_REQUEST_ID = re.compile(rb"req-[0-9a-f-]{36}")


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Status code and header fields of a response.

    Attributes:
        code: The status code.
        fields: Pairs of lower-case name and value, in the order received.
        keeps_alive: True if the server keeps the connection open after this response.
    """

    code: int
    fields: list[RawHeader]
    keeps_alive: bool

    def first(self, name: bytes) -> bytes | None:
        """Return the value of the first field with this lower-case name."""
        for field, value in self.fields:
            if field == name:
                return value
        return None

    def only(self, name: bytes) -> bytes | None:
        """Return the value of the field, or None if it is missing or has several values."""
        values = {value for field, value in self.fields if field == name}
        return values.pop() if len(values) == 1 else None

    @property
    def request_id(self) -> str:
        """``X-Openstack-Request-Id``, or an empty string if it is not in Glance's format."""
        raw = self.first(b"x-openstack-request-id")
        return raw.decode("ascii") if raw and _REQUEST_ID.fullmatch(raw) else ""


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response; ``sent_at`` and ``received_at`` are monotonic seconds."""

    head: ResponseHead
    body: bytes
    sent_at: float
    received_at: float

    def failure(self) -> Failed:
        """Return the failure that the status code means."""
        retry_after = self.head.first(b"retry-after") is not None
        reason = reason_for_status(self.head.code, retry_after)
        return Failed(reason, f"HTTP {self.head.code}", self.head.request_id)


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
