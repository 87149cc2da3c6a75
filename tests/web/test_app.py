"""The routes, requested over real connections."""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from functools import partial

import pytest

from exporter.metrics.body import Body
from exporter.model.cloud import CloudState
from exporter.model.target import Target
from exporter.store import Store
from exporter.web.negotiation import OPENMETRICS, TEXT
from exporter.web.pages.image_details import find_image, image_path
from exporter.web.pages.page import SCRIPT
from tests.web.conftest import Serve, ServerThread, run_server
from tests.web.example_app import BODIES, app
from tests.web.example_images import NOW


@pytest.fixture(scope="module")
def shared_server() -> Iterator[ServerThread]:
    """A server for all tests that replace nothing."""
    with run_server(app()) as server:
        yield server


@pytest.mark.parametrize(
    ("accept", "content_type", "body"),
    [
        ("text/plain", TEXT, BODIES[False]),
        ("application/openmetrics-text", OPENMETRICS, BODIES[True]),
        ("application/json", TEXT, BODIES[False]),
    ],
)
def test_accept_header_chooses_the_format(
    shared_server: ServerThread, accept: str, content_type: str, body: bytes
) -> None:
    response = shared_server.request("/metrics?name[]=up", headers={"Accept": accept})
    assert (response.status, response.body) == (200, body)
    assert response.headers["content-type"] == content_type
    assert response.headers["vary"] == "Accept, Accept-Encoding"
    assert "content-encoding" not in response.headers


@pytest.mark.parametrize(
    "accept_encoding", ["", "identity", "identity;q=1, gzip;q=0", "gzip;q=0", "br, zstd"]
)
def test_metrics_are_not_compressed_unless_accepted(
    shared_server: ServerThread, accept_encoding: str
) -> None:
    response = shared_server.request("/metrics", headers={"Accept-Encoding": accept_encoding})
    assert (response.status, response.body) == (200, BODIES[False])
    assert "content-encoding" not in response.headers


def test_metrics_are_compressed_to_equal_bytes_if_accepted(shared_server: ServerThread) -> None:
    first, second = (
        shared_server.request("/metrics", headers={"Accept-Encoding": "gzip"}) for _ in "12"
    )
    assert first.headers["content-encoding"] == "gzip"
    assert gzip.decompress(first.body) == BODIES[False]
    assert first.body == second.body


def test_repeated_accept_headers_are_combined(shared_server: ServerThread) -> None:
    request = (
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: text/plain;q=0.1\r\n"
        b"Accept: application/openmetrics-text\r\nConnection: close\r\n\r\n"
    )
    with shared_server.connect(request) as connection, connection.makefile("rb") as response:
        assert OPENMETRICS.encode() in response.read()


@pytest.mark.parametrize(
    "path",
    ["/", "/page.js", "/api/images", "/config", "/metrics", "/-/healthy", "/-/ready", "/nowhere"],
)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_head_has_the_headers_of_get_without_the_body(
    shared_server: ServerThread, path: str, encoding: str
) -> None:
    got, head = (
        shared_server.request(path, method, {"Accept-Encoding": encoding})
        for method in ("GET", "HEAD")
    )
    without_date = [
        {name: value for name, value in response.headers.items() if name != "date"}
        for response in (got, head)
    ]
    assert (head.status, without_date[1]) == (got.status, without_date[0])
    assert head.body == b""
    assert head.headers["content-length"] == str(len(got.body))
    assert head.headers["server"] == "openstack-image-exporter"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize(
    "path", ["/", "/page.js", "/api/images", "/config", "/metrics", "/-/healthy", "/-/ready"]
)
def test_other_methods_get_405_with_the_allowed_ones(
    shared_server: ServerThread, method: str, path: str
) -> None:
    response = shared_server.request(path, method)
    assert (response.status, response.body) == (405, b"Method Not Allowed\n")
    assert response.headers["allow"] == "GET, HEAD"
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "path", ["/metrics/", "/favicon.ico", "//", "/docs", "/%2e%2e/", "/-/", "/api/", "/page.css"]
)
def test_other_paths_get_404_without_a_redirect(shared_server: ServerThread, path: str) -> None:
    response = shared_server.request(path)
    assert (response.status, response.body) == (404, b"Not Found\n")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(("path", "words"), [("/-/healthy", "Healthy"), ("/-/ready", "Ready")])
def test_failing_health_check_gets_503_with_the_reason(serve: Serve, path: str, words: str) -> None:
    reasons: list[str | None] = [None, "no cycle for 200 s"]

    def next_reason() -> str | None:
        return reasons.pop(0)

    server = serve(app(healthy=next_reason, ready=next_reason))
    good, bad = server.request(path), server.request(path)
    assert (good.status, good.body) == (200, f"{words}\n".encode())
    assert (bad.status, bad.body) == (503, b"no cycle for 200 s\n")


def test_page_has_security_headers_and_a_policy_by_hash(shared_server: ServerThread) -> None:
    response = shared_server.request("/")
    page = response.body.decode()
    assert response.status == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "id-of-gone" in page
    (style,) = re.findall(r"<style>(.*)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert response.headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; script-src 'self'; "
        "connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"


def test_script_of_the_page_is_served(shared_server: ServerThread) -> None:
    response = shared_server.request("/page.js")
    assert (response.status, response.body.decode()) == (200, SCRIPT)
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_page_follows_the_query_and_clamps_the_page_number(shared_server: ServerThread) -> None:
    page = shared_server.request("/?q=id-of-g&limit=25&refresh=0").body.decode()
    assert "id-of-gone" in page
    assert "id-of-fine" not in page
    last = shared_server.request("/?limit=7&page=99&sort=image")
    assert (last.status, b"15 to 18 of 18" in last.body) == (200, True)


@pytest.mark.parametrize(
    "path", ["/", "/api/images", "/api/images?limit=no", "/images/first/id-of-fine"]
)
def test_page_and_api_are_compressed_if_accepted(shared_server: ServerThread, path: str) -> None:
    plain = shared_server.request(path)
    compressed = shared_server.request(path, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert compressed.headers["content-encoding"] == "gzip"
    assert {response.headers["vary"] for response in (plain, compressed)} == {"Accept-Encoding"}
    assert compressed.status == plain.status
    assert len(compressed.body) < len(plain.body)
    assert gzip.decompress(compressed.body) == plain.body


def test_image_has_a_page_and_a_document(shared_server: ServerThread) -> None:
    page = shared_server.request("/images/first/id-of-gone")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<h1><bdi>gone</bdi></h1>" in page.body
    assert "content-security-policy" in page.headers
    document = shared_server.request("/api/images/first/id-of-gone")
    assert (document.status, document.headers["content-type"]) == (200, "application/json")
    assert json.loads(document.body)["state"] == "gone"
    invalid = shared_server.request("/images/first/id-of-gone?nope=1")
    assert (invalid.status, b"<code>nope=1</code>" in invalid.body) == (400, True)


@pytest.mark.parametrize("path", ["first/nothing", "nothing/id-of-gone", "first/../id-of-gone"])
def test_unknown_image_is_a_404(shared_server: ServerThread, path: str) -> None:
    page = shared_server.request(f"/images/{path}")
    assert (page.status, b"does not watch an image" in page.body) == (404, True)
    document = shared_server.request(f"/api/images/{path}")
    assert document.status == 404
    assert json.loads(document.body) == {"error": "no image with this cloud and ID is watched"}


@pytest.mark.parametrize("cloud", ["a/b", "..", "wörk <b>"])
def test_image_is_found_by_its_path_for_any_name_of_a_cloud(serve: Serve, cloud: str) -> None:
    store = Store()
    target = Target(cloud, "an-id", "golden")
    store.add_cloud(CloudState(cloud, 60.0), [target])
    server = serve(app(find=partial(find_image, store, now=NOW, accesses={})))
    for path in (f"/{image_path(target)}", f"/api/{image_path(target)}"):
        response = server.request(path)
        assert (response.status, b"golden" in response.body) == (200, True)


def test_page_ignores_invalid_parameters_with_status_400(shared_server: ServerThread) -> None:
    response = shared_server.request("/?q=id-of-gone&limit=no&nope=1")
    page = response.body.decode()
    assert response.status == 400
    assert "<code>limit=no</code></bdi>; accepted: a whole number from 1 to 1000" in page
    assert "<code>nope=1</code>" in page
    assert "id-of-fine" not in page


@pytest.mark.parametrize("path", ["/", "/images/first/id-of-fine", "/api/images"])
def test_thousands_of_invalid_parameters_get_a_short_error(
    shared_server: ServerThread, path: str
) -> None:
    valid = shared_server.request(path)
    query = "&".join(f"n{number}" for number in range(1500))
    invalid = shared_server.request(f"{path}?{query}")
    assert invalid.status == 400
    assert len(invalid.body) < len(valid.body) + 10_000


def test_api_accepts_the_query_of_the_page(shared_server: ServerThread) -> None:
    response = shared_server.request("/api/images?problem=gone&sort=image&limit=1&page=2")
    document = json.loads(response.body)
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert (document["matching"], document["page"], document["pages"], document["limit"]) == (
        2,
        2,
        2,
        1,
    )
    assert [entry["image"] for entry in document["images"]] == ["gone"]
    assert json.loads(shared_server.request("/api/images?page=99").body)["images"] == []


@pytest.mark.parametrize(
    ("query", "name", "value", "accepted"),
    [
        ("limit=0", "limit", "0", "a whole number from 1 to 1000"),
        ("limit=10&limit=20", "limit", "20", "one value"),
        ("order=%ff", "order", "\ufffd", "one of asc, desc"),
        (f"q={'x' * 256}", "q", "x" * 256, "up to 255 characters"),
    ],
)
def test_api_refuses_invalid_parameters_with_status_400(
    shared_server: ServerThread, query: str, name: str, value: str, accepted: str
) -> None:
    response = shared_server.request(f"/api/images?{query}")
    assert response.status == 400
    assert response.headers["content-type"] == "application/json"
    assert json.loads(response.body) == {
        "error": f"{name} is not accepted; accepted: {accepted}",
        "parameters": [{"name": name, "value": value, "accepted": accepted}],
    }


def test_error_while_rendering_is_a_500_and_the_server_goes_on(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_: object) -> Body:
        raise ValueError("a bug")

    server = serve(app(metrics=fail))
    assert server.request("/metrics").status == 500
    assert server.request("/-/healthy").status == 200
    assert "ValueError: a bug" in caplog.text


def test_request_body_is_ignored(serve: Serve) -> None:
    request = (
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
    )
    with serve(app()).connect(request) as connection, connection.makefile("rb") as response:
        assert response.read().endswith(BODIES[False])


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_reload_gets_200_or_400_with_the_errors(serve: Serve, method: str) -> None:
    results = [(), ("file: one mistake", "file: another")]
    server = serve(app(reload=lambda: results.pop(0)))
    reloaded, refused = (server.request("/-/reload", method) for _ in range(2))
    assert (reloaded.status, reloaded.body) == (200, b"")
    assert (refused.status, refused.body) == (400, b"file: one mistake\nfile: another\n")


def test_reload_is_refused_unless_enabled(shared_server: ServerThread) -> None:
    refused = shared_server.request("/-/reload", "POST")
    assert refused.status == 403
    assert b"--web.enable-lifecycle" in refused.body
    assert shared_server.request("/-/reload").status == 405
