"""Write the Prometheus Operator's schemas from cloudcoil's models of its CRDs.

To update the schemas to another version of the operator::

    python -m venv /tmp/models
    /tmp/models/bin/pip install cloudcoil-models-prometheus-operator==0.80.1.0
    /tmp/models/bin/python -m tests.k8s.operator_schemas

The package's version is the operator's version plus one more number. Its licence is Apache-2.0,
like that of the operator and of this project.
"""

import importlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).parent / "schemas"
KINDS = ("PrometheusRule", "ServiceMonitor")
PACKAGE = "cloudcoil-models-prometheus-operator"
ANNOTATIONS = frozenset({"default", "description", "title"})


def strict(schema: Any) -> Any:
    """Return the schema without annotations, refusing unknown fields."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    fields = {
        key: {name: strict(property_) for name, property_ in value.items()}
        if key in {"properties", "$defs"}
        else strict(value)
        for key, value in schema.items()
        if key not in ANNOTATIONS or not isinstance(value, str | None)
    }
    return {**fields, "additionalProperties": False} if "properties" in fields else fields


def main() -> None:
    """Write the schema file of each kind."""
    version = importlib.metadata.version(PACKAGE)
    models = importlib.import_module("cloudcoil.models.prometheus_operator.v1")
    for kind in KINDS:
        comment = (
            f"The Prometheus Operator's schema of a {kind}, Apache-2.0, made by "
            f"tests/k8s/operator_schemas.py from {PACKAGE} {version}."
        )
        schema = {"$comment": comment, **strict(getattr(models, kind).model_json_schema())}
        text = json.dumps(schema, indent=1, sort_keys=True)
        (SCHEMAS / f"{kind.lower()}.json").write_text(f"{text}\n", "utf-8")


if __name__ == "__main__":
    main()
