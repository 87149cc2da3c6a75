"""One image at one moment, from which its samples are made."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from exporter.model.image import Image
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.target import Target
from exporter.text import escape, shorten_distinctly


class ImageView(NamedTuple):
    """A target with its observation at one moment, without expired values.

    Attributes:
        target: The target.
        observation: Its latest observation, whose values may have expired.
        now: The moment.
        exists: Existence as last polled, None if unknown or expired.
        image: The image as last described, None if it is gone, unknown or expired.
    """

    target: Target
    observation: Observation
    now: Instant
    exists: bool | None
    image: Image | None

    @property
    def labels(self) -> tuple[str, ...]:
        """The values of the labels of every series of the image."""
        return self.target.labels

    @property
    def properties(self) -> Iterable[tuple[str, str]]:
        """Name and value of the image's exported properties."""
        return () if self.image is None else self.target.select_properties(self.image.properties)

    def label_values(self, texts: Sequence[str]) -> Sequence[str]:
        """Return texts of the API as label values: escaped as in the log, cut at the limit."""
        limit = self.target.label_value_limit
        joined = "".join(texts)
        # Most values need neither, which is faster to see of all at once. ASCII has a byte each.
        if len(joined) <= limit and joined.isascii() and joined.isprintable():
            return texts
        return [shorten_distinctly(escape(text), limit) for text in texts]


def view_of(target: Target, observation: Observation, now: Instant) -> ImageView:
    """Return the view of a target from which its metrics at ``now`` are rendered."""
    return ImageView(target, observation, now, *observation.values_as_of(now))
