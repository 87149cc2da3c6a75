"""Random values that a JSON Schema of the chart accepts, with hypothesis."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

Schema = Mapping[str, Any]

ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda items: (
        st.lists(items, max_size=2) | st.dictionaries(st.text(max_size=8), items, max_size=2)
    ),
    max_leaves=3,
)


def values_of(schema: Schema, root: Schema) -> st.SearchStrategy[Any]:
    """Return values that the keywords of the schema describe, except its conditions."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name == "data":
            return ANYTHING
        return st.deferred(lambda: values_of(root["definitions"][name], root))
    if "oneOf" in schema:
        return st.one_of([values_of(choice, root) for choice in schema["oneOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return OF_TYPE[schema["type"]](schema, root)


def _integers(schema: Schema, _: Schema) -> st.SearchStrategy[int]:
    return st.integers(schema.get("minimum", -(2**53)), schema.get("maximum", 2**53))


def _arrays(schema: Schema, root: Schema) -> st.SearchStrategy[list[Any]]:
    items = values_of(schema["items"], root)
    return st.lists(items, min_size=schema.get("minItems", 0), max_size=2)


def _texts(schema: Schema, _: Schema) -> st.SearchStrategy[str]:
    if "pattern" not in schema:
        return st.text(min_size=schema.get("minLength", 0), max_size=12)
    texts = st.from_regex(re.sub(r"\$$", r"\\Z", schema["pattern"]))
    return texts.filter(lambda text: len(text) <= schema.get("maxLength", 253))


def _objects(schema: Schema, root: Schema) -> st.SearchStrategy[dict[str, Any]]:
    if "properties" in schema:
        fields = {key: values_of(part, root) for key, part in schema["properties"].items()}
        required = {key: fields.pop(key) for key in schema.get("required", ())}
        return st.fixed_dictionaries(required, optional=fields)
    keys = values_of({"type": "string", **schema.get("propertyNames", {})}, root)
    free = schema.get("additionalProperties")
    values = values_of(free, root) if isinstance(free, dict) else ANYTHING
    return st.dictionaries(keys, values, min_size=schema.get("minProperties", 0), max_size=2)


OF_TYPE: Mapping[str, Callable[[Schema, Schema], st.SearchStrategy[Any]]] = MappingProxyType(
    {
        "array": _arrays,
        "boolean": lambda _schema, _root: st.booleans(),
        "integer": _integers,
        "number": _integers,
        "object": _objects,
        "string": _texts,
    }
)
"""Values of each type."""
