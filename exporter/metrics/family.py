"""One metric family as a row of a table, and what prometheus_client renders of it."""

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, Literal, Protocol, TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics_format


class Subject(Protocol):
    """The thing that samples describe: an image or a cloud."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The values of the labels that all its samples have."""
        ...


Row = Collection[tuple[str, ...]]
"""The values of a family's own labels, of each sample of one subject."""

SubjectType = TypeVar("SubjectType", bound=Subject)
Subject_contra = TypeVar("Subject_contra", bound=Subject, contravariant=True)


@dataclass(frozen=True, slots=True)
class Family(Generic[Subject_contra]):
    """A metric family.

    Attributes:
        labels: Labels of the samples, beside those of the subject.
        samples: Returns the value of each sample of one subject, by the values of ``labels``.
        key: Returns what the samples are made of, if many subjects have equal samples, so that
            their text is worth keeping. Subjects with equal keys have the same samples.
        column: Returns the value of each subject, None without a sample, if there are no
            ``labels``. It takes many subjects, which is faster than one after another.
        rows: Returns the values of ``labels`` of each subject's samples, all different, if the
            value of all samples is 1.
    """

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    samples: Callable[[Subject_contra], Mapping[tuple[str, ...], float]]
    labels: tuple[str, ...] = ()
    key: Callable[[Subject_contra], Hashable] | None = None
    column: Callable[[Collection[Subject_contra]], Sequence[float | None]] | None = None
    rows: Callable[[Collection[Subject_contra]], Sequence[Row]] | None = None

    def metric(self, subject_labels: tuple[str, ...]) -> GaugeMetricFamily | CounterMetricFamily:
        """Return the family without samples, as prometheus_client represents it."""
        labels = (*subject_labels, *self.labels)
        if self.kind == "counter":
            return CounterMetricFamily(self.name, self.help, labels=labels)
        return GaugeMetricFamily(self.name, self.help, labels=labels)

    def add_samples(
        self, metric: GaugeMetricFamily | CounterMetricFamily, subject: Subject_contra
    ) -> None:
        """Add the samples of a subject to the family's metric."""
        subject_labels = subject.labels
        for labels, value in self.samples(subject).items():
            metric.add_metric((*subject_labels, *labels), value)


class _SingleMetric(CollectorRegistry):
    """A registry of one metric: the renderers of prometheus_client accept only registries."""

    def __init__(self, metric: Metric) -> None:
        super().__init__()
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


@cache
def render_metadata(family: Family[Any], openmetrics: bool) -> bytes:
    """Render the HELP and TYPE lines of a family."""
    text = render_registry(_SingleMetric(family.metric(())), openmetrics)
    return text.removesuffix(b"# EOF\n")


def render_registry(registry: CollectorRegistry, openmetrics: bool) -> bytes:
    """Render all metrics of a registry."""
    if openmetrics:
        return bytes(openmetrics_format.generate_latest(registry))  # type: ignore[no-untyped-call]  # it has no annotations
    return generate_latest(registry)
