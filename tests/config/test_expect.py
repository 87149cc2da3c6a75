"""Expectations in the settings: the value of each key, and the precedence of levels."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config import ResolvedCloud, parse, resolved_clouds
from exporter.config.expect import DIGITS, expected_properties
from exporter.model.expectations.checks import CHECKS, EXPECTATIONS, evaluate
from exporter.model.expectations.checks import Expectations as Wanted
from exporter.model.observation import NEVER_POLLED
from exporter.model.outcome import Found
from exporter.model.units import SizeRange
from tests.support.images import ACTIVE, MAX_STALE, START

MD5 = "8B7B3C5FE5E7E43C6EB3A0EB9AA1A3F0"
SHA = "Ab" * 64

VALUES: dict[str, tuple[str, object]] = {
    "exists": ("true", True),
    "status": ("active", ("active",)),
    "protected": ("false", False),
    "public": ("true", True),
    "visibility": ("[public]", ("public",)),
    "hidden": ("true", True),
    "checksum": (f"'{MD5}'", MD5.lower()),
    "hash": (f"{{sha512: {SHA}}}", (("sha512", SHA.lower()),)),
    "size": ("1GiB..", SizeRange(2**30, None)),
    "min_disk": ("40GiB", SizeRange.exactly(40 * 2**30)),
    "min_ram": ("0", SizeRange.exactly(0)),
    "disk_format": ("[raw, qcow2]", ("raw", "qcow2")),
    "container_format": ("bare", ("bare",)),
    "owner": ("70e8", ("70e8",)),
    "name": ("golden-*", "golden-*"),
    "properties": ("{a: b, 'none': none}", (("a", "b"), ("none", "none"))),
    "max_age": ("90d", 90 * 86400.0),
    "max_unchanged": ("1h", 3600.0),
}

Read = Callable[[str], ResolvedCloud]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that parses settings and returns their only cloud."""

    def resolved(text: str) -> ResolvedCloud:
        file = tmp_path / "exporter.yml"
        file.write_text(text, "utf-8")
        (resolved,) = resolved_clouds(parse([f"--config.file={file}"], {}).settings)
        return resolved

    return resolved


def levels(general: str = "{}", cloud: str = "{}", image: str = "{}") -> str:
    """Return a file with one image, one without expectations of its own, and a discovery rule."""
    return (
        f"expect: {general}\n"
        "clouds:\n"
        f"- name: a\n  expect: {cloud}\n"
        f"  images: [{{id: b, expect: {image}}}, c]\n"
        f"  discover: [{{name: d, expect: {image}}}, {{name: e}}]\n"
    )


@pytest.mark.parametrize("key", EXPECTATIONS)
def test_each_key_is_parsed_for_its_check(read: Read, key: str) -> None:
    written, wanted = VALUES[key]
    resolved = read(levels(image=f"{{{key}: {written}}}"))
    assert resolved.images[0].expect == resolved.discover[0].expect == ((key, wanted),)
    assert resolved.images[1].expect == resolved.discover[1].expect == ()
    seen = NEVER_POLLED.with_outcome(Found(ACTIVE), START, MAX_STALE)
    assert [result.expectation for result in evaluate(resolved.images[0].expect, seen, START)] == [
        key
    ]
    for above in (levels(f"{{{key}: {written}}}"), levels(cloud=f"{{{key}: {written}}}")):
        resolved = read(above)
        assert {image.expect for image in resolved.images} == {((key, wanted),)}
        assert {rule.expect for rule in resolved.discover} == {((key, wanted),)}


@pytest.mark.parametrize("key", EXPECTATIONS)
@pytest.mark.parametrize("nothing", ["null", "none", "~", ""])
def test_nearer_level_removes_an_expectation(read: Read, key: str, nothing: str) -> None:
    written, wanted = VALUES[key]
    resolved = read(levels(f"{{{key}: {written}}}", image=f"{{{key}: {nothing}}}"))
    assert (resolved.images[0].expect, resolved.images[1].expect) == ((), ((key, wanted),))
    resolved = read(levels(f"{{{key}: {written}}}", cloud=f"{{{key}: {nothing}}}"))
    assert (resolved.images[0].expect, resolved.images[1].expect) == ((), ())


NEARER: list[tuple[str, str, str, Wanted]] = [
    ("{status: active}", "{}", "{}", (("status", ("active",)),)),
    ("{status: active}", "{status: queued}", "{}", (("status", ("queued",)),)),
    ("{status: active}", "{status: null}", "{status: saving}", (("status", ("saving",)),)),
    (
        "{status: active}",
        "{protected: true}",
        "{name: x}",
        (("status", ("active",)), ("protected", True), ("name", "x")),
    ),
    (
        "{properties: {a: '1', b: '2'}}",
        "{properties: {b: '3', c: '4'}}",
        "{properties: {a: null}}",
        (("properties", (("b", "3"), ("c", "4"))),),
    ),
    ("{properties: {a: '1'}}", "{}", "{properties: {a: null}}", ()),
    ("{properties: {a: '1'}}", "{properties: null}", "{properties: {b: '2'}}",
     (("properties", (("b", "2"),)),)),
    ("{public: true}", "{}", "{visibility: shared}", (("visibility", ("shared",)),)),
    ("{visibility: shared}", "{public: true}", "{}", (("public", True),)),
    ("{visibility: shared}", "{}", "{public: null}", (("visibility", ("shared",)),)),
    ("{public: true, visibility: public}", "{}", "{}",
     (("public", True), ("visibility", ("public",)))),
    ("{status: active}", "{}", "{exists: false}", (("exists", False),)),
    ("{exists: false}", "{}", "{status: active}", (("status", ("active",)),)),
    ("{exists: false}", "{}", "{status: null}", (("exists", False),)),
    ("{exists: false, status: none}", "{}", "{exists: true}", (("exists", True),)),
]  # fmt: skip


@pytest.mark.parametrize(("general", "cloud", "image", "expect"), NEARER)
def test_nearer_level_wins_key_by_key(
    read: Read, general: str, cloud: str, image: str, expect: Wanted
) -> None:
    assert read(levels(general, cloud, image)).images[0].expect == expect


def test_equal_expectations_share_memory(read: Read) -> None:
    """10,000 images with equal expectations must not take 10,000 times the memory."""
    images = ", ".join(f"{{id: i{n}, expect: {{size: {n % 2}B..}}}}" for n in range(100))
    resolved = read(
        f"expect: {{status: active}}\nclouds: [{{name: a, images: [{images}, b, c], "
        "discover: [{name: d}]}]"
    )
    assert len({id(image.expect) for image in resolved.images}) == 3
    assert resolved.discover[0].expect is resolved.images[-1].expect


def test_expected_properties_have_the_names_of_both_apis() -> None:
    expects: list[Wanted] = [
        (("status", ("active",)), ("properties", (("OS_Distro", "x"), ("a", "b")))),
        (("properties", (("c", "d"),)),),
        (),
    ]
    assert expected_properties(expects) == {"OS_Distro", "os_distro", "a", "c"}


def test_number_of_digits_is_that_of_hashlib() -> None:
    assert {name: 2 * hashlib.new(name).digest_size for name in DIGITS} == DIGITS


def test_every_expectation_has_a_value_in_this_test() -> None:
    assert VALUES.keys() == {"exists", *CHECKS}
