"""The Prometheus Operator's schemas, and the script that generates them."""

import json

import pytest

from tests.k8s.operator_schemas import KINDS, PACKAGE, SCHEMAS, strict


@pytest.mark.parametrize("kind", KINDS)
def test_schema_accepts_only_known_fields(kind: str) -> None:
    schema = json.loads((SCHEMAS / f"{kind.lower()}.json").read_text("utf-8"))
    assert strict(schema) == schema
    assert f"{PACKAGE} 0." in schema["$comment"]
    assert {"const": kind, "type": "string"} in schema["properties"]["kind"]["anyOf"]
    assert schema["additionalProperties"] is False


def test_strict_drops_annotations_but_keeps_properties_named_like_them() -> None:
    schema = {
        "description": "An endpoint.",
        "properties": {
            "title": {"type": "string", "title": "Title", "default": None},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    }
    assert strict(schema) == {
        "properties": {
            "title": {"type": "string"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "additionalProperties": False,
    }
