import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.glance.versions import VERSIONS_PATHS, choose, offered
from exporter.simulator import SimulatedImageService
from exporter.transport.http1 import parse_head
from exporter.transport.response import Response, ResponseHead
from tests.simulator.wire import wire

RECORDINGS = Path(__file__).parents[1] / "recordings"
BOTH, NONE = frozenset({"v1", "v2"}), frozenset[str]()


def answer(body: bytes | object, code: int = 300) -> Response:
    """An answer with this body, written as JSON unless it is bytes."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(ResponseHead(code, [], keeps_alive=True), raw, sent_at=0.0, received_at=1.0)


def recorded(name: str) -> Response:
    """A recorded answer."""
    head, _, body = (RECORDINGS / f"{name}.http").read_bytes().partition(b"\r\n\r\n")
    return Response(parse_head(head), body, sent_at=0.0, received_at=1.0)


def versions(*entries: tuple[object, object]) -> dict[str, object]:
    """A version document with these IDs and statuses."""
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
    ],
)
def test_a_recorded_document_offers_what_its_server_had(name: str, expected: set[str]) -> None:
    """Glance 15 had v1 and v2, Glance 33 has v2 alone; a HEAD and other answers offer nothing."""
    assert offered(recorded(name)) == expected


@pytest.mark.parametrize("v1_enabled", [True, False])
@pytest.mark.parametrize("path", VERSIONS_PATHS)
def test_the_simulated_service_offers_what_it_has(path: str, v1_enabled: bool) -> None:
    """Both paths tell of v1 as long as it is switched on."""
    with SimulatedImageService(token="secret") as service, wire(service) as client:
        service.api.v1_enabled = v1_enabled
        client.send("GET", path, "Connection: close")
        head, _, body = client.read_all().partition(b"\r\n\r\n")
    expected = {"v1", "v2"} if v1_enabled else {"v2"}
    assert offered(Response(parse_head(head), body, 0.0, 1.0)) == expected


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
def test_a_version_is_offered_by_its_number_and_status(
    entries: list[tuple[object, object]], expected: frozenset[str]
) -> None:
    """Deprecated is still there, experimental is not promised, others cannot be spoken."""
    assert offered(answer(versions(*entries))) == expected


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
def test_what_is_no_version_document_offers_nothing(body: object) -> None:
    """A proxy's page or another service's document is not read as Glance's."""
    assert offered(answer(body)) == NONE


@pytest.mark.parametrize(
    ("code", "counts"), [(200, True), (300, True), (204, False), (401, False), (503, False)]
)
def test_only_200_and_300_carry_the_document(code: int, counts: bool) -> None:
    """Other codes are failures, whatever their body says."""
    expected = {"v1"} if counts else NONE
    assert offered(answer(versions(("v1.0", "CURRENT")), code)) == expected


@given(st.recursive(st.none() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_any_document_is_read_without_an_exception(entries: object) -> None:
    """Whatever stands where versions should, nothing is offered that is not named."""
    assert offered(answer({"versions": entries})) == NONE


@pytest.mark.parametrize(
    ("available", "wanted", "chosen"),
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
def test_v1_comes_first_unless_another_is_wanted(
    available: set[str], wanted: str, chosen: str | None
) -> None:
    """What the operator wants is spoken even where it is not offered."""
    assert choose(frozenset(available), wanted) == chosen
