import http.client
import json
import socket
from pathlib import Path

import pytest

from exporter.simulator import Release, SimulatedImage, SimulatedImageService
from tests.simulator.wire import field, header_names, wire

RECORDINGS = Path(__file__).parents[1] / "recordings" / "v1"
V2 = RECORDINGS.parent / "v2"
ID = "87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"
UNKNOWN = "11111111-2222-4333-8444-555555555555"


def recording(name: str) -> bytes:
    """Return a recorded response."""
    return (RECORDINGS / f"{name}.http").read_bytes()


def get(service: SimulatedImageService, target: str, method: str = "GET") -> tuple[int, bytes]:
    """Request a page with Python's own client; return the status and the body."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def list_ids(service: SimulatedImageService, target: str) -> list[str]:
    """Return the IDs in a list."""
    status, body = get(service, target)
    assert status == 200
    return [image["id"] for image in json.loads(body)["images"]]


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("active-private", f"/v1/images/{ID}"),
        ("v1.1-path", f"/v1.1/images/{ID}"),
        ("double-slash", f"/v1//images/{ID}"),
        ("query-string", f"/v1/images/{ID}?x=1"),
        ("unknown-uuid", f"/v1/images/{UNKNOWN}"),
        ("id-uppercase", f"/v1/images/{ID.upper()}"),
        ("malformed-id-escapes", "/v1/images/%00%0a%2e%2e"),
        ("trailing-slash", f"/v1/images/{ID}/"),
        ("v2-head", f"/v2/images/{ID}"),
    ],
)
def test_head_has_the_status_line_and_header_names_of_the_recording(
    service: SimulatedImageService, name: str, target: str
) -> None:
    with wire(service) as client:
        head = client.ask("HEAD", target)
    raw = recording(name)
    assert head.splitlines()[0] == raw.splitlines()[0]
    assert header_names(head) == header_names(raw)


@pytest.mark.parametrize("target", [f"/images/{ID}", "/", "/nowhere"])
def test_path_without_version_gets_300_and_the_version_document(
    service: SimulatedImageService, target: str
) -> None:
    service.api.release = Release.GLANCE_15
    status, body = get(service, target)
    assert status == 300
    ours = body.replace(service.url.encode(), b"http://127.0.0.1:19292")
    assert ours == recording("unversioned-root").partition(b"\r\n\r\n")[2]


def test_versions_path_gets_the_version_document_with_200(service: SimulatedImageService) -> None:
    assert get(service, "/versions") == (200, get(service, "/")[1])


def test_disabled_v1_gets_300_whatever_the_token(service: SimulatedImageService) -> None:
    service.api.v1_enabled = False
    service.accept("secret")
    with wire(service) as client:
        head = client.ask("HEAD", f"/v1/images/{ID}")
    assert header_names(head) == header_names(recording("v1-disabled"))
    status, body = get(service, "/v1/images")
    assert status == 300
    assert [entry["id"][:2] for entry in json.loads(body)["versions"]] == ["v2"] * 16


def test_v1_shows_deleted_images_to_administrators_only(service: SimulatedImageService) -> None:
    service.images.delete(ID)
    with wire(service) as client:
        assert b" 404 " in client.ask("HEAD", f"/v1/images/{ID}")
        service.api.admin = True
        head = client.ask("HEAD", f"/v1/images/{ID}")
    assert b" 200 " in head.splitlines()[0]
    assert field(head, b"X-Image-Meta-Deleted") == b"True"
    assert sorted(header_names(head)) == sorted(header_names(recording("deleted-as-admin")))


def test_next_request_gets_the_changed_image(service: SimulatedImageService) -> None:
    with wire(service) as client:
        client.ask("HEAD", f"/v1/images/{ID}")
        service.images.change(ID, status="deactivated")
        head = client.ask("HEAD", f"/v1/images/{ID}")
    assert field(head, b"X-Image-Meta-Status") == b"deactivated"


def test_wrong_token_gets_401_with_the_address_of_keystone() -> None:
    with SimulatedImageService([SimulatedImage(ID)], token="right") as service:
        with wire(service) as client:
            for headers in ((), ("X-Auth-Token: wrong",), ("X-Auth-Token:",)):
                head = client.ask("HEAD", f"/v1/images/{ID}", *headers)
                assert head.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
                assert header_names(head) == header_names(recording("token-missing"))
            assert b" 200 " in client.ask("HEAD", f"/v1/images/{ID}", "X-Auth-Token: right")
        assert get(service, "/")[0] == 300


def test_tokens_can_be_revoked_and_accepted_at_run_time() -> None:
    target = f"/v1/images/{ID}"
    with (
        SimulatedImageService([SimulatedImage(ID)], token="old") as service,
        wire(service) as client,
    ):
        assert b" 200 " in client.ask("HEAD", target, "X-Auth-Token: old")
        service.revoke("old")
        assert b" 401 " in client.ask("HEAD", target, "X-Auth-Token: old")
        service.accept("new")
        assert b" 200 " in client.ask("HEAD", target, "X-Auth-Token: new")
        assert b" 401 " in client.ask("HEAD", target, "X-Auth-Token: old")


def test_list_is_cut_by_its_limit_and_the_page_limit() -> None:
    """The default limit is 25."""
    images = [SimulatedImage(f"i{number:02}") for number in range(40)]
    with SimulatedImageService(images, page_limit=30) as service:
        assert list_ids(service, "/v1/images?limit=1") == ["i00"]
        assert list_ids(service, "/v1/images?limit=0") == []
        assert len(list_ids(service, "/v1/images")) == 25
        assert len(list_ids(service, "/v1/images?limit=1000")) == 30
        assert list_ids(service, "/v1/images/detail?limit=50&marker=i37") == ["i38", "i39"]
        for query in ("limit=x", "limit=-1", "limit=", "marker=nobody"):
            assert get(service, f"/v1/images?{query}")[0] == 400


def test_list_omits_deleted_images(service: SimulatedImageService) -> None:
    """Not even administrators get them."""
    service.images.put(SimulatedImage("kept"))
    service.images.delete(ID)
    service.api.admin = True
    assert list_ids(service, "/v1/images") == ["kept"]


def test_detailed_list_has_every_field_and_the_properties(service: SimulatedImageService) -> None:
    service.images.change(ID, properties={"os_distro": "debian"})
    brief = json.loads(get(service, "/v1/images")[1])["images"][0]
    detail = json.loads(get(service, "/v1/images/detail")[1])["images"][0]
    assert sorted(brief) == ["checksum", "container_format", "disk_format", "id", "name", "size"]
    assert brief.items() <= detail.items()
    assert detail["properties"] == {"os_distro": "debian"}
    assert (detail["is_public"], detail["deleted_at"], detail["status"]) == (False, None, "active")


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("GET", f"/v1/images/{ID}", b"HEAD"),
        ("DELETE", f"/v1/images/{ID}", b"HEAD"),
        ("HEAD", "/v1/images", b"GET"),
        ("HEAD", "/v1/images/detail", b"GET"),
        ("HEAD", "/v2/images", b"GET, POST"),
    ],
)
def test_other_methods_get_405_with_the_allowed_ones(
    service: SimulatedImageService, method: str, target: str, allow: bytes
) -> None:
    with wire(service) as client:
        head = client.ask(method, target)
    assert head.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert field(head, b"Allow") == allow


def test_path_prefix_applies_to_paths_and_links() -> None:
    with SimulatedImageService([SimulatedImage(ID)], path_prefix="/image") as service:
        assert get(service, f"/image/v1/images/{ID}", "HEAD")[0] == 200
        assert get(service, f"/v1/images/{ID}", "HEAD")[0] == 404
        links = json.loads(get(service, "/image/")[1])["versions"][0]["links"]
        assert links[0]["href"] == f"{service.url}/image/v2/"


@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("*.http")), ids=lambda path: path.stem)
def test_replay_sends_a_recording_unchanged_whatever_the_token(path: Path) -> None:
    raw = path.read_bytes()
    with SimulatedImageService(token="secret") as service:
        service.replay(ID, raw)
        with wire(service) as client:
            client.send("HEAD", f"/v1/images/{ID}", "Connection: close")
            assert client.socket.recv(len(raw), socket.MSG_WAITALL) == raw
        service.replay(ID, None)
        assert get(service, f"/v1/images/{ID}", "HEAD")[0] == 401


def test_v2_returns_the_current_document_of_an_image(service: SimulatedImageService) -> None:
    service.images.change(ID, status="deactivated", tags=("a",))
    status, body = get(service, f"/v2/images/{ID}?x=1")
    assert status == 200
    image = service.images.get(ID)
    assert image is not None
    assert json.loads(body) == image.v2_document()
    assert json.loads(body)["status"] == "deactivated"


def test_v2_returns_404_for_deleted_images_and_private_ones_of_others(
    service: SimulatedImageService,
) -> None:
    """Administrators get private images of others, but no deleted ones."""
    service.images.put(SimulatedImage("others", owner="another"))
    service.images.delete(ID)
    assert [get(service, f"/v2/images/{image_id}")[0] for image_id in (ID, "others", UNKNOWN)] == [
        404
    ] * 3
    service.api.admin = True
    assert [get(service, f"/v2/images/{image_id}")[0] for image_id in (ID, "others")] == [404, 200]
    service.api.admin, service.api.project = False, "another"
    assert get(service, "/v2/images/others")[0] == 200


def test_v2_without_a_token_gets_401() -> None:
    with SimulatedImageService([SimulatedImage(ID)], token="right") as service:
        assert get(service, f"/v2/images/{ID}")[0] == 401
        assert get(service, "/v2/images")[0] == 401
        with wire(service) as client:
            assert b" 200 " in client.ask("GET", f"/v2/images/{ID}", "X-Auth-Token: right")


@pytest.mark.parametrize(
    ("method", "target"),
    [("DELETE", f"/v2/images/{ID}"), ("PATCH", f"/v2/images/{ID}"), ("POST", "/v2/images")],
)
def test_v2_forbids_changes(service: SimulatedImageService, method: str, target: str) -> None:
    assert get(service, target, method)[0] == 403
    assert get(service, f"/v2/images/{ID}")[0] == 200


def test_v2_list_has_the_shape_of_the_recording(service: SimulatedImageService) -> None:
    """Documents are the same as for a single image; the links follow them."""
    body = json.loads(get(service, f"/v2/images?id=in:{ID}")[1])
    recorded = json.loads((V2 / "in-one.http").read_bytes().partition(b"\r\n\r\n")[2])
    assert list(body) == list(recorded)
    assert body["first"] == f"/v2/images?id=in%3A{ID}"
    assert body["schema"] == recorded["schema"]
    assert list(body["images"][0]) == list(recorded["images"][0])
    assert json.loads(get(service, "/v2/images?limit=0")[1]) == json.loads(
        (V2 / "list-limit-0.http").read_bytes().partition(b"\r\n\r\n")[2]
    )


def test_v2_pages_contain_every_image_once() -> None:
    images = [SimulatedImage(f"i{number}", hidden=number == 3) for number in range(8)]
    with SimulatedImageService(images, page_limit=3, path_prefix="/image") as service:
        ids, following = [], "/v2/images?limit=1000&visibility=all"
        while following:
            status, raw = get(service, f"/image{following}")
            assert status == 200
            body = json.loads(raw)
            ids += [image["id"] for image in body["images"]]
            following = body.get("next")
    assert ids == ["i7", "i6", "i5", "i4", "i2", "i1", "i0"]


def test_v2_list_gets_400_for_an_invalid_query(service: SimulatedImageService) -> None:
    status, body = get(service, "/v2/images?limit=x")
    assert status == 400
    assert b"limit param must be an integer" in body


def test_v2_request_line_is_limited_to_4094_bytes(service: SimulatedImageService) -> None:
    """A longer one gets gunicorn's response, whatever the token."""
    longest = "/v2/images?id=in:".ljust(4094 - len("GET  HTTP/1.1"), "x")
    assert get(service, longest)[0] == 200
    service.accept("secret")
    with wire(service) as client:
        client.send("GET", longest + "x")
        assert b"Request Line is too large (4095 &gt; 4094)" in client.read_all()
    assert get(service, "/v1/images?limit=1&x=" + "x" * 5000)[0] == 401


def test_v2_response_can_be_replayed(service: SimulatedImageService) -> None:
    raw = (V2 / "name-newline.http").read_bytes()
    service.replay(ID, raw)
    assert get(service, f"/v2/images/{ID}") == (200, raw.partition(b"\r\n\r\n")[2])
