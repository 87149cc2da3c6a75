"""One image at one moment, from which its samples are made."""

from collections.abc import Collection, Sequence
from itertools import chain
from typing import NamedTuple

from exporter.metrics.family import Row
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
        properties: Name and value of its exported properties.
    """

    target: Target
    observation: Observation
    now: Instant
    exists: bool | None
    image: Image | None
    properties: tuple[tuple[str, str], ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The values of the labels of every series of the image."""
        return self.target.labels

    def label_values(self, texts: Sequence[str]) -> Sequence[str]:
        """Return texts of the API as label values: escaped as in the log, cut at the limit."""
        limit = self.target.label_value_limit
        return [shorten_distinctly(escape(text), limit) for text in texts]


def clean_rows(views: Collection[ImageView], rows: Sequence[Row], first: int = 0) -> Sequence[Row]:
    """Return rows of labels with the texts of the API as label values, see ``label_values``.

    The values before index ``first`` are not from the API.
    """
    texts = list(chain.from_iterable(chain.from_iterable(rows)))
    limit = min([view.target.label_value_limit for view in views], default=0)
    joined = "".join(texts)
    # Nearly all texts are clean, which is faster to see of all at once. ASCII has a byte each.
    if joined.isascii() and joined.isprintable() and max(map(len, texts), default=0) <= limit:
        return rows
    return [
        [(*labels[:first], *view.label_values(labels[first:])) for labels in row]
        for view, row in zip(views, rows, strict=True)
    ]


def view_of(target: Target, observation: Observation, now: Instant) -> ImageView:
    """Return the view of a target from which its metrics at ``now`` are rendered."""
    exists, image = observation.values_as_of(now)
    properties = () if image is None else target.select_properties(image.properties)
    return ImageView(target, observation, now, exists, image, properties)
