"""One request's end: an answer, or none."""

from dataclasses import dataclass

from exporter.model.outcome import Reason
from exporter.transport.head import ResponseHead


@dataclass(frozen=True, slots=True)
class Response:
    """What the server sent. Times are steady seconds: request sent, answer complete."""

    head: ResponseHead
    body: bytes
    sent_at: float
    received_at: float


class RequestFailed(Exception):  # noqa: N818  # says what there is, not that we erred
    """There is no answer that can be read; ``reason`` is a key of ``REASONS``."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
