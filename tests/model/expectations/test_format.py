import json

import pytest

from exporter.model.expectations.checks import EXPECTATIONS, CheckResult
from exporter.model.expectations.format import format_actual, format_expected, to_json
from exporter.model.units import SizeRange

GIB = 2**30

WORDS: list[tuple[str, object, object, str, str]] = [
    ("exists", False, True, "false", "true"),
    ("status", ("active", "queued"), "killed", "active or queued", "killed"),
    ("protected", True, None, "true", ""),
    ("public", True, False, "true", "false"),
    ("visibility", ("private",), ("shared", "community"), "private", "shared or community"),
    ("hidden", False, True, "false", "true"),
    ("checksum", "abc", "def", "abc", "def"),
    ("hash", (("sha256", "a"), ("sha512", "b")), (("sha512", "c"),),
     "sha256: a, sha512: b", "sha512: c"),
    ("size", SizeRange(GIB, 4 * GIB), 512, "1GiB..4GiB", "512B"),
    ("min_disk", SizeRange.exactly(40 * GIB), 0, "40GiB", "0B"),
    ("min_ram", SizeRange(None, GIB), 2 * GIB, "..1GiB", "2GiB"),
    ("disk_format", ("raw",), "qcow2", "raw", "qcow2"),
    ("container_format", ("bare",), "ovf", "bare", "ovf"),
    ("owner", ("70e8",), "80e8", "70e8", "80e8"),
    ("name", "golden-*", "x", "golden-*", "x"),
    ("properties", (("a", "b"), ("c", "d")), (("a", "x"), ("c", None)),
     "a: b, c: d", "a: x, c: none"),
    ("max_age", 7776000.0, 8000000.4, "at most 90d", "92d14h13m20s"),
    ("max_unchanged", 60.0, -5.0, "at most 1m", "0s"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "expected", "actual", "expected_text", "actual_text"), WORDS)
def test_expected_and_actual_values_are_formatted_as_in_settings(
    name: str, expected: object, actual: object, expected_text: str, actual_text: str
) -> None:
    result = CheckResult(name, expected, actual, None)
    assert (format_expected(result), format_actual(result)) == (expected_text, actual_text)


def test_every_expectation_is_tested() -> None:
    assert [name for name, *_ in WORDS] == list(EXPECTATIONS)


@pytest.mark.parametrize(
    ("value", "json_value"),
    [
        (None, None),
        (True, True),
        (5.5, 5.5),
        (2**40, 2**40),
        ("x", "x"),
        (("active",), ["active"]),
        ((("a", "b"), ("c", None)), {"a": "b", "c": None}),
        (SizeRange(1, None), {"min": 1, "max": None}),
    ],
)
def test_values_in_json_are_bytes_and_seconds(value: object, json_value: object) -> None:
    assert to_json(value) == json_value
    assert json.loads(json.dumps(to_json(value))) == json_value
