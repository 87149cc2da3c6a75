"""One request's end: an answer, or none."""

from dataclasses import dataclass

from exporter.glance.head import Head


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server sent. Times are steady seconds: request sent, answer complete."""

    head: Head
    body: bytes
    sent_at: float
    received_at: float


class NoAnswer(Exception):  # noqa: N818  # says what there is, not that we erred
    """There is no answer that can be read; ``reason`` is a key of ``REASONS``."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
