import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.schema import Cloud
from exporter.glance.versions import (
    API_VERSIONS,
    VERSIONS_PATHS,
    parse_versions,
    preferred_version,
)
from exporter.model.api_traits import ApiName, RequestedVersion
from exporter.simulator import Release, SimulatedImageService
from exporter.transport.http1 import Response, parse_head
from tests.simulator.wire import wire

ID = "87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"
RECORDINGS = Path(__file__).parents[1] / "recordings"
BOTH, NONE = frozenset(API_VERSIONS), frozenset[ApiName]()


def response(body: bytes | object, code: int = 300) -> Response:
    """Return a response with this body, written as JSON unless it is bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(code, [], body=content)


def recording(name: str) -> Response:
    head, _, body = (RECORDINGS / f"{name}.http").read_bytes().partition(b"\r\n\r\n")
    return replace(parse_head(head), body=body)


def version_document(*entries: tuple[object, object]) -> dict[str, object]:
    """Return a version document with these IDs and statuses."""
    return {"versions": [{"id": name, "status": status, "links": []} for name, status in entries]}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("v2/root", {"v2"}),
        ("v2/versions", {"v2"}),
        ("v2/get-v1", {"v2"}),
        ("v2/head-v1-no-token", set()),
        ("v2/active-private", set()),
        ("v2/list-no-token", set()),
        ("v1/unversioned-root", {"v1", "v2"}),
        ("glance15-v2/root", {"v1", "v2"}),
        ("glance15-v2/versions", {"v1", "v2"}),
        ("glance15-v2/head-v2", set()),
        ("glance15-v2/list-default", set()),
    ],
)
def test_recorded_document_offers_the_versions_of_its_server(
    name: str, expected: set[ApiName]
) -> None:
    """Glance 15 has v1 and v2, Glance 33 only v2. A HEAD and other responses offer nothing."""
    assert parse_versions(recording(name)) == expected


@pytest.mark.parametrize("v1_enabled", [True, False])
@pytest.mark.parametrize("path", VERSIONS_PATHS)
def test_simulated_service_offers_its_versions(
    path: str, v1_enabled: bool, release: Release
) -> None:
    with (
        SimulatedImageService(token="secret", release=release) as service,
        wire(service) as client,
    ):
        service.api.v1_enabled = v1_enabled
        client.send("GET", path, "Connection: close")
        head, _, body = client.read_all().partition(b"\r\n\r\n")
    expected = {"v1", "v2"} if v1_enabled else {"v2"}
    assert parse_versions(replace(parse_head(head), body=body)) == expected


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([("v1.0", "CURRENT"), ("v1.1", "CURRENT")], {"v1"}),
        ([("v2.17", "CURRENT")], {"v2"}),
        ([("v2", "SUPPORTED"), ("v1", "SUPPORTED")], BOTH),
        ([("v1.1", "DEPRECATED"), ("v2.0", "SUPPORTED")], BOTH),
        ([("v1.1", "EXPERIMENTAL"), ("v2.0", "CURRENT")], {"v2"}),
        ([("v3.0", "CURRENT")], NONE),
        ([("v12.0", "CURRENT"), ("v20", "CURRENT")], NONE),
        ([("2.0", "CURRENT"), ("V1.0", "CURRENT"), ("v1.x", "CURRENT")], NONE),
        ([("v1.0", "current"), ("v2.0", None), (None, "CURRENT")], NONE),
        ([(["v1.0"], "CURRENT"), ("v2.0", ["CURRENT"])], NONE),
        ([], NONE),
    ],
)
def test_version_is_offered_by_its_number_and_status(
    entries: list[tuple[object, object]], expected: frozenset[ApiName]
) -> None:
    assert parse_versions(response(version_document(*entries))) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff",
        [],
        {},
        {"versions": None},
        {"versions": {"values": [{"id": "v1.0", "status": "CURRENT"}]}},
        {"versions": ["v1.0", None, 1]},
    ],
)
def test_body_that_is_not_a_version_document_offers_nothing(body: object) -> None:
    """It may be a proxy's page, or the document of another service."""
    assert parse_versions(response(body)) == NONE


@pytest.mark.parametrize(
    ("code", "has_document"), [(200, True), (300, True), (204, False), (401, False), (503, False)]
)
def test_only_200_and_300_carry_the_document(code: int, has_document: bool) -> None:
    expected = {"v1"} if has_document else NONE
    assert parse_versions(response(version_document(("v1.0", "CURRENT")), code)) == expected


@given(st.recursive(st.none() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_any_document_is_parsed_without_an_exception(entries: object) -> None:
    assert parse_versions(response({"versions": entries})) == NONE


@pytest.mark.parametrize(
    ("offered", "requested", "chosen"),
    [
        (BOTH, "auto", "v1"),
        ({"v1"}, "auto", "v1"),
        ({"v2"}, "auto", "v2"),
        (NONE, "auto", None),
        (BOTH, "v2", "v2"),
        (BOTH, "v1", "v1"),
        ({"v2"}, "v1", "v1"),
        (NONE, "v2", "v2"),
    ],
)
def test_v1_is_preferred_unless_another_version_is_configured(
    offered: set[ApiName], requested: RequestedVersion, chosen: ApiName | None
) -> None:
    """A configured version is used even if the service does not offer it."""
    assert preferred_version(frozenset(offered), requested) == chosen


@pytest.mark.parametrize("api", ["auto", *API_VERSIONS])
def test_every_version_can_be_configured(api: str) -> None:
    cloud = Cloud.model_validate({"name": "lab", "images": [ID], "api": api})
    assert cloud.api == api
