"""Arbitrary JSON as a document of the Image API v2: no exception, no wrong value."""

import json
from datetime import UTC

from hypothesis import event, given
from hypothesis import strategies as st

from exporter.model.image import STATUSES
from exporter.model.responses.parsers import Malformed
from exporter.model.responses.v2_fields import (
    MD5_OF_NOTHING,
    SCHEMA_KEYS,
    TRUE_SIZE,
    image_from_document,
    parse_json,
)
from tests.model.responses.v2_documents import ID, parse_by_hand, parse_text

TEXTS = st.text(st.characters(categories=["L", "N", "P", "Zs", "Cc", "Cf", "Cs"]))
NUMBERS = st.integers(0, 2**63 - 1) | st.integers() | st.sampled_from([2**63, -1, 0])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
    st.sampled_from(["", "5", "true", ID, MD5_OF_NOTHING]),
)
ANY_JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=8
)
TIMES = st.datetimes(timezones=st.just(UTC) | st.none()).map(lambda moment: moment.isoformat())
FITTING: dict[str, st.SearchStrategy[object]] = {
    **dict.fromkeys(("size", "virtual_size", "min_disk", "min_ram"), NUMBERS),
    **dict.fromkeys(("protected", "os_hidden"), st.booleans()),
    **dict.fromkeys(("created_at", "updated_at"), TIMES),
    "id": st.just(ID),
    "status": st.sampled_from(STATUSES),
    "visibility": st.sampled_from(["public", "private", "shared", "community", "other"]),
    "checksum": st.sampled_from([MD5_OF_NOTHING, "0f"]),
    "os_hash_algo": st.sampled_from(["md5", "sha512"]),
    "tags": st.lists(TEXTS),
    TRUE_SIZE: NUMBERS | NUMBERS.map(str) | TEXTS,
}
KEYS = st.sampled_from([*sorted(SCHEMA_KEYS), TRUE_SIZE])
MEMBERS = st.one_of(
    KEYS.flatmap(lambda key: st.tuples(st.just(key), FITTING.get(key, TEXTS) | st.none())),
    KEYS.flatmap(lambda key: st.tuples(st.just(key), FITTING.get(key, TEXTS))),
    st.tuples(KEYS, ANY_JSON),
    st.tuples(TEXTS, ANY_JSON),
)
OBJECTS = st.lists(MEMBERS, max_size=12).map(
    lambda members: [("id", ID), ("status", "active"), *members]
)


@given(OBJECTS | st.lists(MEMBERS, max_size=4))
def test_any_object_gives_no_exception_and_no_wrong_value(
    members: list[tuple[str, object]],
) -> None:
    text = "{" + ", ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in members) + "}"
    found = parse_text(text)
    if isinstance(found, Malformed):
        event("malformed")
        assert all(problem.isascii() and problem.isprintable() for problem in found.problems)
        return
    event("an image")
    values_by_key: dict[str, set[str]] = {}
    for key, value in json.loads(text, object_pairs_hook=list):
        values_by_key.setdefault(key, set()).add(repr(value))
    assert all(len(values) == 1 for values in values_by_key.values())
    assert found.id == ID
    assert found == parse_by_hand(json.loads(text))


@given(ANY_JSON)
def test_any_json_without_the_id_is_malformed(value: object) -> None:
    found = image_from_document(parse_json(json.dumps(value).encode()), ID)
    assert isinstance(found, Malformed)
    assert found.problems


@given(st.binary())
def test_any_bytes_are_parsed_as_python_does_or_raise_value_error(body: bytes) -> None:
    try:
        found = parse_json(body)
    except ValueError:
        return
    assert found == json.loads(body)
