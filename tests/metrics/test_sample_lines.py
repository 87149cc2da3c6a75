"""Sample lines compared with what prometheus_client renders of the same samples."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from exporter.metrics.family import Family, render_registry
from exporter.metrics.image_metrics import IMAGE_FAMILIES
from exporter.metrics.sample_lines import format_labels, format_value, format_values, render_samples
from tests.support.examples import examples

SampleValues = Mapping[tuple[str, ...], float]


@dataclass(frozen=True)
class ExampleSubject:
    """A subject with these labels and samples."""

    labels: tuple[str, ...]
    samples: SampleValues


class ExampleCollector:
    """The subjects as a plain collector of prometheus_client."""

    def __init__(
        self, family: Family[ExampleSubject], names: tuple[str, ...], subjects: list[ExampleSubject]
    ) -> None:
        self.metric = family.metric(names)
        for subject in subjects:
            family.add_samples(self.metric, subject)

    def collect(self) -> list[object]:
        """Return the metric."""
        return [self.metric]


NAMES = st.lists(
    st.from_regex(r"[a-z]([a-z0-9_]{0,3}[a-z0-9])?", fullmatch=True),
    min_size=1,
    max_size=7,
    unique=True,
)
HOSTILE = st.text(st.sampled_from('"\\\n{}%s0,='), max_size=6)
VALUES = (
    st.floats()
    | st.integers(-(2**63), 2**63).map(float)
    | st.integers(-20, 20).map(lambda exponent: 10.0**exponent)
)


def samples_as_text(subject: ExampleSubject) -> str:
    """Return a key that differs for different samples, also for 0.0 and -0.0."""
    return repr(subject.samples)


def samples_of(subject: ExampleSubject) -> SampleValues:
    """Return the samples of a subject."""
    return subject.samples


def rows_of_each(subjects: Collection[ExampleSubject]) -> list[list[tuple[str, ...]]]:
    """Return the labels of each subject's samples."""
    return [list(subject.samples) for subject in subjects]


def rows_as_samples(subject: ExampleSubject) -> SampleValues:
    """Return the samples of a subject of a family whose samples are all 1."""
    return dict.fromkeys(subject.samples, 1.0)


def value_of_each(subjects: Collection[ExampleSubject]) -> list[float | None]:
    """Return the value of each subject, of a family without labels of its own."""
    return [subject.samples.get(()) for subject in subjects]


@st.composite
def families_with_subjects(
    draw: st.DrawFn,
) -> tuple[Family[ExampleSubject], tuple[str, ...], list[ExampleSubject]]:
    """Return a family, the names of its subjects' labels, and some subjects."""
    names = draw(NAMES)
    own = draw(st.integers(0, len(names) - 1))
    texts = HOSTILE | st.text(st.characters(codec="utf-8"), max_size=8)
    subjects = draw(
        st.lists(
            st.builds(
                ExampleSubject,
                st.tuples(*[texts] * (len(names) - own)),
                st.dictionaries(st.tuples(*[texts] * own), VALUES, max_size=3),
            ),
            max_size=4,
        )
    )
    is_counter = draw(st.booleans())
    has_column = not own and draw(st.booleans())
    has_rows = own and draw(st.booleans())
    family: Family[ExampleSubject] = Family(
        "example_total" if is_counter else "example",
        "counter" if is_counter else "gauge",
        "An example.",
        rows_as_samples if has_rows else samples_of,
        tuple(names[:own]),
        None if has_rows else draw(st.none() | st.just(samples_as_text)),
        value_of_each if has_column else None,
        rows_of_each if has_rows else None,
    )
    return family, tuple(names[own:]), subjects


@examples(500)
@given(families_with_subjects())
def test_lines_equal_those_of_prometheus_client(
    example: tuple[Family[ExampleSubject], tuple[str, ...], list[ExampleSubject]],
) -> None:
    family, names, subjects = example
    registry = CollectorRegistry()
    registry.register(ExampleCollector(family, names, subjects))  # type: ignore[arg-type]  # as such
    labels = format_labels(names, subjects)
    texts = render_samples(family, labels, subjects)
    assert [text.count("\n") for text in texts] == [len(subject.samples) for subject in subjects]
    for openmetrics in (False, True):
        rendered = render_registry(registry, openmetrics).removesuffix(b"# EOF\n")
        assert "".join(texts).encode() == b"".join(rendered.splitlines(keepends=True)[2:])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (1e-7, "1e-07"),
        (999999.5, "999999.5"),
        (1e6, "1e+06"),
        (1234567.25, "1.23456725e+06"),
        (2147483648.0, "2.147483648e+09"),
        (9999999999999998.0, "9.999999999999998e+15"),
        (1e16, "1e+16"),
        (1e300, "1e+300"),
        (-1e7, "-10000000.0"),
        (inf, "+Inf"),
        (-inf, "-Inf"),
        (nan, "NaN"),
    ],
)
def test_value_is_formatted_as_in_go(value: float, text: str) -> None:
    assert format_value(value) == text
    assert format_values([1.0, value, 2.0]) == ["1.0", text, "2.0"]


def test_known_samples_are_closed_sets() -> None:
    """API text in a family with known samples would evict the texts that are worth keeping."""
    known = {label for family in IMAGE_FAMILIES if family.key for label in family.labels}
    assert known == {"attribute", "expectation", "source", "status"}
