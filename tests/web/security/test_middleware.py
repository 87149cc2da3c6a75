"""Basic auth, limits and headers, over real connections."""

import threading

import pytest

from exporter.web.security import middleware
from exporter.web.security.middleware import SECURITY_HEADERS, SecurityState
from exporter.web_security import load_security
from tests.support.web_config import (
    OTHER_PASSWORD_HASH,
    PASSWORD,
    PASSWORD_HASH,
    USER,
    WebConfigFolder,
    basic_auth_header,
)
from tests.web.conftest import TEST_TIMEOUT
from tests.web.security.conftest import serving, serving_with


def test_responses_have_security_headers_unless_the_page_sets_them(folder: WebConfigFolder) -> None:
    with serving_with(folder, "") as server:
        response = server.request("/")
        for name, value in SECURITY_HEADERS.items():
            assert response.headers[name.lower()] == value
        assert response.headers["server"] == "openstack-image-exporter"
        assert server.request("/strict").headers["content-security-policy"] == "sandbox"
        missing = server.request("/no.such")
        assert (missing.status, missing.headers["x-content-type-options"]) == (404, "nosniff")


def test_configured_headers_replace_all_others(folder: WebConfigFolder) -> None:
    """An empty value sets no header."""
    file = (
        "http_server_config: {headers: {Content-Security-Policy: frame-ancestors 'self', "
        "X-Frame-Options: sameorigin, Strict-Transport-Security: max-age=60, X-XSS-Protection: ''}}"
    )
    with serving_with(folder, file) as server:
        for path in ("/", "/strict", "/missing"):
            headers = server.request(path).headers
            assert headers["content-security-policy"] == "frame-ancestors 'self'"
            assert headers["x-frame-options"] == "sameorigin"
            assert headers["strict-transport-security"] == "max-age=60"
            assert "x-xss-protection" not in headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (basic_auth_header(), 200),
        (basic_auth_header(password="wrong"), 401),
        (basic_auth_header(user="nobody"), 401),
        ({"Authorization": "Basic !"}, 401),
        ({"Authorization": "Bearer token"}, 401),
    ],
)
def test_basic_auth_protects_all_pages(
    folder: WebConfigFolder, headers: dict[str, str], status: int
) -> None:
    """Health pages too."""
    with serving_with(folder, f"basic_auth_users: {{{USER}: '{PASSWORD_HASH}'}}") as server:
        for path in ("/", "/-/healthy"):
            response = server.request(path, headers=headers)
            assert response.status == status
            if status == 401:
                assert response.body == b"Unauthorized\n"
                assert response.headers["www-authenticate"].startswith("Basic realm=")


def test_two_authorization_headers_are_refused(folder: WebConfigFolder) -> None:
    """Two programs could each use a different one of them."""
    line = "\r\n".join(f"{name}: {value}" for name, value in basic_auth_header().items())
    with serving_with(folder, f"basic_auth_users: {{{USER}: '{PASSWORD_HASH}'}}") as server:
        request = f"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{line}\r\n{line}\r\n\r\n"
        with server.connect(request.encode()) as client, client.makefile("rb") as response:
            assert response.read().startswith(b"HTTP/1.1 401 ")


def test_password_checks_do_not_block_and_are_limited(
    folder: WebConfigFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "MAX_PENDING_CHECKS", 1)
    security = SecurityState(
        load_security(folder.write(f"basic_auth_users: {{{USER}: '{PASSWORD_HASH}'}}")).config
    )
    started, release = threading.Event(), threading.Event()
    users = security.config.users
    assert users.verify(USER.encode(), PASSWORD.encode())

    def slow(*_: bytes) -> bool:
        started.set()
        return not release.wait(TEST_TIMEOUT)

    monkeypatch.setattr(users, "verify", slow)
    statuses: list[int] = []
    with serving(security) as server:
        wrong = basic_auth_header(password="wrong")

        def request() -> None:
            statuses.append(server.request("/", headers=wrong).status)

        thread = threading.Thread(target=request)
        thread.start()
        assert started.wait(TEST_TIMEOUT)
        assert server.request("/", headers=basic_auth_header()).status == 200
        assert server.request("/", headers=wrong).status == 503
        release.set()
        thread.join(TEST_TIMEOUT)
    assert statuses == [401]


def test_rate_limit_is_shared_by_all_clients(folder: WebConfigFolder) -> None:
    with serving_with(folder, "rate_limit: {interval: 1h, burst: 3}") as server:
        assert [server.request("/").status for _ in range(5)] == [200, 200, 200, 429, 429]


def test_health_pages_are_exempt_from_the_rate_limit_but_not_from_the_login(
    folder: WebConfigFolder,
) -> None:
    limit = "rate_limit: {interval: 1h, burst: 1}"
    with serving_with(folder, limit) as server:
        paths = ("/-/healthy", "/-/ready", "/", "/-/healthy", "/")
        statuses = [server.request(path).status for path in paths]
        assert [status == 429 for status in statuses] == [False, False, False, False, True]
    users = f"basic_auth_users: {{{USER}: '{PASSWORD_HASH}'}}"
    with serving_with(folder, f"{limit}\n{users}") as server:
        assert [server.request("/-/healthy").status for _ in range(2)] == [401, 401]


@pytest.mark.parametrize(
    ("prefix", "path", "is_limited"),
    [
        ("", "/images/x/-/healthy", True),
        ("/images", "/images/-/ready", False),
        ("/images", "/-/ready", True),
        ("/images", "/images/images/-/ready", True),
    ],
)
def test_only_the_exact_path_of_a_health_page_is_exempt_from_the_rate_limit(
    folder: WebConfigFolder, prefix: str, path: str, *, is_limited: bool
) -> None:
    config = load_security(folder.write("rate_limit: {interval: 1h, burst: 1}")).config
    with serving(SecurityState(config, prefix)) as server:
        statuses = [server.request(path).status for _ in range(2)]
    assert statuses == [404, 429 if is_limited else 404]


def test_rate_limit_counts_passwords_that_are_guessed_at_health_pages(
    folder: WebConfigFolder,
) -> None:
    users = f"basic_auth_users: {{{USER}: '{PASSWORD_HASH}'}}"
    with serving_with(folder, f"rate_limit: {{interval: 1h, burst: 3}}\n{users}") as server:
        right, wrong = basic_auth_header(), basic_auth_header(password="wrong")
        assert server.request("/-/healthy", headers=right).status == 200
        statuses = [server.request("/-/healthy", headers=wrong).status for _ in range(4)]
        assert statuses == [401, 401, 429, 429]
        # The password of the probe was verified before.
        assert server.request("/-/healthy", headers=right).status == 200


def test_new_users_apply_to_open_connections_too(folder: WebConfigFolder) -> None:
    """Verified passwords remain cached while the users are unchanged."""
    security = SecurityState(
        load_security(folder.write(f"basic_auth_users: {{{USER}: '{PASSWORD_HASH}'}}")).config
    )
    with serving(security) as server:
        assert server.request("/", headers=basic_auth_header()).status == 200
        users = security.config.users
        security.replace(load_security(folder.file).config)
        assert security.config.users is users
        security.replace(
            load_security(
                folder.write(f"basic_auth_users: {{{USER}: '{OTHER_PASSWORD_HASH}'}}")
            ).config
        )
        assert server.request("/", headers=basic_auth_header()).status == 401
        assert server.request("/", headers=basic_auth_header(password="another")).status == 200
        security.replace(load_security(folder.write("")).config)
        assert server.request("/").status == 200


def test_unchanged_rate_limit_keeps_its_tokens_at_a_reload(folder: WebConfigFolder) -> None:
    security = SecurityState(
        load_security(folder.write("rate_limit: {interval: 1h, burst: 1}")).config
    )
    with serving(security) as server:
        assert server.request("/").status == 200
        security.replace(load_security(folder.file).config)
        assert server.request("/").status == 429
        security.replace(load_security(folder.write("rate_limit: {interval: 2h, burst: 1}")).config)
        assert server.request("/").status == 200
