"""Requests from pages of other sites, and requests that name another host."""

import pytest
from starlette.responses import PlainTextResponse

from exporter.web.security.middleware import SecurityMiddleware, SecurityState
from exporter.web.security.origin import is_allowed_host, is_cross_site
from tests.web.conftest import run_server


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OTHER"])
@pytest.mark.parametrize(
    ("headers", "is_refused"),
    [
        ({}, False),
        ({b"sec-fetch-site": b"none"}, False),
        ({b"sec-fetch-site": b"same-origin", b"origin": b"http://behind-a-proxy"}, False),
        ({b"sec-fetch-site": b"same-site"}, True),
        ({b"sec-fetch-site": b"Cross-Site"}, True),
        ({b"sec-fetch-site": b"cross-site", b"origin": b"http://x:1"}, True),
        ({b"sec-fetch-site": b""}, True),
        ({b"origin": b"http://x:1"}, False),
        ({b"origin": b"https://X:1"}, False),
        ({b"origin": b"http://x"}, True),
        ({b"origin": b"http://evil.test"}, True),
        ({b"origin": b"null"}, True),
        ({b"origin": b"x:1"}, True),
        ({b"origin": b"\xff"}, True),
        ({b"origin": b"null", b"host": b""}, True),
        ({b"origin": b"file://", b"host": b""}, True),
    ],
)
def test_cross_site_requests_are_recognised(
    method: str, headers: dict[bytes, bytes], is_refused: bool
) -> None:
    assert is_cross_site(method, {b"host": b"x:1", **headers}) is is_refused
    assert not is_cross_site("GET", {b"host": b"x:1", **headers})


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [
        (None, True),
        (b"a.test", True),
        (b"A.test:10292", True),
        (b"a.test.", True),
        (b"localhost:1", True),
        (b"127.0.0.1:10292", True),
        (b"[::1]:10292", True),
        (b"10.0.0.7", True),
        (b"b.test", False),
        (b"a.test.evil", False),
        (b"127.0.0.1.evil.test", False),
        (b"a.test@evil.test", False),
        (b"evil.test@a.test", False),
        (b"a.test/evil.test", False),
        (b"a.test:evil", False),
        (b"[::1", False),
        (b"[::1]evil.test", False),
        (b"evil.test[::1]", False),
        (b"[a.test]", False),
        (b"", False),
        (b"\xff", False),
    ],
)
def test_other_hosts_are_recognised(host: bytes | None, is_allowed: bool) -> None:
    assert is_allowed_host(host, {"a.test"}) is is_allowed
    assert is_allowed_host(host, ())


def test_requests_of_other_sites_and_for_other_hosts_are_refused() -> None:
    security = SecurityState()
    app = SecurityMiddleware(PlainTextResponse("served"), security, ["a.test"])
    with run_server(app, security) as server:
        assert server.request("/-/reload", "POST").status == 200
        assert server.request("/-/reload", "POST", {"Origin": "https://evil.test"}).status == 403
        cross_site = {"Sec-Fetch-Site": "cross-site"}
        assert server.request("/-/reload", "POST", cross_site).status == 403
        assert server.request("/metrics", headers=cross_site).status == 200
        assert server.request("/metrics", headers={"Host": "a.test:1"}).status == 200
        refused = server.request("/metrics", headers={"Host": "evil.test"})
        assert (refused.status, b"web.allowed_hosts" in refused.body) == (421, True)
