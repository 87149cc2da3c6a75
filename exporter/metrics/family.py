"""One metric family as a row of a table."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

Subject_contra = TypeVar("Subject_contra", contravariant=True)

Point = tuple[tuple[str, ...], float]
"""The values of a row's own labels, and the value of the sample."""


@dataclass(frozen=True, slots=True)
class Family(Generic[Subject_contra]):
    """A metric family. ``points`` returns the samples of one subject, an image or a cloud."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    points: Callable[[Subject_contra], Iterable[Point]]
    labels: tuple[str, ...] = ()

    def metric(self, subject_labels: tuple[str, ...]) -> GaugeMetricFamily | CounterMetricFamily:
        """Return the family without samples, as prometheus_client represents it."""
        labels = (*subject_labels, *self.labels)
        if self.kind == "counter":
            return CounterMetricFamily(self.name, self.help, labels=labels)
        return GaugeMetricFamily(self.name, self.help, labels=labels)
