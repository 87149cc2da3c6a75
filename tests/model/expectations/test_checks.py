"""Every expectation met, not met and unverifiable, for responses of v1 and v2."""

import json
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from exporter.model.expectations.checks import (
    EXPECTATIONS,
    TIME_BASED,
    Expectations,
    as_expected,
    evaluate,
    is_time_based,
    next_evaluation,
    verifiable,
)
from exporter.model.image import Image
from exporter.model.instant import Instant
from exporter.model.observation import NEVER_POLLED, Observation
from exporter.model.outcome import Failed, Found, Gone
from exporter.model.responses.parsers import GIBI, MEBI
from exporter.model.responses.v2_fields import image_from_document, parse_json
from exporter.model.units import SizeRange
from tests.support.images import ACTIVE, ID, MAX_STALE, START, later, observed, parse_v1

MD5 = "826ad52d67c55b1f07cabe148b8146ac"
SHA = "ab" * 64
OTHER = "cd" * 64
OWNER = "70e8fbac958f4a27b37bb02f2af0c8ad"

V1: dict[str, str] = {
    "Status": "active",
    "Name": "golden-24.04",
    "Size": str(2 * GIBI),
    "Protected": "True",
    "Is_public": "False",
    "Created_at": "2027-01-15T07:58:20",
    "Updated_at": "2027-01-15T07:59:10",
    "Container_format": "bare",
    "Disk_format": "qcow2",
    "Min_disk": "40",
    "Min_ram": "2048",
    "Checksum": MD5,
    "Owner": OWNER,
    "Property-os_distro": "ubuntu",
    "Property-os_version": "24.04",
}
"""A v1 response, 100 seconds after the creation of the image and 50 after its last update."""

V2: dict[str, Any] = {
    "status": "active",
    "name": "golden-24.04",
    "size": 2 * GIBI,
    "protected": True,
    "visibility": "private",
    "os_hidden": False,
    "created_at": "2027-01-15T07:58:20Z",
    "updated_at": "2027-01-15T07:59:10Z",
    "container_format": "bare",
    "disk_format": "qcow2",
    "min_disk": 40,
    "min_ram": 2048,
    "checksum": MD5,
    "os_hash_algo": "sha512",
    "os_hash_value": SHA,
    "owner": OWNER,
    "os_distro": "ubuntu",
    "OS_Version": "24.04",
}
"""The same through v2."""


AS_ABOVE: Mapping[str, Any] = MappingProxyType({})


class Case(NamedTuple):
    """An expectation, its result, and the differences of the response from the defaults."""

    name: str
    expected: object
    met: bool | None
    api: str = "v1 v2"
    v1: Mapping[str, str | None] = AS_ABOVE
    v2: Mapping[str, Any] = AS_ABOVE


CASES = [
    Case("exists", True, True),
    Case("exists", False, False),
    Case("status", ("active",), True),
    Case("status", ("queued", "active"), True),
    Case("status", ("queued", "saving"), False),
    Case("status", ("active",), False, v1={"Status": "deactivated"}, v2={"status": "deactivated"}),
    Case("status", ("active",), False, v1={"Status": "quarantined"}, v2={"status": "quarantined"}),
    Case("protected", True, True),
    Case("protected", False, False),
    Case("protected", True, None, v1={"Protected": None}, v2={"protected": None}),
    Case("public", False, True),
    Case("public", True, False),
    Case("public", False, False, v1={"Is_public": "True"}, v2={"visibility": "public"}),
    Case("public", False, None, v1={"Is_public": None}, v2={"visibility": None}),
    Case("public", False, None, "v2", v2={"visibility": "of-a-kind-to-come"}),
    Case("visibility", ("public",), True, v1={"Is_public": "True"}, v2={"visibility": "public"}),
    Case("visibility", ("public",), False),
    Case("visibility", ("private",), False, v1={"Is_public": "True"}, v2={"visibility": "public"}),
    Case("visibility", ("private",), None, "v1"),
    Case("visibility", ("private", "public"), None, "v1"),
    Case("visibility", ("private", "shared", "community"), True),
    Case("visibility", ("private",), True, "v2"),
    Case("visibility", ("private", "shared"), False, "v2", v2={"visibility": "community"}),
    Case("visibility", ("public",), None, v1={"Is_public": None}, v2={"visibility": None}),
    Case("hidden", False, True, "v2"),
    Case("hidden", True, False, "v2"),
    Case("hidden", False, None, "v1"),
    Case("hidden", False, None, "v2", v2={"os_hidden": None}),
    Case("checksum", MD5, True),
    Case("checksum", MD5, True, v1={"Checksum": MD5.upper()}, v2={"checksum": MD5.upper()}),
    Case("checksum", "0" * 32, False),
    Case("checksum", MD5, None, v1={"Checksum": None}, v2={"checksum": None}),
    Case("hash", (("sha512", SHA),), True, "v2"),
    Case("hash", (("sha256", "0" * 64), ("sha512", SHA)), True, "v2"),
    Case("hash", (("sha512", OTHER),), False, "v2"),
    Case("hash", (("sha512", SHA),), None, "v1"),
    Case("hash", (("sha256", "0" * 64),), None, "v2"),
    Case("hash", (("sha512", SHA),), None, "v2", v2={"os_hash_value": None}),
    Case("size", SizeRange.exactly(2 * GIBI), True),
    Case("size", SizeRange(GIBI, 2 * GIBI), True),
    Case("size", SizeRange(2 * GIBI, None), True),
    Case("size", SizeRange(None, 2 * GIBI - 1), False),
    Case("size", SizeRange.exactly(GIBI), False),
    Case("size", SizeRange(1, None), False, v1={"Size": "0"}, v2={"size": 0}),
    Case("size", SizeRange.exactly(0), None, v1={"Size": None}, v2={"size": None}),
    Case("min_disk", SizeRange.exactly(40 * GIBI), True),
    Case("min_disk", SizeRange(None, 20 * GIBI), False),
    Case("min_disk", SizeRange.exactly(0), None, v1={"Min_disk": None}, v2={"min_disk": None}),
    Case("min_ram", SizeRange(None, 2048 * MEBI), True),
    Case("min_ram", SizeRange.exactly(2048), False),
    Case("min_ram", SizeRange.exactly(0), None, v1={"Min_ram": None}, v2={"min_ram": None}),
    Case("disk_format", ("raw", "qcow2"), True),
    Case("disk_format", ("raw",), False),
    Case("disk_format", ("raw",), None, v1={"Disk_format": "None"}, v2={"disk_format": None}),
    Case("container_format", ("bare",), True),
    Case("container_format", ("ovf",), False),
    Case(
        "container_format",
        ("bare",),
        None,
        v1={"Container_format": None},
        v2={"container_format": None},
    ),
    Case("owner", (OWNER,), True),
    Case("owner", (OWNER.upper(),), False),
    Case("owner", (OWNER,), None, v1={"Owner": None}, v2={"owner": None}),
    Case("name", "golden-*", True),
    Case("name", "Golden-*", False),
    Case("name", "golden", False),
    Case("name", "*", None, v1={"Name": None}, v2={"name": None}),
    Case("properties", (("os_distro", "ubuntu"),), True),
    Case("properties", (("os_distro", "ubuntu"), ("OS_Version", "24.04")), True),
    Case("properties", (("os_version", "24.04"),), True, "v1"),
    Case("properties", (("os_version", "24.04"),), False, "v2"),
    Case("properties", (("os_distro", "Ubuntu"),), False),
    Case("properties", (("os_distro", "ubuntu"), ("hw_disk_bus", "scsi")), False),
    Case("properties", (("uuid_validity", "None"),), None, "v1"),
    Case("properties", (("uuid_validity", "None"), ("os_distro", "ubuntu")), None, "v1"),
    Case("properties", (("uuid_validity", "None"), ("os_distro", "debian")), False, "v1"),
    Case("properties", (("uuid_validity", "None"),), False, "v2"),
    Case("max_age", 100.0, True),
    Case("max_age", 99.0, False),
    Case("max_age", 99.0, None, v1={"Created_at": None}, v2={"created_at": None}),
    Case("max_unchanged", 50.0, True),
    Case("max_unchanged", 49.0, False),
    Case("max_unchanged", 49.0, None, v1={"Updated_at": None}, v2={"updated_at": None}),
]

NEVER_OF_A_FOUND_IMAGE = {
    ("exists", "v1", None),
    ("exists", "v2", None),
    ("status", "v1", None),
    ("status", "v2", None),
    ("properties", "v2", None),
    ("hidden", "v1", True),
    ("hidden", "v1", False),
    ("hash", "v1", True),
    ("hash", "v1", False),
}
"""Every response has the first five, and v1 never has the others."""


def through_v1(changed: Mapping[str, str | None]) -> Image:
    """Return the image of a v1 response that keeps the expected properties."""
    fields = {**V1, **changed}
    lines = (f"X-Image-Meta-{name}: {text}" for name, text in fields.items() if text is not None)
    image = parse_v1(*(line.encode() for line in lines))
    assert isinstance(image, Image)
    return image


def through_v2(changed: Mapping[str, Any]) -> Image:
    """Return the image of a v2 response."""
    document = parse_json(json.dumps({"id": ID, **V2, **changed}).encode())
    image = image_from_document(document, ID)
    assert isinstance(image, Image)
    return image


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{case.name} {case.met} {place}" for place, case in enumerate(CASES)]
)
def test_expectation_is_met_or_not_or_unverifiable(case: Case) -> None:
    images = {"v1": through_v1(case.v1), "v2": through_v2(case.v2)}
    for api in case.api.split():
        observation = observed(Found(images[api]))
        (result,) = evaluate(((case.name, case.expected),), observation, START)
        assert (result.expectation, result.expected) == (case.name, case.expected)
        assert result.met is case.met, api
        assert verifiable(((case.name, case.expected),), observation, START) == (
            () if case.met is None else (result,)
        )
        assert as_expected(((case.name, case.expected),), observation, START) is (case.met is True)


def test_every_expectation_is_tested_with_every_result_and_api_version() -> None:
    """A new expectation needs a case of each result, or an exception with a reason."""
    tested = {(case.name, api, case.met) for case in CASES for api in case.api.split()}
    possible = {
        (name, api, met) for name in EXPECTATIONS for api in ("v1", "v2") for met in (True, False)
    } | {(name, api, None) for name in EXPECTATIONS for api in ("v1", "v2")}
    assert possible - tested == NEVER_OF_A_FOUND_IMAGE


@pytest.mark.parametrize(
    ("expected", "actual", "met"),
    [
        ("a ", "a", None),
        (" ", None, None),
        ("None", None, None),
        ("a ", "b", False),
        ("a", "a", True),
        ("a", None, False),
    ],
)
def test_value_that_v1_alters_is_unverifiable(
    expected: str, actual: str | None, met: bool | None
) -> None:
    """v1 trims spaces, and reports ``None`` and an empty value as absent."""
    properties = () if actual is None else (("x", actual),)
    observation = observed(
        Found(replace(through_v1({}), properties=properties, requested_properties=None))
    )
    (result,) = evaluate((("properties", (("x", expected),)),), observation, START)
    assert result.met is met


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_property_that_was_not_requested_is_unverifiable(api: str) -> None:
    """The response may be older than the expectation."""
    expected = (("os_distro", "ubuntu"), ("OS_Other", "x"))
    image = replace(through_v1({}) if api == "v1" else through_v2({}), properties=())
    for requested, met in (
        (frozenset[str](), None),
        (frozenset({"OS_Other", "os_other"}), False),
        (None, False),
    ):
        observation = observed(Found(replace(image, requested_properties=requested)))
        (result,) = evaluate((("properties", expected),), observation, START)
        assert result.met is met


ACTUAL = [
    ("exists", True, True),
    ("status", ("queued",), "active"),
    ("size", SizeRange(None, 1), 2 * GIBI),
    ("visibility", ("public",), "private"),
    ("hash", (("sha256", "0"), ("sha512", OTHER)), (("sha512", SHA),)),
    (
        "properties",
        (("os_distro", "debian"), ("nothing", "x")),
        (("os_distro", "ubuntu"), ("nothing", None)),
    ),
    ("max_age", 1.0, 100.0),
    ("max_unchanged", 1.0, 50.0),
]


@pytest.mark.parametrize(("name", "expected", "actual"), ACTUAL)
def test_result_has_the_actual_value(name: str, expected: object, actual: object) -> None:
    (result,) = evaluate(((name, expected),), observed(Found(through_v2({}))), START)
    assert result.actual == actual


def test_visibility_through_v1_is_any_but_public() -> None:
    (result,) = evaluate((("visibility", ("private",)),), observed(Found(through_v1({}))), START)
    assert result.actual == ("private", "shared", "community")


EVERYTHING: Expectations = tuple(
    {case.name: (case.name, case.expected) for case in CASES if case.met}.values()
)


def test_results_are_in_the_order_of_the_expectations() -> None:
    expect: Expectations = (("public", True), ("status", ("active",)), ("max_age", 1.0))
    results = verifiable(expect, observed(Found(ACTIVE)), START)
    assert [(result.expectation, result.met) for result in results] == [
        ("public", False),
        ("status", True),
        ("max_age", False),
    ]


DELETED = replace(ACTIVE, status="deleted", deleted=True)
GONE = {
    "gone": observed(Found(ACTIVE)).with_outcome(Gone(), START, MAX_STALE),
    "deleted, as an administrator sees it": NEVER_POLLED.with_outcome(
        Found(DELETED), START, MAX_STALE
    ),
    "gone, and failing since": observed(Found(ACTIVE))
    .with_outcome(Gone(), START, MAX_STALE)
    .with_outcome(Failed("timeout"), START, MAX_STALE),
    "deleted, and past its time": NEVER_POLLED.with_outcome(Found(DELETED), START, MAX_STALE).as_of(
        later(MAX_STALE + 1)
    ),
}


@pytest.mark.parametrize("observation", GONE.values(), ids=GONE)
@pytest.mark.parametrize("expected", [True, False])
def test_only_exists_is_evaluated_for_a_gone_image(
    observation: Observation, expected: bool
) -> None:
    expect = (("exists", expected), *(pair for pair in EVERYTHING if pair[0] != "exists"))
    (result,) = verifiable(expect, observation, START)
    assert result == ("exists", expected, False, not expected)
    assert len(evaluate(expect, observation, START)) == len(EXPECTATIONS)
    assert as_expected(expect, observation, START) is not expected
    assert not as_expected(EVERYTHING[1:], observation, START)
    assert next_evaluation(expect, observation.image, START) == inf


UNKNOWN = {
    "never polled": NEVER_POLLED,
    "never polled successfully": NEVER_POLLED.with_outcome(Failed("timeout"), START, MAX_STALE),
    "expired": observed(Found(ACTIVE))
    .with_outcome(Failed("timeout"), START, MAX_STALE)
    .as_of(later(MAX_STALE + 1)),
}


@pytest.mark.parametrize("observation", UNKNOWN.values(), ids=UNKNOWN)
def test_nothing_is_evaluated_for_an_unknown_image(observation: Observation) -> None:
    assert verifiable(EVERYTHING, observation, START) == ()
    assert not as_expected(EVERYTHING, observation, START)
    assert not as_expected((("exists", False),), observation, START)


def test_results_survive_failures_until_values_expire() -> None:
    before = observed(Found(through_v2({})))
    failing = before.with_outcome(Failed("timeout"), later(60), MAX_STALE)
    assert verifiable(EVERYTHING, failing.as_of(START), START) == verifiable(
        EVERYTHING, before, START
    )
    assert len(verifiable(EVERYTHING, failing.as_of(later(MAX_STALE)), later(MAX_STALE))) == len(
        EXPECTATIONS
    )


YOUNG = replace(ACTIVE, created_at=START.wall - 100, updated_at=START.wall - 50)


@pytest.mark.parametrize(
    ("image", "expect", "at"),
    [
        (YOUNG, (("max_age", 160.0),), START.monotonic + 60),
        (YOUNG, (("protected", True), ("max_age", 100.0)), START.monotonic),
        (YOUNG, (("max_age", 160.0), ("max_unchanged", 60.0)), START.monotonic + 10),
        (YOUNG, (("max_age", 160.0), ("max_unchanged", 49.0)), START.monotonic + 60),
        (YOUNG, (("max_age", 99.0),), inf),
        (YOUNG, (("protected", True),), inf),
        (YOUNG, (("max_age", 99.0), ("max_unchanged", 49.0)), inf),
        (replace(YOUNG, created_at=None), (("max_age", 160.0),), inf),
        (replace(YOUNG, updated_at=None), (("max_unchanged", 160.0),), inf),
    ],
)
def test_next_evaluation_is_when_an_age_runs_out(
    image: Image, expect: Expectations, at: float
) -> None:
    assert next_evaluation(expect, image, START) == at


@pytest.mark.parametrize("name", TIME_BASED)
def test_result_changes_right_after_the_next_evaluation(name: str) -> None:
    expect = ((name, 160.0),)
    at = next_evaluation(expect, YOUNG, START) - START.monotonic
    observation = observed(Found(YOUNG))
    assert [result.met for result in verifiable(expect, observation, later(at))] == [True]
    assert [result.met for result in verifiable(expect, observation, later(at + 0.001))] == [False]


def test_age_is_measured_on_the_wall_clock() -> None:
    for steady in (0.0, 1e9):
        (result,) = verifiable(
            (("max_age", 99.0),), observed(Found(YOUNG)), Instant(steady, START.wall)
        )
        assert result == ("max_age", 99.0, 100.0, False)


def test_only_ages_depend_on_the_clock() -> None:
    assert {
        name for name, expected in EVERYTHING if is_time_based(((name, expected),))
    } == TIME_BASED.keys()
