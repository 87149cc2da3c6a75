"""Random values that the schema of the chart accepts render valid objects."""

import json

import jsonschema
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from tests.k8s.chart import Engine
from tests.k8s.chart_schema import FILE
from tests.k8s.checks.schema import kubernetes, operators
from tests.k8s.schema_values import values_of

SCHEMA = json.loads(FILE.read_text("utf-8"))
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
PARTS = [
    st.fixed_dictionaries({key: values_of(part, SCHEMA)})
    for key, part in SCHEMA["properties"].items()
    # Any object can be among the extra manifests, also one that no schema knows.
    if key not in {"global", "extraManifests"}
]
VALUES = st.lists(st.one_of(PARTS), max_size=6).map(
    lambda parts: {key: value for part in parts for key, value in part.items()}
)


@pytest.mark.slow  # 200 renderings, each against the schemas of three versions.
@settings(
    max_examples=200,
    deadline=None,
    phases=[Phase.generate],  # Shrinking a failure would take minutes.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(VALUES)
def test_random_values_render_valid_objects(engine: Engine, values: dict[str, object]) -> None:
    assume(VALIDATOR.is_valid(values))
    manifests = engine.render(**values)
    assert [*kubernetes(manifests), *operators(manifests)] == []
