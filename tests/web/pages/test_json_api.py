import json
from dataclasses import fields, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exporter.model.image import Image
from exporter.model.observation import NEVER_POLLED
from exporter.model.outcome import Failed, Found
from exporter.model.target import Target
from exporter.store import Store
from exporter.web.pages.image_list import query_images
from exporter.web.pages.json_api import (
    IMAGE_ATTRIBUTES,
    IMAGE_TIMES,
    image_list_document,
    query_error_document,
    to_ascii_json,
)
from exporter.web.pages.query import Query, QueryError
from tests.support.images import ACTIVE, MAX_STALE
from tests.web.example_images import (
    CONTROLS,
    FIRST_CLOUD,
    HOSTILE_NAMES,
    NOW,
    REQUEST_ID,
    example_store,
)

STORE = example_store()


def document(**parameters: Any) -> Any:
    """Return the response of the API to a query of the example images."""
    image_list = query_images(STORE, Query(**parameters), NOW)
    return json.loads(to_ascii_json(image_list_document(image_list)))


def image(alias: str) -> Any:
    """Return the JSON of one example image."""
    (image_document,) = document(q=f"id-of-{alias}")["images"]
    return image_document


def test_every_attribute_of_an_image_is_in_the_json() -> None:
    """A new attribute of ``Image`` belongs in ``IMAGE_ATTRIBUTES`` or ``IMAGE_TIMES``."""
    under_another_key = {"id", "api", "deleted", "digests", "properties"}
    not_in_the_api = {"requested_properties", "tags", "stores"}
    attributes = {field.name for field in fields(Image)}
    missing = attributes - {*IMAGE_ATTRIBUTES, *IMAGE_TIMES} - under_another_key - not_in_the_api
    assert missing == set(), f"not in the JSON of an image: {missing}"


def test_document_has_time_shard_counts_and_page() -> None:
    page = document(limit=5, page=4)
    assert {name: page[name] for name in page if name not in {"images", "clouds"}} == {
        "time": "2027-01-15T10:00:00Z",
        "shard": {"index": 0, "total": 1},
        "total": 18,
        "matching": 18,
        "page": 4,
        "pages": 4,
        "limit": 5,
    }
    assert [entry["image"] for entry in page["images"]] == ["bare", "fine", "wanted"]


def test_image_document_is_complete() -> None:
    assert image("unexpected") == {
        "cloud": "first",
        "image": "unexpected",
        "image_id": "id-of-unexpected",
        "source": "configured",
        "labels": {},
        "state": "active",
        "since": "2027-01-15T08:03:20Z",
        "problems": ["unexpected"],
        "exists": True,
        "name": "golden",
        "status": "active",
        "size_bytes": 1,
        "virtual_size_bytes": 21474836480,
        "protected": False,
        "public": True,
        "hidden": None,
        "visibility": None,
        "min_disk_bytes": 42949672960,
        "min_ram_bytes": 2147483648,
        "disk_format": "qcow2",
        "container_format": "bare",
        "project_id": "70e8fbac958f4a27b37bb02f2af0c8ad",
        "created_at": "2026-09-21T14:13:20Z",
        "updated_at": "2026-09-21T14:15:00Z",
        "deleted_at": None,
        "digests": {"md5": "826ad52d67c55b1f07cabe148b8146ac"},
        "properties": {"os_distro": "ubuntu", "os_version": "22.04"},
        "expectations": [
            {"expectation": "protected", "expected": True, "actual": False, "met": False},
            {"expectation": "public", "expected": False, "actual": True, "met": False},
            {"expectation": "status", "expected": ["active"], "actual": "active", "met": True},
        ],
        "last_change": {
            "at": "2027-01-15T09:58:30Z",
            "changes": [
                {"what": "protected", "old": True, "new": False},
                {"what": "public", "old": False, "new": True},
            ],
        },
        "last_poll": {
            "at": "2027-01-15T09:58:30Z",
            "success": True,
            "failure": None,
            "request_id": REQUEST_ID,
        },
        "last_answer_at": "2027-01-15T09:58:30Z",
        "gone_evidence": None,
    }


def test_unpolled_image_has_all_keys_without_values() -> None:
    new = image("new")
    assert new.keys() == image("fine").keys()
    assert (new["state"], new["problems"], new["expectations"]) == ("pending", [], [])
    not_empty = {name for name, value in new.items() if value not in (None, {}, [])}
    assert not_empty == {"cloud", "image", "image_id", "source", "state"}


def test_failed_poll_has_reason_detail_and_request_id() -> None:
    assert image("failing")["last_poll"] == {
        "at": "2027-01-15T09:59:48Z",
        "success": False,
        "failure": {"reason": "server_error", "detail": "HTTP 503"},
        "request_id": REQUEST_ID,
    }
    assert image("stale")["last_poll"]["request_id"] is None
    assert image("stale")["size_bytes"] is None


def test_unverifiable_expectation_is_neither_met_nor_unmet() -> None:
    assert image("bare")["expectations"] == [
        {"expectation": "protected", "expected": True, "actual": None, "met": None}
    ]


def test_cloud_document_is_complete() -> None:
    second, first = document()["clouds"]
    assert second == {
        "name": "second",
        "images": 5,
        "images_with_problems": 5,
        "images_with_cut_labels": 0,
        "troubles": [
            "api_down",
            "servers_disagree",
            "sign_in_failing",
            "breaker_open",
            "discovery_failing",
            "alias_unresolved",
        ],
        "api_up": False,
        "api_version": "v2",
        "capabilities": None,
        "breaker_open": True,
        "mass_disappearance": False,
        "contradictions": 3,
        "last_contradiction_at": "2027-01-15T09:55:00Z",
        "interval_seconds": 30.0,
        "last_cycle_at": "2027-01-15T09:59:40Z",
        "last_cycle_seconds": 30.0,
        "next_cycle_at": "2027-01-15T10:00:10Z",
        "cycles_skipped": 2,
        "sign_in": {
            "token_expires_at": "2027-01-15T09:59:00Z",
            "authentications": 5,
            "failures": 3,
            "failure": "unauthorized: HTTP 401 from Keystone",
        },
        "discovery": {
            "last_success_at": "2027-01-15T09:45:00Z",
            "failure": {"reason": "timeout", "detail": "no response in 10 s"},
            "images": 5,
            "aliases": {"debian": None, "ubuntu": "hostile"},
        },
    }
    assert first.keys() == second.keys()
    assert (first["discovery"], first["sign_in"]["failure"]) == (None, None)


def test_hostile_names_survive_as_printable_ascii() -> None:
    names = {entry["image_id"]: entry["name"] for entry in document(cloud="second")["images"]}
    assert names == HOSTILE_NAMES
    image_list = query_images(STORE, Query(cloud="second"), NOW)
    text = to_ascii_json(image_list_document(image_list))
    assert all(character == "\n" or " " <= character <= "~" for character in text)


@given(st.text())
def test_any_text_survives_the_round_trip(text: str) -> None:
    store = Store()
    target = Target("first", "an-id", "an-id")
    store.add_cloud(FIRST_CLOUD, [target])
    observation = NEVER_POLLED.with_outcome(Found(replace(ACTIVE, name=text)), NOW, MAX_STALE)
    observation = observation.with_outcome(Failed("malformed", text), NOW, MAX_STALE)
    store.observe(target.key, observation)
    response = to_ascii_json(image_list_document(query_images(store, Query(), NOW)))
    (entry,) = json.loads(response.encode("ascii"))["images"]
    assert entry["name"] == entry["last_poll"]["failure"]["detail"]
    # JSON joins adjacent halves of a surrogate pair. The rest is unchanged.
    assert entry["name"].encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")


def test_error_document_names_the_accepted_values() -> None:
    error = QueryError([("limit", CONTROLS, "a number"), ("order", "up", "asc, desc")])
    assert json.loads(to_ascii_json(query_error_document(error))) == {
        "error": (
            "limit is not accepted; accepted: a number; order is not accepted; accepted: asc, desc"
        ),
        "parameters": [
            {"name": "limit", "value": CONTROLS, "accepted": "a number"},
            {"name": "order", "value": "up", "accepted": "asc, desc"},
        ],
    }
