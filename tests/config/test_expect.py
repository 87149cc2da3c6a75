"""Expectations in the settings: what each key means, and which level wins."""

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
    """Reads the settings in a text, as the plan of their one cloud."""

    def plan(text: str) -> ResolvedCloud:
        file = tmp_path / "exporter.yml"
        file.write_text(text, "utf-8")
        (planned,) = resolved_clouds(parse([f"--config.file={file}"], {}).settings)
        return planned

    return plan


def levels(general: str = "{}", cloud: str = "{}", image: str = "{}") -> str:
    """A file with one image, one that says nothing of its own, and a discovery."""
    return (
        f"expect: {general}\n"
        "clouds:\n"
        f"- name: a\n  expect: {cloud}\n"
        f"  images: [{{id: b, expect: {image}}}, c]\n"
        f"  discover: [{{name: d, expect: {image}}}, {{name: e}}]\n"
    )


@pytest.mark.parametrize("key", EXPECTATIONS)
def test_each_key_is_read_into_what_its_judge_takes(read: Read, key: str) -> None:
    """On an image and everywhere else."""
    written, wanted = VALUES[key]
    plan = read(levels(image=f"{{{key}: {written}}}"))
    assert plan.images[0].expect == plan.discover[0].expect == ((key, wanted),)
    assert plan.images[1].expect == plan.discover[1].expect == ()
    seen = NEVER_POLLED.with_outcome(Found(ACTIVE), START, MAX_STALE)
    assert [each.expectation for each in evaluate(plan.images[0].expect, seen, START)] == [key]
    for above in (levels(f"{{{key}: {written}}}"), levels(cloud=f"{{{key}: {written}}}")):
        plan = read(above)
        assert {each.expect for each in plan.images} == {((key, wanted),)}
        assert {each.expect for each in plan.discover} == {((key, wanted),)}


@pytest.mark.parametrize("key", EXPECTATIONS)
@pytest.mark.parametrize("nothing", ["null", "none", "~", ""])
def test_a_nearer_level_lifts_what_a_farther_one_expects(
    read: Read, key: str, nothing: str
) -> None:
    """By null, by none, or by a key that is left empty."""
    written, wanted = VALUES[key]
    plan = read(levels(f"{{{key}: {written}}}", image=f"{{{key}: {nothing}}}"))
    assert (plan.images[0].expect, plan.images[1].expect) == ((), ((key, wanted),))
    plan = read(levels(f"{{{key}: {written}}}", cloud=f"{{{key}: {nothing}}}"))
    assert (plan.images[0].expect, plan.images[1].expect) == ((), ())


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
def test_the_nearer_level_wins_key_by_key(
    read: Read, general: str, cloud: str, image: str, expect: Wanted
) -> None:
    """Each property is a key; what cannot hold at once gives way to what is nearer."""
    assert read(levels(general, cloud, image)).images[0].expect == expect


def test_what_many_images_expect_is_kept_once(read: Read) -> None:
    """10,000 images that expect the same do not take 10,000 times the memory."""
    images = ", ".join(f"{{id: i{n}, expect: {{size: {n % 2}B..}}}}" for n in range(100))
    plan = read(
        f"expect: {{status: active}}\nclouds: [{{name: a, images: [{images}, b, c], "
        "discover: [{name: d}]}]"
    )
    assert len({id(image.expect) for image in plan.images}) == 3
    assert plan.discover[0].expect is plan.images[-1].expect


def test_the_properties_that_have_to_be_known() -> None:
    """Also as v1 writes them."""
    expects: list[Wanted] = [
        (("status", ("active",)), ("properties", (("OS_Distro", "x"), ("a", "b")))),
        (("properties", (("c", "d"),)),),
        (),
    ]
    assert expected_properties(expects) == {"OS_Distro", "os_distro", "a", "c"}


def test_every_algorithm_has_as_many_digits_as_hashlib_gives() -> None:
    """They are those that Glance may be set to."""
    assert {name: 2 * hashlib.new(name).digest_size for name in DIGITS} == DIGITS


def test_every_expectation_has_a_value_here() -> None:
    """A new one is tested as the others are."""
    assert VALUES.keys() == {"exists", *CHECKS}
