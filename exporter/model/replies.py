"""A question's window of time, and what it came to."""

from dataclasses import dataclass
from typing import NamedTuple, cast

from exporter.glance.listing import Page
from exporter.glance.v2 import Batch
from exporter.model.outcome import Failed, Reading


class Deadline(NamedTuple):
    """When one question may be asked, in steady seconds: begun by then, answered by the end."""

    start_by: float
    end: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What one question came to.

    ``reading`` is of an image, or why there is no answer; ``listed`` is of the list that proves
    the API. ``accepted`` says that the Image service itself answered with these credentials.
    Times are steady seconds; ``wait`` is how long the service asks the whole cloud to wait, and
    ``wait_as_told`` that this is the wait it named. ``at_sign_in`` says that the failure is
    Keystone's: the Image service was not asked. ``batch`` is one page of a batch, where it
    was listed; ``splits`` says that smaller batches may do better. ``page`` is one of the list of
    all images, where that was asked for and came.
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
    page: Page | None = None

    @property
    def listing(self) -> Page | Failed:
        """The page that was asked for, or why it did not come."""
        return self.page or cast(Failed, self.reading)

    at_sign_in: bool = False
