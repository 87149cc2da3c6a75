"""Fields of the Image API v2, one at a time: valid, untrustworthy and hostile ones."""

import dataclasses
import json
from collections.abc import Mapping

import pytest

from exporter.model.image import STATUSES, Image
from exporter.model.responses.parsers import Column, Malformed
from exporter.model.responses.v1_headers import V1_HEADERS
from exporter.model.responses.v2_fields import (
    MD5_OF_NOTHING,
    SCHEMA_KEYS,
    TRUE_SIZE,
    V2_FIELDS,
    image_from_document,
    parse_json,
)
from tests.model.responses.v2_documents import ID, LINKS, image, parse_text

NOT_WHOLE = "not a whole number of 0 or more"
OPTIONAL = [field for field in V2_FIELDS if not field.required]


def parse(
    fields: Mapping[str, object], properties: frozenset[str] | None = None
) -> Image | Malformed:
    """Parse a document with the ID ``ID``, an active status and these fields."""
    return parse_text(json.dumps({"id": ID, "status": "active", **fields}), properties)


ONE_FIELD: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "name": ({"name": "golden"}, {"name": "golden"}),
    "name-hostile": (
        {"name": "a\r\n\x00\x1b\u202e\"'{}\\"},
        {"name": "a\r\n\x00\x1b\u202e\"'{}\\"},
    ),
    "name-astral": ({"name": "\U0001f4a3"}, {"name": "\U0001f4a3"}),
    "name-empty": ({"name": ""}, {}),
    "name-half-a-pair": ({"name": "a\ud83d"}, {}),
    "name-of-a-null": ({"name": "None"}, {"name": "None"}),
    "size": ({"size": 5}, {"size_bytes": 5}),
    "size-zero": ({"size": 0}, {"size_bytes": 0}),
    "size-largest": ({"size": 2**63 - 1}, {"size_bytes": 2**63 - 1}),
    "virtual-size": ({"virtual_size": 8796093022208}, {"virtual_size_bytes": 8796093022208}),
    "min-disk": ({"min_disk": 40}, {"min_disk_bytes": 42_949_672_960}),
    "min-ram": ({"min_ram": 512}, {"min_ram_bytes": 536_870_912}),
    "protected": ({"protected": True}, {"protected": True}),
    "not-protected": ({"protected": False}, {"protected": False}),
    "hidden": ({"os_hidden": True}, {"hidden": True}),
    "public": ({"visibility": "public"}, {"visibility": "public", "public": True}),
    "private": ({"visibility": "private"}, {"visibility": "private", "public": False}),
    "shared": ({"visibility": "shared"}, {"visibility": "shared", "public": False}),
    "community": ({"visibility": "community"}, {"visibility": "community", "public": False}),
    "visibility-unknown": ({"visibility": "Public"}, {"visibility": "Public"}),
    "created": ({"created_at": "1970-01-01T00:00:01Z"}, {"created_at": 1.0}),
    "updated": ({"updated_at": "1970-01-01T00:00:01.5"}, {"updated_at": 1.5}),
    "container": ({"container_format": "ovf"}, {"container_format": "ovf"}),
    "disk": ({"disk_format": "qcow2"}, {"disk_format": "qcow2"}),
    "owner": ({"owner": "70e8"}, {"project_id": "70e8"}),
    "checksum": ({"checksum": "0f"}, {"digests": (("md5", "0f"),)}),
    "hash": (
        {"os_hash_algo": "sha512", "os_hash_value": "1e", "checksum": "0f"},
        {"digests": (("md5", "0f"), ("sha512", "1e"))},
    ),
    "hash-is-the-checksum": (
        {"os_hash_algo": "md5", "os_hash_value": "0f", "checksum": "0f"},
        {"digests": (("md5", "0f"),)},
    ),
    "hash-without-algorithm": ({"os_hash_value": "1e"}, {}),
    "algorithm-without-hash": ({"os_hash_algo": "sha512", "os_hash_value": None}, {}),
    "tags": ({"tags": ["b", "ünï", "a"]}, {"tags": ("a", "b", "ünï")}),
    "tags-none": ({"tags": []}, {}),
    "tags-half-a-pair": ({"tags": ["\udc00", "a"]}, {"tags": ("a",)}),
    "store": ({"stores": "fs"}, {"stores": ("fs",)}),
    "stores": ({"stores": "fs,ceph"}, {"stores": ("fs", "ceph")}),
    "stores-none": ({"stores": ""}, {}),
    "links": (dict.fromkeys(LINKS, "/v2/images"), {}),
    "property": ({"Os_Distro": "x"}, {"properties": (("Os_Distro", "x"),)}),
    "property-empty": ({"os_distro": ""}, {"properties": (("os_distro", ""),)}),
    "property-lines": ({"a": "1\r\n2"}, {"properties": (("a", "1\r\n2"),)}),
    "property-null": ({"os_distro": None}, {}),
    "property-half-a-pair": ({"os_distro": "\ud800"}, {}),
    "property-key-half-a-pair": ({"os_\ud800": "x"}, {}),
    "property-without-key": ({"": "x"}, {}),
    "unknown-number": ({"colour": 5}, {}),
    "unknown-object": ({"colour": {"status": "queued"}}, {}),
    "unknown-list": ({"members": [{"id": "f00"}]}, {}),
}
"""Fields in addition to ID and status, and the attributes that they set."""


@pytest.mark.parametrize(("fields", "attributes"), ONE_FIELD.values(), ids=ONE_FIELD)
def test_one_field_sets_only_its_attribute(
    fields: dict[str, object], attributes: dict[str, object]
) -> None:
    assert parse(fields) == image(**attributes)


def test_every_field_is_in_these_tests() -> None:
    tested = {key for fields, _ in ONE_FIELD.values() for key in fields}
    assert {field.key for field in OPTIONAL} - tested == set()


def test_attributes_of_an_image_are_those_of_the_tables() -> None:
    """Digests and properties are made of several fields, and the others are no fields."""
    rows = {header.attribute for header in V1_HEADERS} | {field.attribute for field in V2_FIELDS}
    attributes = {field.name for field in dataclasses.fields(Image)}
    without_a_row = {"api", "digests", "properties", "requested_properties"}
    assert attributes - rows == without_a_row
    assert rows - attributes == {"checksum", "hash_algorithm", "hash_value"}


@pytest.mark.parametrize("field", OPTIONAL, ids=lambda field: field.key)
def test_null_field_is_absent_and_not_0(field: Column[str, object]) -> None:
    assert parse({field.key: None}) == image()


@pytest.mark.parametrize("status", [*STATUSES, "brand-new"])
def test_every_status_is_kept_even_an_undocumented_one(status: str) -> None:
    assert parse({"status": status}) == image(status=status)


def test_only_requested_properties_are_kept() -> None:
    fields = {"B": "2", "a": "1", "A": "3"}
    assert parse(fields) == image(properties=(("A", "3"), ("B", "2"), ("a", "1")))
    names = frozenset({"A", "b", "name"})
    assert parse(fields, names) == image(properties=(("A", "3"),), requested_properties=names)
    assert parse(fields, frozenset()) == image(requested_properties=frozenset())


def test_tags_and_properties_are_sorted() -> None:
    one = parse({"tags": ["a", "b"], "x": "1", "y": "2"})
    assert one == parse({"y": "2", "x": "1", "tags": ["b", "a"]})
    assert isinstance(one, Image)


MALFORMED: dict[str, tuple[dict[str, object], list[str]]] = {
    "no-id": ({"id": None}, ["id is missing"]),
    "another-id": ({"id": "f00"}, ["id belongs to another image: 'f00'"]),
    "id-in-capitals": ({"id": ID.upper()}, [f"id belongs to another image: '{ID.upper()}'"]),
    "id-a-number": ({"id": 5}, ["id is not a string: 5"]),
    "no-status": ({"status": None}, ["status is missing"]),
    "status-empty": ({"status": ""}, ["status is missing"]),
    "status-a-list": ({"status": ["active"]}, ["status is not a string: a list"]),
    "status-half-a-pair": (
        {"status": "\ud800"},
        [r"status is not valid Unicode: '\ud800'"],
    ),
    "name-a-number": ({"name": 5}, ["name is not a string: 5"]),
    "name-an-object": ({"name": {}}, ["name is not a string: an object"]),
    "size-true": ({"size": True}, [f"size is {NOT_WHOLE}: True"]),
    "size-text": ({"size": "5"}, [f"size is {NOT_WHOLE}: '5'"]),
    "size-fraction": ({"size": 1.5}, [f"size is {NOT_WHOLE}: 1.5"]),
    "size-whole-fraction": ({"size": 1.0}, [f"size is {NOT_WHOLE}: 1.0"]),
    "size-negative": ({"size": -1}, [f"size is {NOT_WHOLE}: -1"]),
    "size-too-large": ({"size": 2**63}, ["size is larger than 2^63 - 1: 9223372036854775808"]),
    "min-disk-text": ({"min_disk": "40"}, [f"min_disk is {NOT_WHOLE}: '40'"]),
    "min-ram-empty": ({"min_ram": ""}, [f"min_ram is {NOT_WHOLE}: ''"]),
    "protected-one": ({"protected": 1}, ["protected is neither true nor false: 1"]),
    "hidden-text": ({"os_hidden": "true"}, ["os_hidden is neither true nor false: 'true'"]),
    "visibility-true": ({"visibility": True}, ["visibility is not a string: True"]),
    "time-a-number": ({"created_at": 5}, ["created_at is not a string: 5"]),
    "time-empty": (
        {"created_at": ""},
        ["created_at is not a time like 2026-11-23T11:02:43.626002: ''"],
    ),
    "time-that-is-none": (
        {"updated_at": "2026-02-30T00:00:00Z"},
        ["updated_at is not a time that exists: '2026-02-30T00:00:00Z'"],
    ),
    "checksum-a-number": ({"checksum": 0}, ["checksum is not a string: 0"]),
    "hash-a-list": ({"os_hash_value": []}, ["os_hash_value is not a string: a list"]),
    "two-md5": (
        {"checksum": "0f", "os_hash_algo": "md5", "os_hash_value": "1e"},
        ["checksum and os_hash_value are two digests of one algorithm"],
    ),
    "tags-text": ({"tags": "a,b"}, ["tags is not a list of strings: 'a,b'"]),
    "tags-of-numbers": ({"tags": ["a", 1]}, ["tags is not a list of strings: a list"]),
    "stores-a-list": ({"stores": ["fs"]}, ["stores is not a string: a list"]),
    "everything": (
        {"id": "x", "status": 0, "size": "x", "protected": "x"},
        [
            "status is not a string: 0",
            f"size is {NOT_WHOLE}: 'x'",
            "protected is neither true nor false: 'x'",
            "id belongs to another image: 'x'",
        ],
    ),
}
"""Fields that cannot be trusted, and the reported problems."""


@pytest.mark.parametrize(("fields", "problems"), MALFORMED.values(), ids=MALFORMED)
def test_untrustworthy_document_is_malformed_and_names_every_bad_field(
    fields: dict[str, object], problems: list[str]
) -> None:
    assert parse(fields) == Malformed(tuple(problems))


@pytest.mark.parametrize("document", [None, True, 5, "active", [], [{"id": ID}]])
def test_document_other_than_an_object_is_malformed(document: object) -> None:
    assert image_from_document(document, ID) == Malformed(("the response is not a JSON object",))


def test_empty_object_is_malformed() -> None:
    """Some proxy may have sent it."""
    assert parse_text("{}") == Malformed(("id is missing", "status is missing"))
    assert parse_text('{"status": "ok"}') == Malformed(("id is missing",))


TWICE = {
    "status": '"status": "queued"',
    "of-another-type": '"size": 1.0, "size": 1',
    "true-and-one": '"size": true, "size": 1',
    "null-and-value": '"size": null, "size": 1',
    "three-times": '"size": 1, "size": 2, "size": 1',
    "list": '"tags": ["a"], "tags": ["b"]',
    "property": '"os_distro": "a", "os_distro": "b"',
}
"""Members after the status, with a key that is repeated with different values."""


@pytest.mark.parametrize("members", TWICE.values(), ids=TWICE)
def test_key_repeated_with_different_values_is_malformed(members: str) -> None:
    malformed = parse_text(f'{{"id": "{ID}", "status": "active", {members}}}')
    assert isinstance(malformed, Malformed)
    key = members.partition('"')[2].partition('"')[0]
    printed_key = key if key in SCHEMA_KEYS else repr(key)
    assert malformed.problems == (f"{printed_key} is repeated with different values",)


def test_key_repeated_with_the_same_value_is_accepted() -> None:
    text = f'{{"id": "{ID}", "size": 5, "status": "active", "size": 5, "status": "active"}}'
    assert parse_text(text) == image(size_bytes=5)


def test_repeated_key_inside_an_unknown_field_is_ignored() -> None:
    assert parse_text(f'{{"id": "{ID}", "status": "active", "x": {{"a": 1, "a": 2}}}}') == image()


TRUE_SIZES: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "text": ({"size": 0, TRUE_SIZE: "1073741824"}, {"size_bytes": 2**30}),
    "number": ({"size": 0, TRUE_SIZE: 2**30}, {"size_bytes": 2**30}),
    "size-null": ({"size": None, TRUE_SIZE: "5"}, {"size_bytes": 5}),
    "size-absent": ({TRUE_SIZE: "5"}, {"size_bytes": 5}),
    "size-known": ({"size": 7, TRUE_SIZE: "5"}, {"size_bytes": 7}),
    "zero": ({"size": 0, TRUE_SIZE: "0"}, {"size_bytes": 0}),
    "negative": ({"size": 0, TRUE_SIZE: "-5"}, {"size_bytes": 0}),
    "fraction": ({"size": 0, TRUE_SIZE: 5.0}, {"size_bytes": 0}),
    "true": ({"size": 0, TRUE_SIZE: True}, {"size_bytes": 0}),
    "no-number": ({"size": 0, TRUE_SIZE: "5 GB"}, {"size_bytes": 0}),
    "too-large": ({"size": 0, TRUE_SIZE: str(2**63)}, {"size_bytes": 0}),
    "nothing-hashed": ({"size": 0, TRUE_SIZE: "5", "checksum": MD5_OF_NOTHING}, {"size_bytes": 5}),
    "something-hashed": (
        {"size": 0, TRUE_SIZE: "5", "checksum": "0f"},
        {"size_bytes": 5, "digests": (("md5", "0f"),)},
    ),
    "an-empty-file": (
        {"size": 0, "checksum": MD5_OF_NOTHING},
        {"size_bytes": 0, "digests": (("md5", MD5_OF_NOTHING),)},
    ),
}
"""Documents as Open Telekom Cloud sends them, and similar ones."""


@pytest.mark.parametrize(("fields", "attributes"), TRUE_SIZES.values(), ids=TRUE_SIZES)
def test_true_size_replaces_a_missing_size_and_drops_the_md5_of_nothing(
    fields: dict[str, object], attributes: dict[str, object]
) -> None:
    assert parse(fields, frozenset()) == image(requested_properties=frozenset(), **attributes)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{} x",
        b"\xef\xbb\xbf{}",
        b'{"name": "\xff"}',
        b'{"name": "\xed\xa0\x80"}',
        b'{"size": NaN}',
        b'{"size": -Infinity}',
        b'{"size": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        '{"id": 1}'.encode("utf-16"),
    ],
    ids=lambda body: repr(body[:16]),
)
def test_invalid_json_raises_value_error(body: bytes) -> None:
    """Invalid UTF-8, deep nesting and long numbers count as invalid JSON too."""
    with pytest.raises(ValueError, match=r"."):
        parse_json(body)


HOSTILE = {
    "control": {"size": "\u202e\x1b[31m\x00\x7f\u2028'\"\r\n\udfff"},
    "long": {"size": "x" * 100_000},
    "long-number": {"size": 10**4000},
    "deep": {"size": {"a": [{"b": [[[[]]]]}]}},
    "id": {"id": "\u202e\x1b\n" * 1000},
}


@pytest.mark.parametrize("fields", HOSTILE.values(), ids=HOSTILE)
def test_problems_are_short_printable_ascii(fields: dict[str, object]) -> None:
    assert_safe(parse(fields))


def test_repeated_hostile_key_is_escaped() -> None:
    """Tenants choose the keys of properties."""
    key = json.dumps("\u202e\x1b\n" * 1000)
    assert_safe(parse_text(f'{{"id": "{ID}", "status": "active", {key}: 1, {key}: 2}}'))


def assert_safe(malformed: Image | Malformed) -> None:
    """Assert that the document is malformed with one short problem in printable ASCII."""
    assert isinstance(malformed, Malformed)
    (problem,) = malformed.problems
    assert problem.isascii()
    assert problem.isprintable()
    assert len(problem) < 150


SHARED: dict[str, object] = {
    "status": "queued",
    "visibility": "shared",
    "container_format": "ovf",
    "disk_format": "vmdk",
    "owner": "70e8",
    "hw_model": "",
}


def test_images_share_the_texts_that_many_have() -> None:
    """Each would take 50 to 80 bytes of memory per image."""
    one, other = parse(SHARED), parse(SHARED)
    assert isinstance(one, Image)
    assert isinstance(other, Image)
    for attribute in ("status", "visibility", "container_format", "disk_format", "project_id"):
        assert getattr(one, attribute)
        assert getattr(one, attribute) is getattr(other, attribute)
    assert one.properties[0][0] is other.properties[0][0]
