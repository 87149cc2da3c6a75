"""Tables of README.md that are generated from the code.

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
from exporter.model.cloud import CLOUD_PROBLEMS
from exporter.model.outcome import REASONS
from exporter.model.status import PROBLEMS
from exporter.polling.engine.circuit_breaker import BREAKING
from exporter.polling.engine.pacing import TRANSIENT
from exporter.web.pages.query import Query
from tests.lifecycle_table import lifecycle_rows, steps

README = Path(__file__).parent.parent / "README.md"
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
    """Return the steps in the life of an image, and each metric after each step."""
    happened = steps()
    listed = "\n".join(f"{number}. {what}" for number, what in enumerate(happened, start=1))
    numbers = map(str, range(1, len(happened) + 1))
    rows = ((_code(name), *cells) for name, *cells in lifecycle_rows())
    return f"{listed}\n\n{table(('Metric', *numbers), rows)}"


TABLES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "general settings": general_settings,
        "settings of a cloud": settings_of_clouds,
        "settings of an image": settings_of_images,
        "settings of a discovery": settings_of_discoveries,
        "expectations": expectations,
        "metrics of an image": metrics_of_images,
        "metrics of a cloud": metrics_of_clouds,
        "metrics of the exporter": metrics_of_the_exporter,
        "reasons": reasons,
        "life of an image": life_of_an_image,
        "parameters of images": parameters_of_images,
        "problems": partial(meanings_table, PROBLEMS, "Problem"),
        "troubles": partial(meanings_table, CLOUD_PROBLEMS, "Trouble"),
    }
)
"""Every table by the name in its markers."""


def rendered(text: str) -> str:
    """Return the text with new tables; raise ``ValueError`` if a pair of markers is incomplete."""
    for name, make in TABLES.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        parts = re.split(f"(?s){re.escape(begin)}.*?{re.escape(end)}", text)
        if len(parts) != 2:
            raise ValueError(f"README.md holds the markers of {name!r} {len(parts) - 1} times")
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
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            own = tuple(label for label in labels if label not in {"le", *CLOUD_LABELS})
            yield Metric(name, metric.type, own, metric.documentation)


def _code(text: str) -> str:
    return text if text == "—" else f"`{text}`"


def _yes(value: bool) -> str:
    return "yes" if value else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    README.write_text(rendered(README.read_text("utf-8")), "utf-8")
