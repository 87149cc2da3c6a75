"""Tables of the documents that are generated from the code.

``make readme`` writes them between their markers, and a test fails if they are stale.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from exporter.config import Row, reference
from exporter.metrics.cloud_metrics import CLOUD_FAMILIES, CLOUD_LABELS
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.image_metrics import IMAGE_FAMILIES
from exporter.metrics.selection.families import family_name
from exporter.model.cloud import CLOUD_PROBLEMS
from exporter.model.outcome import REASONS
from exporter.model.status import PROBLEMS
from exporter.polling.engine.circuit_breaker import BREAKING
from exporter.polling.engine.pacing import TRANSIENT
from exporter.web.pages.query import Query
from tests.lifecycle_table import lifecycle_rows, steps
from tests.metric_costs import rows as cost_rows

ROOT = Path(__file__).parent.parent
PREFIX = "openstack_image_"
EXPECT = "expect."


class Metric(NamedTuple):
    """Row of a table of metrics. ``labels`` are those in addition to the common ones."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def general_settings() -> str:
    """Return the settings with a flag or environment variable of their own."""
    return table(
        ("Key", "Flag", "Environment variable", "Default", "Meaning"),
        (
            (_code(row.key), _code(row.flag), _code(row.variable), row.default, row.meaning)
            for row in _settings("")
            if not row.key.startswith(EXPECT)
        ),
    )


def settings_of_clouds() -> str:
    """Return the keys of one cloud."""
    return _keys("clouds[].")


def expectations() -> str:
    """Return the keys of ``expect``."""
    return _keys(EXPECT)


def settings_of_images() -> str:
    """Return the keys of one image."""
    return _keys("clouds[].images[].")


def settings_of_discoveries() -> str:
    """Return the keys of one discovery rule."""
    return _keys("clouds[].discover[].")


def metrics_of_images() -> str:
    """Return the metrics of an image."""
    return _metrics(
        Metric(family.name, family.kind, family.labels, family.help) for family in IMAGE_FAMILIES
    )


def metrics_of_clouds() -> str:
    """Return the metrics of a cloud, from the store or counted as requests end."""
    stored = (
        Metric(family.name, family.kind, family.labels, family.help) for family in CLOUD_FAMILIES
    )
    return _metrics([*stored, *_exporter_metrics(of_clouds=True)])


def metrics_of_the_exporter() -> str:
    """Return the metrics that exist once."""
    return _metrics(_exporter_metrics(of_clouds=False), heading="Labels")


def cost_of_an_image() -> str:
    """Return the series and bytes of an image, for each metric and for all."""
    return table(
        ("Metric", "Series", "Bytes", "Bytes of gzip"),
        ((name, *(f"{figure:.0f}" for figure in cost)) for name, cost in cost_rows()),
    )


def reasons() -> str:
    """Return the reasons of failed polls."""
    return table(
        ("`reason`", "Meaning", "Retried in the cycle", "Opens the circuit breaker"),
        (
            (_code(reason), meaning, _yes(reason in TRANSIENT), _yes(reason in BREAKING))
            for reason, meaning in REASONS.items()
        ),
    )


def parameters_of_images() -> str:
    """Return the query parameters of the API."""
    return table(
        ("Parameter", "Default", "Accepted"),
        (
            (_code(name), str(field.default) or "all", field.description or "")
            for name, field in Query.model_fields.items()
        ),
    )


def meanings_table(meanings: Mapping[str, str], heading: str) -> str:
    """Return the possible words of a field and their meanings."""
    return table((heading, "Meaning"), ((_code(word), text) for word, text in meanings.items()))


def life_of_an_image() -> str:
    """Return a row for each step in the life of an image, with the metrics that change most."""
    cells = {name.removeprefix(PREFIX): values for name, *values in lifecycle_rows()}
    metrics = ("exists", "status", "size_bytes", "protected", "poll_success")
    return table(
        ("", "Step", *map(_code, metrics), "Changes counted", "Expectations not met"),
        (
            (
                str(number + 1),
                step,
                *(cells[metric][number] for metric in metrics),
                _changes({metric: values[number] for metric, values in cells.items()}),
                _not_met(cells["expectation_met"][number]),
            )
            for number, step in enumerate(steps())
        ),
    )


def _changes(cells: Mapping[str, str]) -> str:
    """Return the counters of changes that are not 0."""
    counts = {word: cells[f"{word}_changes_total"] for word in ("status", "existence", "content")}
    texts = [f"{word}: {count}" for word, count in counts.items() if count != "0"]
    attributes = cells["attribute_changes_total"]
    return ", ".join([*texts, *([attributes] if attributes != "0" else [])])


def _not_met(cell: str) -> str:
    """Return the names of the expectations whose series is 0."""
    results = (result.split(": ") for result in filter(None, cell.split(", ")))
    return ", ".join(name for name, value in results if value == "0")


Tables = Mapping[str, Callable[[], str]]
"""The tables of a document, by the name in their markers."""

TABLES: Mapping[str, Tables] = MappingProxyType(
    {
        "CONFIGURATION.md": {
            "general settings": general_settings,
            "settings of a cloud": settings_of_clouds,
            "settings of an image": settings_of_images,
            "settings of a discovery": settings_of_discoveries,
            "expectations": expectations,
        },
        "METRICS.md": {
            "metrics of an image": metrics_of_images,
            "metrics of a cloud": metrics_of_clouds,
            "metrics of the exporter": metrics_of_the_exporter,
            "reasons": reasons,
            "cost of an image": cost_of_an_image,
            "life of an image": life_of_an_image,
        },
        "OPERATIONS.md": {
            "parameters of images": parameters_of_images,
            "problems": partial(meanings_table, PROBLEMS, "Problem"),
            "troubles": partial(meanings_table, CLOUD_PROBLEMS, "Trouble"),
        },
    }
)
"""The tables of each document."""


def rendered(text: str, tables: Tables) -> str:
    """Return the text with new tables; raise ``ValueError`` if a pair of markers is incomplete."""
    for name, make in tables.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        parts = re.split(f"(?s){re.escape(begin)}.*?{re.escape(end)}", text)
        if len(parts) != 2:
            raise ValueError(f"the document holds the markers of {name!r} {len(parts) - 1} times")
        text = f"{parts[0]}{begin}\n\n{make()}\n\n{end}{parts[1]}"
    return text


def _keys(prefix: str) -> str:
    return table(
        ("Key", "Default", "Meaning"),
        (
            (_code(row.key.removeprefix(prefix)), row.default, row.meaning)
            for row in _settings(prefix)
        ),
    )


def _settings(prefix: str) -> list[Row]:
    """Return the settings directly under the prefix, without those of nested lists."""
    return [
        row
        for row in reference()
        if row.key.startswith(prefix) and "[]" not in row.key.removeprefix(prefix)
    ]


def _metrics(rows: Iterable[Metric], heading: str = "More labels") -> str:
    return table(
        ("Metric", "Type", heading, "Meaning"),
        (
            (_code(row.name), row.kind, " ".join(map(_code, row.labels)), row.meaning)
            for row in rows
        ),
    )


def _exporter_metrics(*, of_clouds: bool) -> Iterator[Metric]:
    exporter_metrics = ExporterMetrics("0")
    exporter_metrics.add_cloud("a cloud")
    for metric in exporter_metrics.registry.collect():
        # Metrics of the process, platform and garbage collector come from prometheus_client.
        if not metric.name.startswith(PREFIX):
            continue
        labels = {label: None for sample in metric.samples for label in sample.labels}
        if of_clouds == ("cloud" in labels):
            own = tuple(label for label in labels if label not in {"le", *CLOUD_LABELS})
            yield Metric(family_name(metric), metric.type, own, metric.documentation)


def _code(text: str) -> str:
    return text if text == "—" else f"`{text}`"


def _yes(value: bool) -> str:
    return "yes" if value else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    for document, tables in TABLES.items():
        path = ROOT / document
        path.write_text(rendered(path.read_text("utf-8"), tables), "utf-8")
