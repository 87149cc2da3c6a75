from urllib.parse import parse_qs, urlsplit

import pytest

from exporter.simulator import Release, SimulatedImage
from exporter.simulator.image import OWNER
from exporter.simulator.listing import Caller, page
from tests.support.recordings import recorded_images, recordings

OTHER = "04d3a5496ee3407c8f6fec2de2a9bccf"
CALLER = Caller(OWNER)
ADMIN = Caller(OWNER, admin=True)


GLANCE_33 = recordings(Release.GLANCE_33)
RECORDED = recorded_images(Release.GLANCE_33)


def ids(
    query: str,
    *images: SimulatedImage,
    caller: Caller = CALLER,
    page_limit: int = 9,
    release: Release = Release.GLANCE_33,
) -> str:
    """Return the IDs in a list with this query, in order."""
    result = page(images, parse_qs(query, keep_blank_values=True), caller, page_limit, release)
    return " ".join(image.id for image in result.images)


@pytest.mark.parametrize(
    "name",
    [
        "in-all-kinds",
        "in-all-kinds-default-limit",
        "in-all-kinds-visibility-all",
        "in-all-kinds-community",
        "in-all-kinds-hidden",
        "in-two",
        "in-one",
        "in-unknown",
        "in-malformed",
        "in-encoded-comma",
        "list-default",
        "list-limit-0",
        "list-limit-5000",
        "list-status-queued",
    ],
)
def test_list_has_the_images_of_the_recording(name: str) -> None:
    expected = GLANCE_33[name].document
    query = urlsplit(expected["first"]).query
    result = page(RECORDED, parse_qs(query), CALLER, 1000)
    assert {image.id for image in result.images} == {image["id"] for image in expected["images"]}
    assert result.marker == expected.get("next")


def test_recorded_service_had_images_of_all_kinds() -> None:
    """Also images that no recorded list contains."""
    names = {image.name for image in RECORDED}
    assert {"other-private", "shared-rejected", "community-other", "hidden-public"} <= names
    assert len(RECORDED) >= 20


KINDS = {
    "own": SimulatedImage("own"),
    "hidden": SimulatedImage("hidden", hidden=True),
    "public": SimulatedImage("public", visibility="public", owner=OTHER),
    "community": SimulatedImage("community", visibility="community", owner=OTHER),
    "accepted": SimulatedImage(
        "accepted", visibility="shared", owner=OTHER, members={OWNER: "accepted"}
    ),
    "pending": SimulatedImage(
        "pending", visibility="shared", owner=OTHER, members={OWNER: "pending"}
    ),
    "shared": SimulatedImage("shared", visibility="shared", owner=OTHER),
    "private": SimulatedImage("private", owner=OTHER, members={OWNER: "accepted"}),
    "nobodys": SimulatedImage("nobodys", owner=None),
    "killed": SimulatedImage("killed", status="killed"),
    "deleted": SimulatedImage("deleted", status="deleted", deleted=True),
}
"""One image of each kind, by its ID."""


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "own public accepted"),
        ("visibility=all", "own public accepted community"),
        ("visibility=all&member_status=all", "own public accepted community pending"),
        ("member_status=pending", "own public pending"),
        ("visibility=community", "community"),
        ("visibility=shared&member_status=all", "accepted pending"),
        ("os_hidden=true", "hidden"),
        ("os_hidden=False&visibility=private", "own"),
        ("status=killed", ""),
    ],
)
def test_parameters_select_kinds_of_images(query: str, expected: str) -> None:
    assert set(ids(query, *KINDS.values()).split()) == set(expected.split())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "own hidden public accepted"),
        ("member_status=all", "own hidden public accepted pending"),
        ("visibility=community", "community"),
        ("os_hidden=true", ""),
        ("os_hidden=false", ""),
        ("os_hidden=1", ""),
        ("visibility=private", "own hidden"),
    ],
)
def test_glance_15_has_no_hidden_images(query: str, expected: str) -> None:
    """``os_hidden`` is a custom property that no image has (recorded: list-os-hidden-*.http)."""
    selected = ids(query, *KINDS.values(), release=Release.GLANCE_15)
    assert set(selected.split()) == set(expected.split())


def test_deleted_images_and_private_ones_of_others_are_not_shown() -> None:
    seen = {name for name, image in KINDS.items() if CALLER.sees(image)}
    assert seen == KINDS.keys() - {"shared", "private", "deleted"}
    assert {name for name, image in KINDS.items() if ADMIN.sees(image)} == KINDS.keys() - {
        "deleted"
    }


def test_administrators_list_the_images_of_all_projects() -> None:
    """Community images of others and hidden images are still not listed by default."""
    everything = KINDS.values()
    plain = set(ids("", *everything, caller=ADMIN).split())
    assert plain == KINDS.keys() - {"hidden", "community", "killed", "deleted"}
    assert ids("os_hidden=true", *everything, caller=ADMIN) == "hidden"


AGES = [SimulatedImage(str(age), created_at=f"2026-01-01T00:00:0{age}") for age in (2, 4, 1, 3)]


def test_newest_image_is_first() -> None:
    """Images created at the same time are sorted by ID, in descending order."""
    assert ids("", *AGES) == "4 3 2 1"
    assert ids("", *(SimulatedImage(image_id) for image_id in "acb")) == "c b a"


def test_pages_contain_every_image_once() -> None:
    """Every full page has a next one, which may be empty."""
    pages, marker = [], ""
    for _ in range(3):
        query = {"limit": ["2"]} | ({"marker": [marker]} if marker else {})
        result = page(AGES, query, CALLER, 1000)
        pages.append([image.id for image in result.images])
        marker = result.marker or ""
    assert pages == [["4", "3"], ["2", "1"], []]
    assert marker == ""


def test_page_limit_applies_to_larger_limits() -> None:
    """The default limit is 25."""
    assert ids("limit=5", *AGES, page_limit=3) == "4 3 2"
    many = [SimulatedImage(f"i{number}") for number in range(40)]
    assert len(ids("", *many, page_limit=1000).split()) == 25


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=b", "b"),
        ("name=in:a,b", "b a"),
        ('name=in:"a","b"', "b a"),
        ("name=eq:a", "a"),
        ("disk_format=qcow2&name=a", "a"),
        ("tag=x", "b a"),
        ("tag=x&tag=y", "a"),
        ("os_distro=debian", "b"),
        ("os_distro=in:debian", ""),
        ("protected=true", "a"),
        ("size=16&protected=false", "b"),
        ("id=in:a,,c", "a"),
        ("colour=red", ""),
    ],
)
def test_every_field_and_property_is_a_filter(query: str, expected: str) -> None:
    """All filters must match; only some fields support operators."""
    a = SimulatedImage("a", name="a", disk_format="qcow2", tags=("x", "y"), protected=True)
    b = SimulatedImage("b", name="b", tags=("x",), properties={"os_distro": "debian"})
    assert ids(query, a, b) == expected


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("limit=x", "limit param must be an integer"),
        ("limit=-1", "limit param must be positive"),
        ("visibility=mine", "Invalid visibility value: mine"),
        ("member_status=maybe", "Invalid status: maybe"),
        ("marker=nothing", "No image found with ID nothing"),
        ('id=in:"a', 'Invalid filter value "a. The quote is not closed.'),
        (
            "os_hidden=1",
            "Invalid value '1' for 'os_hidden' filter. Valid values are 'true' or 'false'.",
        ),
    ],
)
def test_invalid_query_gets_glances_message(query: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        ids(query, *AGES)
    assert str(refused.value) == words
