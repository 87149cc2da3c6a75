"""Building blocks of PromQL queries."""

from collections.abc import Iterable
from dataclasses import dataclass

PROCESS = 'job=~"$job", instance=~"$instance"'
"""Matchers of the exporters selected by the dashboard's variables."""

CLOUDS = f'{PROCESS}, cloud=~"$cloud"'
"""Matchers of the selected exporters and clouds."""

IMAGE_KEY = ("cloud", "image_id", "image")
"""Labels that identify an image, independent of the replica."""


@dataclass(frozen=True, slots=True)
class Images:
    """Queries about images; replicas that poll the same image are combined."""

    selector: str

    def series(self, metric: str, *matchers: str) -> str:
        """Return a selector of ``openstack_image_METRIC``."""
        return f"openstack_image_{metric}{{{', '.join((self.selector, *matchers))}}}"

    def value(self, metric: str, *matchers: str, by: Iterable[str] = ()) -> str:
        """Return a query with a sample per image, and per value of the labels in ``by``."""
        return f"max by ({', '.join((*IMAGE_KEY, *by))}) ({self.series(metric, *matchers)})"

    def changes(self, metric: str, window: str) -> str:
        """Return a query for the increase of ``METRIC_changes_total`` in the window, per image.

        It sums over all attributes of an image.
        """
        rises = f"increase({self.series(f'{metric}_changes_total')}[{window}])"
        whole = ", ".join((*IMAGE_KEY, "job", "instance"))
        return f"max by ({', '.join(IMAGE_KEY)}) (sum by ({whole}) ({rises}))"

    def unwanted(self, condition: str, expectation: str, by: str = "") -> str:
        """Return a query for the number of images that meet a ``bool`` condition unexpectedly.

        Images that meet ``expectation`` are not counted, since they are in that state on purpose.
        The result is empty if the condition has no samples.
        """
        met = self.value("expectation_met", f'expectation="{expectation}"')
        every = f"sum{by} ({condition})"
        return f"{every} - (sum{by} (({condition}) * {met}) or 0 * {every})"


ALL = Images(CLOUDS)
"""All images of the selected clouds."""

ONE = Images(f'{CLOUDS}, image_id="$image"')
"""The image that the dashboard shows."""

CHANGES = {
    "status": "status",
    "existence": "gone or back",
    "content": "content",
    "attribute": "attributes",
}
"""Counters of changes of an image, and their names on a panel."""


def cloud(metric: str, *matchers: str) -> str:
    """Return a selector of ``openstack_image_METRIC`` of the selected clouds."""
    return ALL.series(metric, *matchers)


def process(metric: str) -> str:
    """Return a selector of a process metric of the selected exporters."""
    return f"{metric}{{{PROCESS}}}"


EXPORTERS = process("openstack_image_exporter_build_info")
"""One series per selected exporter that is up."""


def of_exporters(expression: str) -> str:
    """Restrict a metric that every program exposes to exporters.

    With "All" selected the job matcher matches every job.
    """
    return f"({expression}) and on (job, instance) {EXPORTERS}"


def scraped(metric: str) -> str:
    """Return a query for a scrape metric of the selected exporters, including those down.

    These are the targets of each job that had an exporter in the time range.
    """
    return f"({process(metric)} and on (job) last_over_time({EXPORTERS}[$__range]))"


def how_many(images: Images, condition: str) -> str:
    """Return a query for the number of series that meet a ``bool`` condition.

    It is 0 if there are images, but no samples of the condition.
    """
    return f"sum({condition}) or 0 * count({images.value('target_info')})"


def above_zero(expression: str, label: str) -> str:
    """Return a query for series above 0, or one series of 0 labelled ``none``."""
    nothing = f'label_replace(0 * sum({expression}), "{label}", "none", "", "")'
    return f"({expression} > 0) or on () {nothing}"
