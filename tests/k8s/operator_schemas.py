"""Writes the Prometheus Operator's schemas, from the models that cloudcoil makes of its CRDs.

Whoever wants another version of the operator runs this with a package that has it::

    python -m venv /tmp/models
    /tmp/models/bin/pip install cloudcoil-models-prometheus-operator==0.80.1.0
    /tmp/models/bin/python -m tests.k8s.operator_schemas

The package's version is the operator's, with one more number. It is under Apache-2.0, as the
operator and this project are.
"""

import importlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).parent / "schemas"
KINDS = ("PrometheusRule", "ServiceMonitor")
PACKAGE = "cloudcoil-models-prometheus-operator"
LEFT_OUT = frozenset({"default", "description", "title"})


def strict(schema: Any) -> Any:
    """The schema without prose, that takes no field which it does not name."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: {name: strict(each) for name, each in value.items()}
        if key in {"properties", "$defs"}
        else strict(value)
        for key, value in schema.items()
        if key not in LEFT_OUT or not isinstance(value, str | None)
    }
    return {**kept, "additionalProperties": False} if "properties" in kept else kept


def main() -> None:
    """Writes all files anew."""
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
