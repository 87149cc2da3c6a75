"""Checks against the schemas of Kubernetes, of the Prometheus Operator and of grafana-operator."""

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
"""Supported versions of Kubernetes: the oldest, one in between and the newest."""

OPERATORS = frozenset({"monitoring.coreos.com/v1", "grafana.integreatly.org/v1beta1"})
"""Groups and versions of custom resources, whose schemas are in a folder of the tests."""

# Without a cache it reads megabytes of schemas for each manifest.
utils.schema_contents = cache(utils.schema_contents)


def kubernetes(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Check every Kubernetes object against its schema, refusing unknown fields."""
    for manifest in manifests:
        if manifest["apiVersion"] in OPERATORS:
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                place = ".".join(map(str, error.path))
                yield f"{title(manifest)}: {version}: {place}: {error.message}"
            except kubernetes_validate.SchemaNotFoundError as error:
                yield f"{title(manifest)}: {error.message}"


def operators(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Check every custom resource against its schema, refusing unknown fields."""
    for manifest in manifests:
        if manifest["apiVersion"] in OPERATORS:
            for error in jsonschema.Draft202012Validator(_schema(manifest["kind"])).iter_errors(
                manifest
            ):
                best = jsonschema.exceptions.best_match([error])
                yield f"{title(manifest)}: {best.json_path}: {best.message}"


@cache
def _schema(kind: str) -> Any:
    return json.loads((SCHEMAS / f"{kind.lower()}.json").read_text("utf-8"))
