"""Sample lines as text, equal byte for byte to those of prometheus_client.

Sample lines are the same in the text format and in OpenMetrics, since no sample has a timestamp or
an exemplar. prometheus_client makes an object of each sample, and sorts and escapes the labels of
each line, which takes more than ten times as long; the tests compare with it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby
from math import inf
from typing import Any, NamedTuple

from exporter.metrics.family import Family, Subject, SubjectType

GO_EXPONENT_FROM = 1e6
"""Go writes floats from here on with an exponent."""

PYTHON_EXPONENT_FROM = 1e16
"""Python does so from here on, and in the same way."""

KNOWN_LINES = 4096
"""Texts of known samples to keep, see ``Family.has_known_samples``."""


class SubjectLabels(NamedTuple):
    """The labels that all samples of each subject have, formatted once for all families.

    Attributes:
        names: The names of the labels, sorted.
        pairs: For each subject, name and quoted value of each label as text.
        blocks: For each subject, all its pairs as text.
    """

    names: tuple[str, ...]
    pairs: list[tuple[str, ...]]
    blocks: list[str]


def format_labels(names: tuple[str, ...], subjects: Iterable[Subject]) -> SubjectLabels:
    """Format the labels of subjects, of which there is at least one name."""
    order = sorted(range(len(names)), key=names.__getitem__)
    names = tuple(names[index] for index in order)
    pairs = []
    for subject in subjects:
        values = escape_label_values(subject.labels)
        pairs.append(
            tuple([f'{name}="{values[index]}"' for name, index in zip(names, order, strict=True)])
        )
    return SubjectLabels(names, pairs, list(map(",".join, pairs)))


def render_samples(
    family: Family[SubjectType], labels: SubjectLabels, subjects: Collection[SubjectType]
) -> list[bytes]:
    """Render the sample lines of a family, in one text per subject."""
    render = _render_labelled if family.labels else _render_unlabelled
    return [text.encode() for text in render(family, labels, subjects)]


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
        digits, _, fraction = repr(value).partition(".")
        mantissa = f"{digits[0]}.{digits[1:]}{fraction}".rstrip("0.")
        return f"{mantissa}e+{len(digits) - 1:02d}"
    return repr(value) if value < inf else "+Inf" if value == inf else "NaN"


def _render_unlabelled(
    family: Family[SubjectType], labels: SubjectLabels, subjects: Collection[SubjectType]
) -> list[str]:
    """Return the text of each subject for a family without labels of its own."""
    start, samples = family.name + "{", family.samples
    texts = []
    for block, subject in zip(labels.blocks, subjects, strict=True):
        sample = samples(subject)
        texts.append(f"{start}{block}}} {format_value(sample[()])}\n" if sample else "")
    return texts


def _render_labelled(
    family: Family[SubjectType], labels: SubjectLabels, subjects: Collection[SubjectType]
) -> list[str]:
    """Return the text of each subject for a family with labels of its own."""
    layout = _line_layout(family, labels.names)
    lines = _known_lines if family.has_known_samples else _lines
    samples = family.samples
    return [
        lines(layout, pairs, samples(subject))
        for pairs, subject in zip(labels.pairs, subjects, strict=True)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _LineLayout:
    """The order of the labels in the lines of a family.

    Labels of the subject that are neighbours in the lines are a run.

    Attributes:
        template: A line with numbered places: for each run, for the values of the family's own
            labels, and for the value.
        runs: Start and end of each run among the labels of the subject.
    """

    template: str
    runs: tuple[tuple[int, int], ...]

    def runs_of(self, pairs: tuple[str, ...]) -> list[str]:
        """Return the text of each run of a subject."""
        return [",".join(pairs[start:end]) for start, end in self.runs]


Samples = Iterable[tuple[tuple[str, ...], float]]
"""Values of the family's own labels, and value."""


def _lines(
    layout: _LineLayout, pairs: tuple[str, ...], samples: Mapping[tuple[str, ...], float]
) -> str:
    """Return the lines of a subject."""
    return _format_lines(layout, layout.runs_of(pairs), samples.items()) if samples else ""


def _known_lines(
    layout: _LineLayout, pairs: tuple[str, ...], samples: Mapping[tuple[str, ...], float]
) -> str:
    """Return the lines of a subject, whose samples many others have too."""
    template = _known_template(layout, tuple(samples.items()))
    return template % (*layout.runs_of(pairs) * len(samples),)


@lru_cache(KNOWN_LINES)
def _known_template(layout: _LineLayout, samples: tuple[tuple[tuple[str, ...], float], ...]) -> str:
    """Return the lines of these samples with places for the runs of each line."""
    escaped = (
        (tuple(label.replace("%", "%%") for label in labels), value) for labels, value in samples
    )
    return _format_lines(layout, ["%s"] * len(layout.runs), escaped)


def _format_lines(layout: _LineLayout, runs: list[str], samples: Samples) -> str:
    line = layout.template.format
    return "".join(
        [
            line(*runs, *escape_label_values(labels), format_value(value))
            for labels, value in samples
        ]
    )


@cache
def _line_layout(family: Family[Any], subject_labels: tuple[str, ...]) -> _LineLayout:
    names = sorted((*subject_labels, *family.labels))
    groups = [(is_own, list(group)) for is_own, group in groupby(names, family.labels.__contains__)]
    firsts = [group[0] for is_own, group in groups if not is_own]
    starts = [subject_labels.index(first) for first in firsts]
    ends = (*starts[1:], len(subject_labels))
    places = {first: f"{{{number}}}" for number, first in enumerate(firsts)}
    places |= {
        name: f'{name}="{{{number}}}"' for number, name in enumerate(family.labels, len(firsts))
    }
    pairs = ",".join(places[name] for name in names if name in places)
    value = len(places)
    template = f"{family.name}{{{{{pairs}}}}} {{{value}}}\n"
    return _LineLayout(template, tuple(zip(starts, ends, strict=True)))
