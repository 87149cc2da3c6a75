"""Sample lines as text, equal byte for byte to those of prometheus_client.

Sample lines are the same in the text format and in OpenMetrics, since no sample has a timestamp or
an exemplar. prometheus_client makes an object of each sample, and sorts and escapes the labels of
each line, which takes more than ten times as long; the tests compare with it.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, cycle, groupby, islice, repeat
from math import inf, isnan
from typing import Any

from exporter.metrics.family import Family, Row, Subject, SubjectType

GO_EXPONENT_FROM = 1e6
"""Go writes floats from here on with an exponent."""

PYTHON_EXPONENT_FROM = 1e16
"""Python does so from here on, and in the same way."""

KNOWN_LINES = 4096
"""Texts of known samples to keep for a family, see ``Family.key``."""

_EXPONENTS = tuple(f"e+{exponent:02d}" for exponent in range(16))


Samples = Mapping[tuple[str, ...], float]
"""Values by those of the family's own labels."""


class SubjectLabels:
    """The labels that all samples of each subject have, formatted once for all families.

    Attributes:
        names: The names of the labels, sorted.
    """

    def __init__(self, names: tuple[str, ...], columns: Sequence[Sequence[str]]) -> None:
        """Take the escaped values of each label as a column."""
        self.names = names
        self._columns = columns
        self._runs: dict[tuple[int, int], list[str]] = {}

    def run(self, start: int, end: int) -> list[str]:
        """Return the names and quoted values of neighbouring labels as a text per subject."""
        if (start, end) not in self._runs:
            template = ",".join([f'{name}="%s"' for name in self.names[start:end]])
            values = zip(*self._columns[start:end], strict=True)
            self._runs[start, end] = list(map(template.__mod__, values))
        return self._runs[start, end]


def format_labels(names: tuple[str, ...], subjects: Collection[Subject]) -> SubjectLabels:
    """Format the labels of subjects, of which there is at least one name."""
    order = sorted(range(len(names)), key=names.__getitem__)
    rows = [subject.labels for subject in subjects]
    columns = [escape_label_values([row[index] for row in rows]) for index in order]
    return SubjectLabels(tuple([names[index] for index in order]), columns)


def render_samples(
    family: Family[SubjectType], labels: SubjectLabels, subjects: Collection[SubjectType]
) -> list[str]:
    """Render the sample lines of a family, in one text per subject."""
    if not family.labels:
        return _render_unlabelled(family, labels, subjects)
    layout = _line_layout(family, labels.names)
    runs = [labels.run(start, end) for start, end in layout.runs]
    if family.key is None:
        return _render_labelled(family, layout, runs, subjects)
    keys = list(map(family.key, subjects))
    examples = dict(zip(keys, subjects, strict=True))
    lines = {key: _known_lines(family, layout, key, subject) for key, subject in examples.items()}
    if all(texts == _NO_LINES for texts in lines.values()):
        return [""] * len(keys)
    known = [lines[key] for key in keys]
    if len(runs) == 1:
        return [run.join(texts) for run, texts in zip(*runs, known, strict=True)]
    return [
        "".join((*chain.from_iterable(zip(texts[:-1], cycle(row), strict=False)), texts[-1]))
        for row, texts in zip(zip(*runs, strict=True), known, strict=True)
    ]


def escape_label_values(values: Sequence[str]) -> Sequence[str]:
    """Escape what has a meaning within quotes."""
    joined = "".join(values)
    if '"' not in joined and "\n" not in joined and "\\" not in joined:
        return values
    return [
        value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"') for value in values
    ]


def format_value(value: float) -> str:
    """Format a value as Go does, but negative values and numbers near 0 as Python does."""
    if value < GO_EXPONENT_FROM:
        return "-Inf" if value == -inf else repr(value)
    if value < PYTHON_EXPONENT_FROM:
        return _format_large([value])[0]
    return repr(value) if value < inf else "+Inf" if value == inf else "NaN"


def format_values(values: Iterable[float]) -> list[str]:
    """Format many values, as ``format_value`` does each."""
    numbers = list(map(float, values))
    if not numbers or isnan(sum(numbers)):
        return list(map(format_value, numbers))
    smallest, largest = min(numbers), max(numbers)
    if -inf < smallest and largest < GO_EXPONENT_FROM:
        return list(map(repr, numbers))
    if smallest >= GO_EXPONENT_FROM and largest < PYTHON_EXPONENT_FROM:
        return _format_large(numbers)
    return list(map(format_value, numbers))


def _format_large(numbers: Sequence[float]) -> list[str]:
    """Format numbers that Go writes with an exponent but Python without one."""
    distinct = list(set(numbers))
    if len(distinct) < len(numbers):
        # Several changes of an image have the time of one poll, and many images one size.
        texts = dict(zip(distinct, _format_large(distinct), strict=True))
        return [texts[number] for number in numbers]
    parts = [text.split(".") for text in map(repr, numbers)]
    return [
        f"{whole[0]}.{whole[1:]}{fraction}".rstrip("0.") + _EXPONENTS[len(whole) - 1]
        for whole, fraction in parts
    ]


def _render_unlabelled(
    family: Family[SubjectType], labels: SubjectLabels, subjects: Collection[SubjectType]
) -> list[str]:
    """Return the text of each subject for a family without labels of its own."""
    runs = labels.run(0, len(labels.names))
    if family.column is None:
        samples = map(family.samples, subjects)
        values: Sequence[float | None] = [sample.get(()) for sample in samples]
    else:
        values = family.column(subjects)
    start = family.name + "{"
    known = [value for value in values if value is not None]
    texts = iter(format_values(known))
    if len(known) == len(runs):
        return [f"{start}{run}}} {text}\n" for run, text in zip(runs, texts, strict=True)]
    return [
        "" if value is None else f"{start}{run}}} {next(texts)}\n"
        for run, value in zip(runs, values, strict=True)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _LineLayout:
    """The order of the labels in the lines of a family.

    Labels of the subject that are neighbours in the lines are a run. A place is for a run, or for
    the value of one of the family's own labels.

    Attributes:
        texts: The text before each place, and the one after the last place.
        places: The index of what is at each place, among the runs, then the own labels.
        runs: Start and end of each run among the labels of the subject.
        known: The texts between the runs of known lines, by key, see ``Family.key``.
    """

    texts: tuple[str, ...]
    places: tuple[int, ...]
    runs: tuple[tuple[int, int], ...]
    known: dict[Hashable, tuple[str, ...]] = field(default_factory=dict)

    def texts_between_runs(self, samples: Samples) -> tuple[str, ...]:
        """Return the text before each run of some lines, and the one after the last run."""
        texts = [""]
        for own_labels, value in samples.items():
            own = escape_label_values(own_labels)
            for text, place in zip(self.texts, self.places, strict=False):
                texts[-1] += text
                if place < len(self.runs):
                    texts.append("")
                else:
                    texts[-1] += own[place - len(self.runs)]
            texts[-1] += f"{self.texts[-1]}{format_value(value)}\n"
        return tuple(texts)


def _render_labelled(
    family: Family[SubjectType],
    layout: _LineLayout,
    runs: Sequence[Sequence[str]],
    subjects: Collection[SubjectType],
) -> list[str]:
    """Return the text of each subject for a family with labels of its own."""
    rows: Sequence[Row]
    values: Iterable[str] = repeat("1.0")
    if family.rows is not None:
        rows = family.rows(subjects)
    else:
        rows = samples = [family.samples(subject) for subject in subjects]
        values = format_values(chain.from_iterable(sample.values() for sample in samples))
    counts = list(map(len, rows))
    if not any(counts):
        return [""] * len(counts)
    has_one_each = counts.count(1) == len(counts)
    if not has_one_each:
        runs = [list(chain.from_iterable(map(repeat, run, counts))) for run in runs]
    own_labels = zip(*chain.from_iterable(rows), strict=True)
    columns = [*runs, *map(escape_label_values, own_labels)]
    pieces = [columns[place] for place in layout.places]
    between = [repeat(text) for text in layout.texts]
    texts = zip(
        *chain.from_iterable(zip(between, pieces, strict=False)), between[-1], values, repeat("\n")
    )
    lines = map("".join, texts)
    return list(lines) if has_one_each else ["".join(islice(lines, count)) for count in counts]


_NO_LINES = ("",)


def _known_lines(
    family: Family[SubjectType],
    layout: _LineLayout,
    key: Hashable,
    subject: SubjectType,
) -> tuple[str, ...]:
    """Return the texts between the runs of a subject's lines, which many others have too."""
    texts = layout.known.get(key)
    if texts is None:
        texts = layout.texts_between_runs(family.samples(subject))
        if len(layout.known) >= KNOWN_LINES:
            layout.known.clear()
        layout.known[key] = texts
    return texts


@cache
def _line_layout(family: Family[Any], subject_labels: tuple[str, ...]) -> _LineLayout:
    names = sorted((*subject_labels, *family.labels))
    groups = [(is_own, list(group)) for is_own, group in groupby(names, family.labels.__contains__)]
    firsts = [group[0] for is_own, group in groups if not is_own]
    starts = [subject_labels.index(first) for first in firsts]
    ends = (*starts[1:], len(subject_labels))
    texts, places = [family.name + "{"], []
    for name in names:
        if name in firsts:
            places.append(firsts.index(name))
            texts.append(",")
        elif name in family.labels:
            texts[-1] += f'{name}="'
            places.append(len(firsts) + family.labels.index(name))
            texts.append('",')
    texts[-1] = texts[-1].removesuffix(",") + "} "
    return _LineLayout(tuple(texts), tuple(places), tuple(zip(starts, ends, strict=True)))
