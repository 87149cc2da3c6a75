"""The page of one image. tests/web/browser loads it in a browser."""

from dataclasses import fields
from urllib.parse import unquote

import pytest

from exporter.metrics.image_metrics import IMAGE_FAMILIES
from exporter.model.cloud import CloudState
from exporter.model.image import Image
from exporter.model.outcome import Gone
from exporter.model.target import Target
from exporter.store import Store
from exporter.web.pages.image_details import ImageDetails, basis, find_image, image_path
from exporter.web.pages.image_page import FIELDS, fields_of, missing_fields, render_image_page
from exporter.web.pages.json_api import image_details_document, image_document
from exporter.web.pages.query import PageQuery, QueryError
from tests.support.images import COMPLETE
from tests.web.example_images import (
    ACCESSES,
    CONTROLS,
    FIRST_CLOUD,
    HOSTILE,
    LONG,
    NOW,
    REQUEST_ID,
    REVERSED,
    add_polled_cloud,
    example_store,
    found,
)
from tests.web.html_reader import TAGS, Reader, text_of

STORE = example_store()


def details_of(image_id: str, cloud: str = "first") -> ImageDetails:
    """Return an example image."""
    details = find_image(STORE, cloud, image_id, NOW, ACCESSES)
    assert details is not None
    return details


def page_of(image_id: str, cloud: str = "first", **parameters: object) -> str:
    """Return the page of an example image."""
    return render_image_page(details_of(image_id, cloud), PageQuery(**parameters))


def test_every_attribute_of_an_image_is_a_field() -> None:
    """A new attribute of ``Image`` belongs in ``FIELDS``."""
    shown_elsewhere = {"id", "requested_properties"}
    assert {field.name for field in fields(Image)} - FIELDS.keys() == shown_elsewhere


def test_fields_have_every_value_in_words() -> None:
    assert {field.label: field.lines for field in fields_of(COMPLETE)} == {
        "Name": ("golden",),
        "Status": ("active",),
        "Size": ("2.2 GiB (2,361,393,152 bytes)",),
        "Virtual size": ("20.0 GiB (21,474,836,480 bytes)",),
        "Minimum disk": ("40.0 GiB (42,949,672,960 bytes)",),
        "Minimum memory": ("2.0 GiB (2,147,483,648 bytes)",),
        "Disk format": ("qcow2",),
        "Container format": ("bare",),
        "Protected": ("yes",),
        "Public": ("no",),
        "Hidden": ("yes",),
        "Owner": ("70e8fbac958f4a27b37bb02f2af0c8ad",),
        "Created": ("2026-09-21 14:13:20 UTC",),
        "Updated": ("2026-09-21 14:15:00 UTC",),
        "Deleted": ("no",),
        "Digest": ("md5: 826ad52d67c55b1f07cabe148b8146ac",),
        "Tags": ("golden",),
        "Stores": ("fs",),
        "Properties": (
            "os_distro: ubuntu",
            "os_version: 22.04",
            "image_build_date: 2025-06-11",
            "provided_until: 2027-04-30",
            "replace_frequency: monthly",
            "uuid_validity: 2028-04-30",
        ),
        "API version": ("v1",),
    }
    assert missing_fields(COMPLETE) == ("Visibility", "Deleted at")
    assert dict(fields_of(Image("v1", "an-id", "active", size_bytes=0)))["Size"] == ("0 bytes",)


def test_page_has_state_problems_expectations_series_and_commands() -> None:
    text = text_of(page_of("id-of-unexpected"))
    for part in (
        "unexpected id-of-unexpected in first",
        "● active since 2027-01-15 08:03:20 UTC, 1 h ago",
        "▲ not as expected an expectation is not met",
        "Alias unexpected, configured Name golden Status active Size 1 bytes",
        "Not in the response: visibility, hidden, deleted at, tags, stores.",
        "protected true false ✖ no public false true ✖ no status active active ● yes",
        'openstack_image_exists{cloud="first",image="unexpected",image_id="id-of-unexpected"} 1.0',
        'openstack_image_status{cloud="first",image_id="id-of-unexpected"} == 1',
        "openstack --os-cloud=first --os-region-name=eu-1 image show id-of-unexpected",
    ):
        assert part in text
    assert "<title>unexpected: active - OpenStack image exporter</title>" in page_of(
        "id-of-unexpected"
    )


@pytest.mark.parametrize("image_id", [target.image_id for target, _ in STORE.observations()])
def test_no_two_elements_have_the_same_id(image_id: str) -> None:
    (cloud,) = [target.cloud for target, _ in STORE.observations() if target.image_id == image_id]
    for html in (page_of(image_id, cloud), render_image_page(None, PageQuery())):
        ids = [attributes["id"] for _, attributes in Reader(html).elements if "id" in attributes]
        assert sorted(set(ids), key=str) == sorted(ids, key=str)


def test_evidence_of_a_gone_image_names_every_response() -> None:
    text = text_of(page_of("id-of-gone"))
    for part in (
        "Known by 404 on 4 connections, 2 of them with a control.",
        f"Last success 2027-01-15 09:59:48 UTC, 12 s ago request {REQUEST_ID}",
        "First 404 2027-01-15 09:49:20 UTC",
        "Controls id-of-fine found before and after a 404 on the same connection",
        "Connections 10.0.0.9:40000 - 10.0.0.1:9292 10.0.0.9:40002 - 10.0.0.2:9292",
        "404s req-1 req-2",
        f"Changes 2027-01-15 09:50:00 UTC, 10 min ago existence: there → gone request {REQUEST_ID}",
    ):
        assert part in text
    document = image_details_document(details_of("id-of-gone"))
    assert document["evidence"] == {
        "summary": "404 on 4 connections, 2 of them with a control.",
        "at": "2027-01-15T09:59:48Z",
        "request_id": REQUEST_ID,
        "values_expire_at": None,
    }
    assert document["changes"] == [
        {
            "at": "2027-01-15T09:50:00Z",
            "changes": [{"what": "existence", "old": "there", "new": "gone"}],
            "request_id": REQUEST_ID,
        }
    ]


def test_evidence_of_a_failing_image_is_its_last_successful_poll() -> None:
    text = text_of(page_of("id-of-failing"))
    assert "Known by A response describes the image." in text
    assert f"Last success 2027-01-15 09:51:40 UTC, 8 min ago request {REQUEST_ID}" in text
    assert f"12 s ago server_error: HTTP 503 request {REQUEST_ID}" in text
    assert "Kept until 2027-01-15 10:06:40 UTC, if no poll succeeds" in text
    assert "Changes None seen." in text
    evidence = image_details_document(details_of("id-of-failing"))["evidence"]
    assert evidence["values_expire_at"] == "2027-01-15T10:06:40Z"


@pytest.mark.parametrize(
    ("image_id", "sentence"),
    [
        ("id-of-new", "No poll has finished yet."),
        ("id-of-refused", "No response has described the image, or not recently enough."),
        ("id-of-stale", "No response has described the image, or not recently enough."),
        ("id-of-deleted", "A response describes the image as deleted."),
    ],
)
def test_basis_of_each_state(image_id: str, sentence: str) -> None:
    assert f"Known by {sentence}" in text_of(page_of(image_id))


def test_image_that_was_gone_before_a_reload_has_no_evidence() -> None:
    store = Store()
    add_polled_cloud(store, FIRST_CLOUD, [(Target("first", "an-id", "golden"), ((12, Gone()),))])
    details = find_image(store, "first", "an-id", NOW, {})
    assert details is not None
    assert basis(details.status) == "The image is not found."


def test_disagreement_of_api_servers_is_part_of_the_evidence() -> None:
    assert "contradicted each other 5 min ago" in text_of(page_of("long", "second"))
    assert "contradicted" not in text_of(page_of("id-of-gone"))


def test_attribute_change_is_shown_whole() -> None:
    text = text_of(page_of("id-of-unexpected"))
    assert "1 min ago protected: yes → no public: no → yes request" in text


@pytest.mark.parametrize(
    ("image_id", "parts"),
    [
        ("id-of-gone", ("✖ gone since", "No current values.", "Values as last described")),
        ("id-of-deleted", ("✖ deleted since", "Deleted at 1985-11-05", "Values as last described")),
        ("id-of-failing", ("▲ poll failing its last poll failed: server_error, HTTP 503",)),
        ("id-of-new", ("○ not polled yet As of", "No current values. Evidence Known by")),
        ("id-of-bare", ("protected true not known cannot be verified",)),
        ("id-of-odd", ("✖ rearranging since",)),
    ],
)
def test_page_of_each_situation(image_id: str, parts: tuple[str, ...]) -> None:
    text = text_of(page_of(image_id))
    for part in parts:
        assert part in text


def test_labels_of_the_operator_are_shown() -> None:
    store = Store()
    labels = (("team", "<b>"), ("tier", ""))
    target = Target("first", "an-id", "golden", operator_labels=labels)
    add_polled_cloud(store, FIRST_CLOUD, [(target, ())])
    details = find_image(store, "first", "an-id", NOW, {})
    assert details is not None
    text = text_of(render_image_page(details, PageQuery()))
    assert "Alias golden, configured Labels team: <b> No current values." in text
    assert "Labels team" not in text_of(page_of("id-of-fine"))


def test_values_as_last_described_are_only_those_of_the_past() -> None:
    assert "Values as last described" not in text_of(page_of("id-of-fine"))
    assert "Values as last described" not in text_of(page_of("id-of-new"))


@pytest.mark.parametrize("image_id", ["hostile", "reversed", "controls", "long", "rtl"])
def test_hostile_names_are_text(image_id: str) -> None:
    html = page_of(image_id, "second")
    assert {tag for tag, _ in Reader(html).elements} <= TAGS
    for text in (HOSTILE, REVERSED, CONTROLS):
        assert text not in html
    assert 'name="evil\\\\u202egnp.exe' in Reader(page_of("reversed", "second")).text


@pytest.mark.parametrize("cloud", ["first", "a/b", "a b?#%2F&", ".", "..", "wörk ☃", LONG, HOSTILE])
def test_path_of_an_image_leads_to_it_for_any_name_of_a_cloud(cloud: str) -> None:
    store = Store()
    target = Target(cloud, "an..id", "golden")
    add_polled_cloud(store, CloudState(cloud, 60.0), [(target, ((12, found()),))])
    start, segment, image_id = image_path(target).split("/")
    assert (start, image_id) == ("images", "an..id")
    assert segment.isascii()
    assert segment.replace("%2E", ".").replace("%2e", ".") not in {".", ".."}
    details = find_image(store, unquote(segment), image_id, NOW, {})
    assert details is not None
    assert details.status.target == target
    assert f"/{segment}/" in render_image_page(details, PageQuery())


def test_unknown_image_has_a_page_that_says_so() -> None:
    assert find_image(STORE, "first", "nothing", NOW, ACCESSES) is None
    page = Reader(render_image_page(None, PageQuery()))
    assert "This exporter does not watch an image with this cloud and ID." in page.text
    assert {"summary", "details", "notice"} <= {element.get("id") for _, element in page.elements}


def test_every_url_is_relative_to_the_page_of_an_image() -> None:
    page = Reader(page_of("id-of-fine"))
    urls = [
        str(url)
        for _, attributes in page.elements
        for name, url in attributes.items()
        if name in {"href", "src"} and not str(url).startswith("data:")
    ]
    assert {url for url in urls if not url.startswith("../../")} == {"?refresh=0"}
    assert "../../api/images/first/id-of-fine" in urls
    assert "../../page.js" in urls


def test_refresh_of_the_page_can_be_switched_off() -> None:
    assert '<meta http-equiv="refresh" content="30">' in page_of("id-of-fine")
    html = page_of("id-of-fine", refresh=0)
    assert "http-equiv" not in html
    assert 'href="?">start' in html


def test_invalid_parameters_are_shown() -> None:
    error = QueryError([("nope", "<b>", "the parameters")])
    html = render_image_page(details_of("id-of-fine"), PageQuery(), error)
    assert "<code>nope=&lt;b&gt;</code>" in html


def test_only_series_of_the_families_that_are_served_are_shown() -> None:
    families = [family for family in IMAGE_FAMILIES if family.name == "openstack_image_exists"]
    details = find_image(STORE, "first", "id-of-fine", NOW, ACCESSES, families=families)
    assert details is not None
    (line,) = details.series
    assert line.startswith("openstack_image_exists{")


def test_document_has_the_image_as_in_the_list_and_what_the_page_adds() -> None:
    details = details_of("id-of-fine")
    document = image_details_document(details)
    listed = image_document(details.status)
    assert document["time"] == "2027-01-15T10:00:00Z"
    assert {name: document[name] for name in listed if name != "properties"} == {
        name: value for name, value in listed.items() if name != "properties"
    }
    assert document["properties"] == {"os_distro": "ubuntu", "os_version": "22.04"}
    assert (document["tags"], document["stores"]) == ([], [])
    assert document["series"] == list(details.series)
    assert document["queries"][0] == {
        "purpose": "All series of the image",
        "text": '{cloud="first",image_id="id-of-fine"}',
    }
    assert [command["text"] for command in document["commands"]] == [
        command.text for command in details.commands
    ]


def test_document_of_an_unpolled_image_has_the_same_keys() -> None:
    new, fine = (image_details_document(details_of(f"id-of-{name}")) for name in ("new", "fine"))
    assert new.keys() == fine.keys()
    assert (new["properties"], new["tags"], new["stores"]) == ({}, [], [])
