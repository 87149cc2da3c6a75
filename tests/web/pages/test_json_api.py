import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exporter.model.observation import NEVER_POLLED
from exporter.model.outcome import Failed, Found
from exporter.model.target import Target
from exporter.store import Store
from exporter.web.pages.image_list import query_images
from exporter.web.pages.json_api import image_list_document, query_error_document, to_ascii_json
from exporter.web.pages.query import Query, QueryError
from tests.model.samples import ACTIVE, MAX_STALE
from tests.web.cast import CONTROLS, FIRST, NAMES, NOW, REQUEST, cast

CAST = cast()


def document(**asked: Any) -> Any:
    """What the API answers to a query of the cast."""
    return json.loads(to_ascii_json(image_list_document(query_images(CAST, Query(**asked), NOW))))


def image(alias: str) -> Any:
    """What the API says of one image of the cast."""
    (found,) = document(q=f"id-of-{alias}")["images"]
    return found


def test_a_page_of_images_says_where_it_is() -> None:
    """Beside the images stand the time, the counts and the place."""
    whole = document(limit=5, page=4)
    assert {name: whole[name] for name in whole if name not in {"images", "clouds"}} == {
        "time": "2027-01-15T10:00:00Z",
        "shard": {"index": 0, "total": 1},
        "total": 18,
        "matching": 18,
        "page": 4,
        "pages": 4,
        "limit": 5,
    }
    assert [each["image"] for each in whole["images"]] == ["bare", "fine", "wanted"]


def test_an_image_is_told_whole() -> None:
    """Everything that is known of an image is there, in bytes, booleans and times in UTC."""
    assert image("unexpected") == {
        "cloud": "first",
        "image": "unexpected",
        "image_id": "id-of-unexpected",
        "source": "configured",
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
            "request_id": REQUEST,
        },
        "last_answer_at": "2027-01-15T09:58:30Z",
    }


def test_what_is_not_known_is_null() -> None:
    """An image that was never polled has all its fields, none of which says anything."""
    told = image("new")
    assert told.keys() == image("fine").keys()
    assert (told["state"], told["problems"], told["expectations"]) == ("pending", [], [])
    said = {"cloud", "image", "image_id", "source", "state"}
    assert {name for name, value in told.items() if value not in (None, {}, [])} == said


def test_a_failed_poll_says_why() -> None:
    """Its reason and detail are apart, and the request ID is there where there is one."""
    assert image("failing")["last_poll"] == {
        "at": "2027-01-15T09:59:48Z",
        "success": False,
        "failure": {"reason": "server_error", "detail": "HTTP 503"},
        "request_id": REQUEST,
    }
    assert image("stale")["last_poll"]["request_id"] is None
    assert image("stale")["size_bytes"] is None


def test_an_expectation_that_cannot_be_judged_is_null() -> None:
    """It is neither met nor not."""
    assert image("bare")["expectations"] == [
        {"expectation": "protected", "expected": True, "actual": None, "met": None}
    ]


def test_clouds_are_told_with_their_troubles() -> None:
    """A cloud's API, cycles, sign-in and discovery are there; what it has none of is null."""
    second, first = document()["clouds"]
    assert second == {
        "name": "second",
        "images": 5,
        "images_with_problems": 5,
        "troubles": [
            "api_down",
            "sign_in_failing",
            "breaker_open",
            "discovery_failing",
            "alias_unresolved",
        ],
        "api_up": False,
        "api_version": "v2",
        "breaker_open": True,
        "mass_disappearance": False,
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
            "failure": {"reason": "timeout", "detail": "no answer in 10 s"},
            "images": 5,
            "aliases": {"debian": None, "ubuntu": "hostile"},
        },
    }
    assert first.keys() == second.keys()
    assert (first["discovery"], first["sign_in"]["failure"]) == (None, None)


def test_names_are_told_as_they_are() -> None:
    """Whatever a name holds, a script gets it back, and the text itself is printable ASCII."""
    told = {each["image_id"]: each["name"] for each in document(cloud="second")["images"]}
    assert told == NAMES
    text = to_ascii_json(image_list_document(query_images(CAST, Query(cloud="second"), NOW)))
    assert all(character == "\n" or " " <= character <= "~" for character in text)


@given(st.text())
def test_any_text_is_json(text: str) -> None:
    """Halves of surrogate pairs too, which no UTF-8 can hold, come back from the JSON."""
    store = Store()
    target = Target("first", "an-id", "an-id")
    store.add_cloud(FIRST, [target])
    seen = NEVER_POLLED.with_outcome(Found(replace(ACTIVE, name=text)), NOW, MAX_STALE)
    store.observe(target.key, seen.with_outcome(Failed("malformed", text), NOW, MAX_STALE))
    answer = to_ascii_json(image_list_document(query_images(store, Query(), NOW)))
    (told,) = json.loads(answer.encode("ascii"))["images"]
    assert told["name"] == told["last_poll"]["failure"]["detail"]
    # JSON joins two halves that stand side by side; all else is as it was.
    assert told["name"].encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")


def test_a_refusal_names_what_is_accepted() -> None:
    """Each parameter that makes no sense is there with its value and what is accepted."""
    refused = QueryError([("limit", CONTROLS, "a number"), ("order", "up", "asc, desc")])
    assert json.loads(to_ascii_json(query_error_document(refused))) == {
        "error": "limit is not accepted: give a number; order is not accepted: give asc, desc",
        "parameters": [
            {"name": "limit", "value": CONTROLS, "accepted": "a number"},
            {"name": "order", "value": "up", "accepted": "asc, desc"},
        ],
    }
