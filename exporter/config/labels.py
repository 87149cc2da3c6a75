"""Labels that the operator gives to images: their validator, and the precedence of levels."""

import re
from collections.abc import Mapping
from itertools import islice
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from exporter.config import types
from exporter.config.messages import name, shown
from exporter.model.target import OperatorLabels

RESERVED = frozenset(
    {
        # Labels of the exporter's metrics.
        "algorithm",
        "attribute",
        "change",
        "cloud",
        "code",
        "container_format",
        "digest",
        "disk_format",
        "encoding",
        "expectation",
        "image",
        "image_id",
        "method",
        "name",
        "project_id",
        "property",
        "protected",
        "public",
        "python_version",
        "reason",
        "revision",
        "size_bytes",
        "source",
        "status",
        "value",
        "version",
        "visibility",
        # Labels that Prometheus and its operator add to each target.
        "container",
        "endpoint",
        "instance",
        "job",
        "namespace",
        "pod",
        "service",
        # Labels of alerts, histograms and summaries.
        "alertgroup",
        "alertname",
        "alertstate",
        "le",
        "quantile",
        "severity",
    }
)
"""Names that an operator's label must not have: the label would change an alert or a join."""

EXPORTED = "exported_"
"""Prefix of labels that Prometheus renamed because the target has a label of that name."""

MOST_PROBLEMS = 1000
"""Wrong names and values that are reported of one mapping."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}", re.ASCII)


def read_labels(value: object) -> dict[str, str | None]:
    """Validate a mapping of label names to values; null removes an inherited label.

    Raises:
        PydanticCustomError: it is not a mapping.
        ValidationError: it has wrong names or values, each of which is an error of its own.
    """
    if not isinstance(value, dict):
        raise types.refused("is not a mapping; accepted: a mapping of label names to values")
    problems = (
        problem
        for key, item in value.items()
        for problem in (_problem_of_name(key), _problem_of_value(key, item))
        if problem is not None
    )
    if first := list(islice(problems, MOST_PROBLEMS)):
        errors = [InitErrorDetails(type=types.hidden(text), input=value) for text in first]
        raise ValidationError.from_exception_data("labels", errors)
    return value


Labels = Annotated[Mapping[str, str | None], BeforeValidator(read_labels)]


class LabelInheritance:
    """The labels that images of one cloud inherit.

    Equal results are shared, because thousands of images may have the same labels.
    """

    def __init__(self, names: frozenset[str], *levels: Mapping[str, str | None]) -> None:
        """Take the names that every image has, and the levels, the most general level first."""
        self._names = sorted(names)
        self._inherited = {name: value for level in levels for name, value in level.items()}
        self._shared: dict[OperatorLabels, OperatorLabels] = {}

    def resolve(self, own: Mapping[str, str | None]) -> OperatorLabels:
        """Return all labels of an image that has these of its own; others are empty."""
        values = {**self._inherited, **own}
        labels = tuple((label, values.get(label) or "") for label in self._names)
        return self._shared.setdefault(labels, labels)


def _problem_of_name(key: object) -> str | None:
    text = key if isinstance(key, str) else shown(key)
    if not _NAME.fullmatch(text):
        return (
            f"{name(text)} is not a label name; accepted: letters, digits and '_', at most 255, "
            "without a digit at the start"
        )
    if text.startswith("__"):
        return f"{name(text)} starts with '__', which Prometheus reserves; accepted: another name"
    if text in RESERVED or text.startswith(EXPORTED):
        return (
            f"{name(text)} is a label of the exporter, of Prometheus or of alerts; "
            "accepted: another name"
        )
    return None


def _problem_of_value(key: object, value: object) -> str | None:
    try:
        if value is not None:
            types.text()(value)
    except PydanticCustomError as error:
        return f"{name(str(key))}: {shown(value)} {error.message()}"
    return None
