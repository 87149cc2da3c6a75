"""The queries' building blocks."""

from collections.abc import Iterable
from dataclasses import dataclass

PROCESS = 'job=~"$job", instance=~"$instance"'
"""The exporters that the dashboard's variables choose."""

CLOUDS = f'{PROCESS}, cloud=~"$cloud"'
"""What they say of the chosen clouds."""

IMAGE_KEY = ("cloud", "image_id", "image")
"""The labels that make an image, whichever replica tells of it."""


@dataclass(frozen=True, slots=True)
class Images:
    """Queries about some images; replicas that watch the same image are taken together."""

    selector: str

    def series(self, metric: str, *matchers: str) -> str:
        """A selector of ``openstack_image_METRIC``."""
        return f"openstack_image_{metric}{{{', '.join((self.selector, *matchers))}}}"

    def value(self, metric: str, *matchers: str, by: Iterable[str] = ()) -> str:
        """One sample for each image, and for each value of the labels in ``by``."""
        return f"max by ({', '.join((*IMAGE_KEY, *by))}) ({self.series(metric, *matchers)})"

    def changes(self, metric: str, window: str) -> str:
        """How often ``METRIC_changes_total`` rose within the window, for each image.

        It counts all attributes of an image together.
        """
        rises = f"increase({self.series(f'{metric}_changes_total')}[{window}])"
        whole = ", ".join((*IMAGE_KEY, "job", "instance"))
        return f"max by ({', '.join(IMAGE_KEY)}) (sum by ({whole}) ({rises}))"

    def unwanted(self, condition: str, expectation: str, by: str = "") -> str:
        """How many images meet a condition with ``bool``, without those expected to be so.

        ``expectation`` is the one that says how an image should be instead. There is no answer
        where the condition has none.
        """
        met = self.value("expectation_met", f'expectation="{expectation}"')
        every = f"sum{by} ({condition})"
        return f"{every} - (sum{by} (({condition}) * {met}) or 0 * {every})"


ALL = Images(CLOUDS)
"""All images of the chosen clouds."""

ONE = Images(f'{CLOUDS}, image_id="$image"')
"""The image that the dashboard is about."""

CHANGES = {
    "status": "status",
    "existence": "gone or back",
    "content": "content",
    "attribute": "attributes",
}
"""Each counter of changes of an image, and what it is called on a panel."""


def cloud(metric: str, *matchers: str) -> str:
    """A selector of ``openstack_image_METRIC`` of the chosen clouds."""
    return ALL.series(metric, *matchers)


def process(metric: str) -> str:
    """A selector of a metric that the chosen exporters tell of themselves."""
    return f"{metric}{{{PROCESS}}}"


EXPORTERS = process("openstack_image_exporter_build_info")
"""One series for each chosen exporter that is up."""


def of_exporters(expression: str) -> str:
    """Of series that every program has, those of exporters: where all are chosen, any job is."""
    return f"({expression}) and on (job, instance) {EXPORTERS}"


def scraped(metric: str) -> str:
    """What Prometheus tells of scraping the chosen exporters, those that are down included.

    They are the targets of each job that had an exporter in the time range.
    """
    return f"({process(metric)} and on (job) last_over_time({EXPORTERS}[$__range]))"


def how_many(images: Images, condition: str) -> str:
    """How many series meet a condition with ``bool``; 0 where images are known, but none of it."""
    return f"sum({condition}) or 0 * count({images.value('target_info')})"


def above_zero(expression: str, label: str) -> str:
    """Only series above 0; where there is none, one at 0 with ``none`` for its label."""
    nothing = f'label_replace(0 * sum({expression}), "{label}", "none", "", "")'
    return f"({expression} > 0) or on () {nothing}"
