"""Labels that the operator gives to images: their validator, and the precedence of levels."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from exporter.config import types
from exporter.config.messages import name, shown
from exporter.model.target import OperatorLabels

RESERVED = frozenset(
    {
        # Labels of the exporter's metrics.
        "algorithm",
        "attribute",
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
        "python_version",
        "reason",
        "revision",
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

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}", re.ASCII)


def read_labels(value: object) -> dict[str, str | None]:
    """Validate a mapping of label names to values; null removes an inherited label."""
    if not isinstance(value, dict):
        raise types.refused("is not a mapping; accepted: a mapping of label names to values")
    return {_label_name(key): _label_value(key, item) for key, item in value.items()}


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


def _label_name(key: object) -> str:
    text = key if isinstance(key, str) else shown(key)
    if not _NAME.fullmatch(text):
        raise types.hidden(
            f"{name(text)} is not a label name; accepted: letters, digits and '_', at most 255, "
            "without a digit at the start"
        )
    if text.startswith("__"):
        raise types.hidden(
            f"{name(text)} starts with '__', which Prometheus reserves; accepted: another name"
        )
    if text in RESERVED or text.startswith(EXPORTED):
        raise types.hidden(
            f"{name(text)} is a label of the exporter, of Prometheus or of alerts; "
            "accepted: another name"
        )
    return text


def _label_value(key: str, value: object) -> str | None:
    try:
        return None if value is None else types.text()(value)
    except PydanticCustomError as error:
        raise types.hidden(f"{name(key)}: {shown(value)} {error.message()}") from None
