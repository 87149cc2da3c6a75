"""Metric families that are served, selected by globs on their names."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from exporter.metrics.cloud_metrics import CLOUD_FAMILIES
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.image_metrics import IMAGE_FAMILIES, ImageFamily

OWN_PREFIXES = ("openstack_image_exporter_", "process_", "python_")
"""Starts of the names of the exporter's own families, which are served unless excluded."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The families that are served.

    Attributes:
        include: Globs of the families of images to serve; all without any.
        exclude: Globs of families not to serve, whatever ``include`` has.
        empty: Names of families that have no series with these settings.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    empty: frozenset[str] = frozenset()

    def has(self, name: str) -> bool:
        """Return True if the family of this name is served."""
        if matches(name, self.exclude):
            return False
        is_own = name.startswith(OWN_PREFIXES)
        return is_own or not self.include or matches(name, self.include)

    def lacks(self, name: str) -> bool:
        """Return True if the family of this name has series that are not served."""
        return name not in self.empty and not self.has(name)

    def image_families(self) -> tuple[ImageFamily, ...]:
        """Return the families of images that are served, in the order of the exposition."""
        return tuple(family for family in IMAGE_FAMILIES if self.has(family.name))


def matches(name: str, globs: tuple[str, ...]) -> bool:
    """Return True if a name matches one of the globs."""
    return any(fnmatchcase(name, glob) for glob in globs)


EVERYTHING = Selection()
"""Serves all families."""


class SelectedRegistry(CollectorRegistry):
    """The selected families of another registry."""

    def __init__(self, registry: CollectorRegistry, selection: Selection) -> None:
        super().__init__()
        self._registry = registry
        self._selection = selection

    def collect(self) -> Iterator[Metric]:
        """Yield the families with their current samples."""
        for metric in self._registry.collect():
            if self._selection.has(family_name(metric)):
                yield metric


def family_name(metric: Metric) -> str:
    """Return the name that a family has in the text format, with the suffix of a counter."""
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


@cache
def family_names() -> tuple[str, ...]:
    """Return the names of all families: those of images, clouds and the exporter itself."""
    images = (family.name for family in IMAGE_FAMILIES)
    clouds = (family.name for family in CLOUD_FAMILIES)
    own = map(family_name, ExporterMetrics("").registry.collect())
    return (*images, *clouds, *own)
