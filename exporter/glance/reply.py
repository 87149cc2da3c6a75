"""A question's window of time, and what it came to."""

from dataclasses import dataclass
from typing import NamedTuple

from exporter.glance.v2 import Batch
from exporter.image.outcome import Reading


class Window(NamedTuple):
    """When one question may be asked, in steady seconds: begun by then, answered by the end."""

    start_by: float
    end: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What one question came to.

    ``reading`` is of an image, or why there is no answer; ``listed`` is of the list that proves
    the API. ``accepted`` says that the Image service itself answered with these credentials.
    Times are steady seconds; ``wait`` is how long the service asks the whole cloud to wait, and
    ``wait_as_told`` that this is the wait it named. ``batch`` is one page of a batch, where it
    was listed; ``splits`` says that smaller batches may do better.
    """

    reading: Reading | None
    sent_at: float
    received_at: float
    listed: bool = False
    accepted: bool = False
    wait: float | None = None
    wait_as_told: bool = True
    batch: Batch | None = None
    splits: bool = False
