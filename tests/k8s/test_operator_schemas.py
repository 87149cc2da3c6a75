"""Tests of the Prometheus Operator's schemas, and of what makes them."""

import json

import pytest

from tests.k8s.operator_schemas import KINDS, PACKAGE, SCHEMAS, strict


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_takes_only_what_it_names(kind: str) -> None:
    """It is as it was made, says of what, and is of the kind that its file is named after."""
    schema = json.loads((SCHEMAS / f"{kind.lower()}.json").read_text("utf-8"))
    assert strict(schema) == schema
    assert f"{PACKAGE} 0." in schema["$comment"]
    assert {"const": kind, "type": "string"} in schema["properties"]["kind"]["anyOf"]
    assert schema["additionalProperties"] is False


def test_prose_goes_and_fields_of_its_name_stay() -> None:
    """Descriptions and defaults are left out, a property that is called so is not."""
    made = {
        "description": "An endpoint.",
        "properties": {
            "title": {"type": "string", "title": "Title", "default": None},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    }
    assert strict(made) == {
        "properties": {
            "title": {"type": "string"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "additionalProperties": False,
    }
