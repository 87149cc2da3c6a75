import http.client
import json
import socket
from pathlib import Path

import pytest

from exporter.simulator import SimulatedImage, SimulatedImageService
from tests.simulator.wire import field, header_names, wire

RECORDINGS = Path(__file__).parents[1] / "recordings" / "v1"
V2 = RECORDINGS.parent / "v2"
ID = "87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"
UNKNOWN = "11111111-2222-4333-8444-555555555555"


def recording(name: str) -> bytes:
    """A recorded answer, byte for byte."""
    return (RECORDINGS / f"{name}.http").read_bytes()


def get(service: SimulatedImageService, target: str, method: str = "GET") -> tuple[int, bytes]:
    """Status and body of an answer, as Python's own client reads them."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def listed(service: SimulatedImageService, target: str) -> list[str]:
    """The IDs of a list."""
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
def test_head_has_the_shape_of_the_recording(
    service: SimulatedImageService, name: str, target: str
) -> None:
    """Status line and header names, in their order, are those of Glance 15."""
    with wire(service) as client:
        head = client.ask("HEAD", target)
    raw = recording(name)
    assert head.splitlines()[0] == raw.splitlines()[0]
    assert header_names(head) == header_names(raw)


@pytest.mark.parametrize("target", [f"/images/{ID}", "/", "/nowhere"])
def test_path_without_version_is_300(service: SimulatedImageService, target: str) -> None:
    """A path without a version gets the version document."""
    status, body = get(service, target)
    assert status == 300
    ours = body.replace(service.url.encode(), b"http://127.0.0.1:19292")
    assert ours == recording("unversioned-root").partition(b"\r\n\r\n")[2]


def test_versions_is_200(service: SimulatedImageService) -> None:
    """/versions gives the same document with 200."""
    assert get(service, "/versions") == (200, get(service, "/")[1])


def test_disabled_v1_is_300(service: SimulatedImageService) -> None:
    """With v1 switched off all of it answers 300, without a look at the token."""
    service.api.v1_enabled = False
    service.accept("secret")
    with wire(service) as client:
        head = client.ask("HEAD", f"/v1/images/{ID}")
    assert header_names(head) == header_names(recording("v1-disabled"))
    status, body = get(service, "/v1/images")
    assert status == 300
    assert [entry["id"][:2] for entry in json.loads(body)["versions"]] == ["v2"] * 6


def test_deleted_image_is_seen_by_administrators_only(service: SimulatedImageService) -> None:
    """A deleted image is 404 to its owner and 200 with Deleted True to an administrator."""
    service.images.delete(ID)
    with wire(service) as client:
        assert b" 404 " in client.ask("HEAD", f"/v1/images/{ID}")
        service.api.admin = True
        head = client.ask("HEAD", f"/v1/images/{ID}")
    assert b" 200 " in head.splitlines()[0]
    assert field(head, b"X-Image-Meta-Deleted") == b"True"
    assert sorted(header_names(head)) == sorted(header_names(recording("deleted-as-admin")))


def test_changed_image_is_seen_by_the_next_request(service: SimulatedImageService) -> None:
    """Nothing of an image is kept once it has changed."""
    with wire(service) as client:
        client.ask("HEAD", f"/v1/images/{ID}")
        service.images.change(ID, status="deactivated")
        head = client.ask("HEAD", f"/v1/images/{ID}")
    assert field(head, b"X-Image-Meta-Status") == b"deactivated"


def test_wrong_token_is_401() -> None:
    """Without an accepted token the answer is 401 with Keystone's address."""
    with SimulatedImageService([SimulatedImage(ID)], token="right") as service:
        with wire(service) as client:
            for headers in ((), ("X-Auth-Token: wrong",), ("X-Auth-Token:",)):
                head = client.ask("HEAD", f"/v1/images/{ID}", *headers)
                assert head.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
                assert header_names(head) == header_names(recording("token-missing"))
            assert b" 200 " in client.ask("HEAD", f"/v1/images/{ID}", "X-Auth-Token: right")
        assert get(service, "/")[0] == 300


def test_tokens_come_and_go_at_run_time() -> None:
    """A token can be revoked and another accepted while connections are open."""
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


def test_list_gives_what_the_limit_allows() -> None:
    """A list is cut by its limit, by 25 without one, and always by the page limit."""
    images = [SimulatedImage(f"i{number:02}") for number in range(40)]
    with SimulatedImageService(images, page_limit=30) as service:
        assert listed(service, "/v1/images?limit=1") == ["i00"]
        assert listed(service, "/v1/images?limit=0") == []
        assert len(listed(service, "/v1/images")) == 25
        assert len(listed(service, "/v1/images?limit=1000")) == 30
        assert listed(service, "/v1/images/detail?limit=50&marker=i37") == ["i38", "i39"]
        for query in ("limit=x", "limit=-1", "limit=", "marker=nobody"):
            assert get(service, f"/v1/images?{query}")[0] == 400


def test_list_leaves_out_deleted_images(service: SimulatedImageService) -> None:
    """A deleted image is in no list, not even an administrator's."""
    service.images.put(SimulatedImage("kept"))
    service.images.delete(ID)
    service.api.admin = True
    assert listed(service, "/v1/images") == ["kept"]


def test_detail_has_every_field(service: SimulatedImageService) -> None:
    """The detailed list has the fields of an image's head and its properties."""
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
def test_other_methods_are_405(
    service: SimulatedImageService, method: str, target: str, allow: bytes
) -> None:
    """A method that a path does not have is 405 and says which it has."""
    with wire(service) as client:
        head = client.ask(method, target)
    assert head.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert field(head, b"Allow") == allow


def test_path_prefix_stands_before_everything() -> None:
    """With a prefix, paths begin with it, and the version document's links have it."""
    with SimulatedImageService([SimulatedImage(ID)], path_prefix="/image") as service:
        assert get(service, f"/image/v1/images/{ID}", "HEAD")[0] == 200
        assert get(service, f"/v1/images/{ID}", "HEAD")[0] == 404
        links = json.loads(get(service, "/image/")[1])["versions"][0]["links"]
        assert links[0]["href"] == f"{service.url}/image/v2/"


@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("*.http")), ids=lambda path: path.stem)
def test_replay_is_byte_exact(path: Path) -> None:
    """A recording is sent as it is, whatever the token."""
    raw = path.read_bytes()
    with SimulatedImageService(token="secret") as service:
        service.replay(ID, raw)
        with wire(service) as client:
            client.send("HEAD", f"/v1/images/{ID}", "Connection: close")
            assert client.socket.recv(len(raw), socket.MSG_WAITALL) == raw
        service.replay(ID, None)
        assert get(service, f"/v1/images/{ID}", "HEAD")[0] == 401


def test_v2_image_is_its_document(service: SimulatedImageService) -> None:
    """GET gives the document of the image as it is now."""
    service.images.change(ID, status="deactivated", tags=("a",))
    status, body = get(service, f"/v2/images/{ID}?x=1")
    assert status == 200
    image = service.images.get(ID)
    assert image is not None
    assert json.loads(body) == image.v2_document()
    assert json.loads(body)["status"] == "deactivated"


def test_v2_has_neither_deleted_images_nor_private_ones_of_others(
    service: SimulatedImageService,
) -> None:
    """Both are 404; an administrator sees those of others, and a deleted one no more either."""
    service.images.put(SimulatedImage("others", owner="another"))
    service.images.delete(ID)
    assert [get(service, f"/v2/images/{each}")[0] for each in (ID, "others", UNKNOWN)] == [404] * 3
    service.api.admin = True
    assert [get(service, f"/v2/images/{each}")[0] for each in (ID, "others")] == [404, 200]
    service.api.admin, service.api.project = False, "another"
    assert get(service, "/v2/images/others")[0] == 200


def test_v2_wants_a_token() -> None:
    """Without one both an image and the list are 401."""
    with SimulatedImageService([SimulatedImage(ID)], token="right") as service:
        assert get(service, f"/v2/images/{ID}")[0] == 401
        assert get(service, "/v2/images")[0] == 401
        with wire(service) as client:
            assert b" 200 " in client.ask("GET", f"/v2/images/{ID}", "X-Auth-Token: right")


@pytest.mark.parametrize(
    ("method", "target"),
    [("DELETE", f"/v2/images/{ID}"), ("PATCH", f"/v2/images/{ID}"), ("POST", "/v2/images")],
)
def test_v2_changes_nothing(service: SimulatedImageService, method: str, target: str) -> None:
    """Requests that would change something are forbidden."""
    assert get(service, target, method)[0] == 403
    assert get(service, f"/v2/images/{ID}")[0] == 200


def test_v2_list_has_the_shape_of_the_recording(service: SimulatedImageService) -> None:
    """Documents stand as they do alone, between them and the end stand the links."""
    body = json.loads(get(service, f"/v2/images?id=in:{ID}")[1])
    recorded = json.loads((V2 / "in-one.http").read_bytes().partition(b"\r\n\r\n")[2])
    assert list(body) == list(recorded)
    assert body["first"] == f"/v2/images?id=in%3A{ID}"
    assert body["schema"] == recorded["schema"]
    assert list(body["images"][0]) == list(recorded["images"][0])
    assert json.loads(get(service, "/v2/images?limit=0")[1]) == json.loads(
        (V2 / "list-limit-0.http").read_bytes().partition(b"\r\n\r\n")[2]
    )


def test_v2_list_goes_on_where_next_says() -> None:
    """Following next gives every image once, whatever the limit and the page limit."""
    images = [SimulatedImage(f"i{number}", hidden=number == 3) for number in range(8)]
    with SimulatedImageService(images, page_limit=3, path_prefix="/image") as service:
        found, following = [], "/v2/images?limit=1000&visibility=all"
        while following:
            status, raw = get(service, f"/image{following}")
            assert status == 200
            body = json.loads(raw)
            found += [image["id"] for image in body["images"]]
            following = body.get("next")
    assert found == ["i7", "i6", "i5", "i4", "i2", "i1", "i0"]


def test_v2_list_refuses_what_it_cannot_answer(service: SimulatedImageService) -> None:
    """A query with a mistake is 400 and says which."""
    status, body = get(service, "/v2/images?limit=x")
    assert status == 400
    assert b"limit param must be an integer" in body


def test_v2_request_line_has_a_limit(service: SimulatedImageService) -> None:
    """4,094 bytes are answered; one more is refused as gunicorn does, whatever the token."""
    longest = "/v2/images?id=in:".ljust(4094 - len("GET  HTTP/1.1"), "x")
    assert get(service, longest)[0] == 200
    service.accept("secret")
    with wire(service) as client:
        client.send("GET", longest + "x")
        assert b"Request Line is too large (4095 &gt; 4094)" in client.read_all()
    assert get(service, "/v1/images?limit=1&x=" + "x" * 5000)[0] == 401


def test_v2_answer_can_be_replayed(service: SimulatedImageService) -> None:
    """A recorded document is sent as it is."""
    raw = (V2 / "name-newline.http").read_bytes()
    service.replay(ID, raw)
    assert get(service, f"/v2/images/{ID}") == (200, raw.partition(b"\r\n\r\n")[2])
