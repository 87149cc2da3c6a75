"""Write the types of Kubernetes and of the Prometheus Operator into the schema of the chart.

To update ``k8s/chart/values.schema.json`` after a change of its references or of the supported
versions::

    .venv/bin/python -m tests.k8s.chart_schema

Definitions whose names begin with a capital letter are generated. What satisfies them satisfies
the oldest supported version of Kubernetes.
"""

import json
import re
from importlib.resources import files
from typing import Any

import yaml

from tests.k8s.checks.schema import VERSIONS
from tests.k8s.operator_schemas import SCHEMAS, strict
from tests.k8s.rendering import K8S

FILE = K8S / "chart/values.schema.json"
KUBERNETES = f"kubernetes-json-schema/v{VERSIONS[0]}.0-local-strict/_definitions.json"
REFERENCE = re.compile(r"#/(?:\$defs|definitions)/(?P<name>.+)$")
VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "name",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
"""Kinds of volumes that the Pod Security level `restricted` allows, and their name."""

BOUNDS = {
    "int32": {"minimum": -(2**31), "maximum": 2**31 - 1},
    "int64": {"minimum": -(2**53), "maximum": 2**53},
}
"""Range of the integers of each format; Helm computes with floating-point numbers."""

TEXT = {"$ref": "#/definitions/text"}
"""Schema of a string."""

Schema = dict[str, Any]


def generated_definitions(schema: Schema) -> Schema:
    """Return the definitions to which the schema refers, and those to which they refer."""
    sources = _sources()
    wanted, found = _names(schema), dict[str, Any]()
    while missing := sorted((wanted & sources.keys()) - found.keys()):
        for name in missing:
            found[name] = _short(sources[name])
            wanted |= _names(found[name])
    return dict(sorted(found.items()))


def rendered(text: str) -> str:
    """Return the text of the schema with new generated definitions."""
    schema: Schema = json.loads(text)
    written = {
        name: definition
        for name, definition in schema["definitions"].items()
        if not name[0].isupper()
    }
    schema["definitions"] = written
    schema["definitions"] |= generated_definitions(schema)
    return f"{json.dumps(schema, indent=2)}\n"


def _sources() -> Schema:
    """Return the definitions of Kubernetes and of a ServiceMonitor by their short names.

    Alert is the name of an alert.
    """
    kubernetes = json.loads(files("kubernetes_validate").joinpath(KUBERNETES).read_text("utf-8"))
    monitor = json.loads((SCHEMAS / "servicemonitor.json").read_text("utf-8"))
    volume = kubernetes["$defs"]["io.k8s.api.core.v1.Volume"]
    volume["properties"] = {
        name: kind for name, kind in volume["properties"].items() if name in VOLUMES
    }
    groups = ("io.k8s.api.core.v1.", "io.k8s.api.networking.v1.", "io.k8s.apimachinery.")
    short = {
        name.rpartition(".")[2]: definition
        for name, definition in kubernetes["$defs"].items()
        if name.startswith(groups)
    }
    # Newer versions of Kubernetes require it.
    short["HostAlias"]["required"] = ["ip"]
    return {**short, **monitor["$defs"], "Alert": {"enum": alert_names()}}


def alert_names() -> list[str]:
    """Return the names of the alerts in the chart."""
    rules = yaml.safe_load((K8S / "chart/files/prometheusrule.yaml").read_text("utf-8"))
    groups = rules["spec"]["groups"]
    names = {rule.get("alert") for group in groups for rule in group["rules"]}
    return sorted(names - {None})


def _names(schema: Any) -> set[str]:
    """Return the names of the definitions to which a schema refers."""
    if isinstance(schema, list):
        return {name for item in schema for name in _names(item)}
    if not isinstance(schema, dict):
        return set()
    match = REFERENCE.search(schema["$ref"]) if isinstance(schema.get("$ref"), str) else None
    return ({match["name"]} if match else set()) | _names(list(schema.values()))


def _short(schema: Any) -> Any:
    """Return the schema without annotations and null, with references to short names."""
    return _without_null(strict(schema))


def _without_null(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_null(item) for item in schema if item not in ({"type": "null"}, "null")]
    if not isinstance(schema, dict):
        return schema
    fields = {
        key: _without_null(value)
        for key, value in schema.items()
        if not key.startswith("x-kubernetes-") and key != "format"
    }
    if schema.get("format") in BOUNDS:
        fields.update(BOUNDS[schema["format"]])
    if isinstance(fields.get("type"), list) and len(fields["type"]) == 1:
        fields["type"] = fields["type"][0]
    if fields == {"type": "string"}:
        return TEXT
    if isinstance(fields.get("enum"), list):
        fields["enum"] = [value for value in fields["enum"] if value is not None]
    if isinstance(fields.get("anyOf"), list) and len(fields["anyOf"]) == 1:
        return {**{key: fields[key] for key in fields if key != "anyOf"}, **fields["anyOf"][0]}
    if isinstance(fields.get("$ref"), str) and (match := REFERENCE.search(fields["$ref"])):
        return {"$ref": f"#/definitions/{match['name'].rpartition('.')[2]}"}
    return fields


if __name__ == "__main__":
    FILE.write_text(rendered(FILE.read_text("utf-8")), "utf-8")
