"""Schemas: those of three versions of Kubernetes, and the Prometheus Operator's."""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import jsonschema
import kubernetes_validate
from kubernetes_validate import utils

from tests.k8s.manifest import Manifest, title
from tests.k8s.operator_schemas import SCHEMAS

VERSIONS = ("1.29", "1.33", "1.37")
"""The versions of Kubernetes that the manifests are for: the oldest, the newest, one between."""

OPERATOR = "monitoring.coreos.com/v1"

# It reads some megabytes of schemas for each manifest.
utils.schema_contents = cache(utils.schema_contents)


def kubernetes(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Every object of Kubernetes is as its schema says, without an unknown field."""
    for each in manifests:
        if each["apiVersion"] == OPERATOR:
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(each, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                place = ".".join(map(str, error.path))
                yield f"{title(each)}: {version}: {place}: {error.message}"
            except kubernetes_validate.SchemaNotFoundError as error:
                yield f"{title(each)}: {error.message}"


def prometheus_operator(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Every object of the Prometheus Operator is as its schema says, without an unknown field."""
    for each in manifests:
        if each["apiVersion"] == OPERATOR:
            for error in jsonschema.Draft202012Validator(_schema(each["kind"])).iter_errors(each):
                best = jsonschema.exceptions.best_match([error])
                yield f"{title(each)}: {best.json_path}: {best.message}"


@cache
def _schema(kind: str) -> Any:
    return json.loads((SCHEMAS / f"{kind.lower()}.json").read_text("utf-8"))
