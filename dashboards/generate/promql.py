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
        return self._of_all_attributes(f"increase({self._changes_total(metric)}[{window}])")

    def steps(self, metric: str) -> str:
        """Return a query for the increase of ``METRIC_changes_total`` in each step, per image."""
        return self._of_all_attributes(step(self._changes_total(metric)))

    def matching(self, ranked: str, search: str) -> str:
        """Restrict a query to images whose alias, ID or name matches the search.

        If the search is empty, or matches an empty text, every ID matches. Then the other selectors
        find nothing, which takes less time: no image has the label ``no_label``.
        """
        pattern = f'=~"(?i).*(${search}).*"'
        if_not_empty = f'no_label!~"${search}"'
        matches = (
            self.series("target_info", f"image_id{pattern}"),
            self.series("target_info", f"image{pattern}", if_not_empty),
            self.series("info", f"name{pattern}", if_not_empty),
        )
        return f"{ranked} and on ({', '.join(IMAGE_KEY)}) ({' or '.join(matches)})"

    def _changes_total(self, metric: str) -> str:
        return self.series(f"{metric}_changes_total")

    def _of_all_attributes(self, rises: str) -> str:
        whole = ", ".join((*IMAGE_KEY, "job", "instance"))
        return f"max by ({', '.join(IMAGE_KEY)}) (sum by ({whole}) ({rises}))"

    def unwanted(self, condition: str, expectation: str, by: str = "") -> str:
        """Return a query for the number of images that meet a condition unexpectedly.

        Images that meet ``expectation`` are not counted, since they are in that state on purpose.
        The result is empty if it is not known which images exist.
        """
        wanted = self.value("expectation_met", f'expectation="{expectation}"')
        every = f"count{by} ({self.value('exists')})"
        return f"count{by} ({condition} unless {wanted} == 1) or 0 * {every}"


ALL = Images(CLOUDS)
"""All images of the selected clouds."""

SHOWN = Images(f'{CLOUDS}, image_id=~"${{shown:pipe}}"')
"""The images that the overview lists: a query for all would be too expensive with thousands.

Without ``pipe`` Grafana writes parentheses around the IDs, and Prometheus before 2.49 would then
match the regular expression with the ID of every image.
"""

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


def process(metric: str, *matchers: str) -> str:
    """Return a selector of a process metric of the selected exporters."""
    return f"{metric}{{{', '.join((PROCESS, *matchers))}}}"


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
    """Return a query for the number of series that meet a condition.

    It is 0 if there are images, but none that meet it.
    """
    return f"count({condition}) or 0 * count({images.value('target_info')})"


def step(counter: str) -> str:
    """Return a query for the increase of a counter since the previous point of the graph.

    Unlike ``increase`` it needs no two samples in a window, counts each event once at any scrape
    interval, and returns whole numbers. It misses what happens between a restart and the next
    point.
    """
    return f"clamp_min({counter} - {counter} offset $__interval, 0)"


def above_zero(expression: str, label: str) -> str:
    """Return a query for series above 0, or one series of 0 labelled ``none``."""
    nothing = f'label_replace(0 * sum({expression}), "{label}", "none", "", "")'
    return f"({expression} > 0) or on () {nothing}"
