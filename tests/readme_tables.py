"""The tables of README.md that are made from the code.

``make readme`` writes them between their markers; a test fails when they are stale.
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
from exporter.polling.engine.cycle import TRANSIENT
from exporter.web.pages.query import Query
from tests.lifecycle_table import lifecycle_rows, steps

README = Path(__file__).parent.parent / "README.md"
PREFIX = "openstack_image_"
EXPECT = "expect."


class Metric(NamedTuple):
    """A row of a table of metrics; ``labels`` are those beside the ones that all its rows have."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def general_settings() -> str:
    """The settings that have a flag or a variable of their own."""
    return table(
        ("Key", "Flag", "Environment variable", "Default", "Meaning"),
        (
            (_code(row.key), _code(row.flag), _code(row.variable), row.default, row.meaning)
            for row in _settings("")
            if not row.key.startswith(EXPECT)
        ),
    )


def settings_of_clouds() -> str:
    """The keys of one cloud."""
    return _keys("clouds[].")


def expectations() -> str:
    """The keys of what is expected."""
    return _keys(EXPECT)


def settings_of_images() -> str:
    """The keys of one image."""
    return _keys("clouds[].images[].")


def settings_of_discoveries() -> str:
    """The keys of one discovery."""
    return _keys("clouds[].discover[].")


def metrics_of_images() -> str:
    """What is served for every image."""
    return _metrics(Metric(each.name, each.kind, each.labels, each.help) for each in IMAGE_FAMILIES)


def metrics_of_clouds() -> str:
    """What is served for every cloud, from the store or counted as requests end."""
    stored = (Metric(each.name, each.kind, each.labels, each.help) for each in CLOUD_FAMILIES)
    return _metrics([*stored, *_instruments(of_clouds=True)])


def metrics_of_the_exporter() -> str:
    """What is served once."""
    return _metrics(_instruments(of_clouds=False), heading="Labels")


def reasons() -> str:
    """Why a poll can fail."""
    return table(
        ("`reason`", "What came", "Sent again in the cycle", "Opens the breaker"),
        (
            (_code(reason), meaning, _yes(reason in TRANSIENT), _yes(reason in BREAKING))
            for reason, meaning in REASONS.items()
        ),
    )


def parameters_of_images() -> str:
    """What may be asked of the API."""
    return table(
        ("Parameter", "Default", "Accepted"),
        (
            (_code(name), str(field.default) or "all", field.description or "")
            for name, field in Query.model_fields.items()
        ),
    )


def words_of(meanings: Mapping[str, str], heading: str) -> str:
    """The words that a field may hold, and what they mean."""
    return table((heading, "Meaning"), ((_code(word), text) for word, text in meanings.items()))


def life_of_an_image() -> str:
    """What happens to an image, and what each metric says after each step."""
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
        "problems": partial(words_of, PROBLEMS, "Problem"),
        "troubles": partial(words_of, CLOUD_PROBLEMS, "Trouble"),
    }
)
"""Every table by the name that its markers bear."""


def rendered(text: str) -> str:
    """The text with every table made anew; raises ``ValueError`` where markers are not a pair."""
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
    """The settings right under the prefix, those of lists inside left out."""
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


def _instruments(*, of_clouds: bool) -> Iterator[Metric]:
    instruments = ExporterMetrics("0")
    instruments.add_cloud("a cloud")
    for metric in instruments.registry.collect():
        # Those of the process, the platform and the garbage collector are prometheus_client's.
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
