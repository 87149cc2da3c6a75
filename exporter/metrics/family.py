"""One metric family as a row of a table, and its text as prometheus_client renders it.

Sample lines are the same in the text format and in OpenMetrics, since no sample has a timestamp or
an exemplar. Only the metadata differs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
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


SubjectType = TypeVar("SubjectType", bound=Subject)
Subject_contra = TypeVar("Subject_contra", bound=Subject, contravariant=True)


@dataclass(frozen=True, slots=True)
class Family(Generic[Subject_contra]):
    """A metric family.

    Attributes:
        labels: Labels of the samples, beside those of the subject.
        samples: Returns the value of each sample of one subject, by the values of ``labels``.
    """

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    samples: Callable[[Subject_contra], Mapping[tuple[str, ...], float]]
    labels: tuple[str, ...] = ()

    def metric(self, subject_labels: tuple[str, ...]) -> GaugeMetricFamily | CounterMetricFamily:
        """Return the family without samples, as prometheus_client represents it."""
        labels = (*subject_labels, *self.labels)
        if self.kind == "counter":
            return CounterMetricFamily(self.name, self.help, labels=labels)
        return GaugeMetricFamily(self.name, self.help, labels=labels)

    def add_samples(
        self, metric: GaugeMetricFamily | CounterMetricFamily, subject: Subject_contra
    ) -> int:
        """Add the samples of a subject to the family's metric, and return their number."""
        subject_labels = subject.labels
        before = len(metric.samples)
        for labels, value in self.samples(subject).items():
            metric.add_metric((*subject_labels, *labels), value)
        return len(metric.samples) - before


class _SingleMetric(CollectorRegistry):
    """A registry of one metric: the renderers of prometheus_client accept only registries."""

    def __init__(self, metric: Metric) -> None:
        super().__init__()
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


def render_samples(
    family: Family[SubjectType], subject_labels: tuple[str, ...], subjects: Iterable[SubjectType]
) -> list[bytes]:
    """Render the sample lines of a family, in one text per subject."""
    metric = family.metric(subject_labels)
    counts = [family.add_samples(metric, subject) for subject in subjects]
    lines = generate_latest(_SingleMetric(metric)).split(b"\n")
    # The first two lines are HELP and TYPE. Line feeds within values are escaped.
    start, texts = 2, []
    for count in counts:
        texts.append(b"".join(line + b"\n" for line in lines[start : start + count]))
        start += count
    return texts


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
