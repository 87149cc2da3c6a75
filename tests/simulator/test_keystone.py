import contextlib
import socket
import time
from datetime import datetime
from typing import Any

import pytest
import requests

from exporter.simulator.keystone import CatalogEndpoint, KeystoneFault, SimulatedKeystone


def password(user: str = "demo", secret: str = "secret") -> dict[str, Any]:
    """Return the body of a request for a token by password."""
    proof = {"user": {"name": user, "domain": {"id": "default"}, "password": secret}}
    return {"auth": {"identity": {"methods": ["password"], "password": proof}}}


def request_token(keystone: SimulatedKeystone, body: object) -> requests.Response:
    """Request a token, without a proxy."""
    with requests.Session() as session:
        session.trust_env = False
        return session.post(f"{keystone.auth_url}/auth/tokens", json=body, timeout=5)


def test_token_document_has_lifetime_and_catalog() -> None:
    with SimulatedKeystone() as keystone:
        keystone.token_life, keystone.clock_skew = 60, 1000
        keystone.endpoints = [CatalogEndpoint("http://image/v2", "North", "internal")]
        response = request_token(keystone, password())
        assert response.status_code == 201
        token = response.json()["token"]
        issued_at, expires_at = (
            datetime.fromisoformat(token[key]).timestamp() for key in ("issued_at", "expires_at")
        )
        assert expires_at - issued_at == pytest.approx(60)
        assert issued_at == pytest.approx(time.time() + 1000, abs=5)
        [service] = token["catalog"]
        [endpoint] = service["endpoints"]
        assert (service["type"], endpoint["url"]) == ("image", "http://image/v2")
        assert (endpoint["region"], endpoint["interface"]) == ("North", "internal")
        assert keystone.accepts(response.headers["X-Subject-Token"])
        assert keystone.issued == keystone.token_requests == 1


@pytest.mark.parametrize("body", [password(secret="wrong"), password(user="nobody")])
def test_wrong_password_or_user_gets_401(body: object) -> None:
    with SimulatedKeystone() as keystone:
        assert request_token(keystone, body).status_code == 401
        assert (keystone.issued, keystone.token_requests) == (0, 1)


def test_application_credentials_and_tokens_authenticate() -> None:
    with SimulatedKeystone() as keystone:
        keystone.application_credentials["app"] = "s"
        proof: dict[str, Any] = {"id": "app", "secret": "s"}
        identity = {"methods": ["application_credential"], "application_credential": proof}
        response = request_token(keystone, {"auth": {"identity": identity}})
        assert response.status_code == 201
        identity = {"methods": ["token"], "token": {"id": response.headers["X-Subject-Token"]}}
        assert request_token(keystone, {"auth": {"identity": identity}}).status_code == 201
        keystone.revoke()
        assert request_token(keystone, {"auth": {"identity": identity}}).status_code == 401


def test_one_token_or_all_can_be_revoked() -> None:
    with SimulatedKeystone() as keystone:
        first, second = (
            request_token(keystone, password()).headers["X-Subject-Token"] for _ in range(2)
        )
        keystone.revoke(first)
        assert not keystone.accepts(first)
        assert keystone.accepts(second)
        keystone.revoke()
        assert not keystone.accepts(second)


@pytest.mark.parametrize(("path", "status"), [("/", 300), ("/v3", 200), ("/v3/", 200), ("/x", 404)])
def test_version_documents_are_served(path: str, status: int) -> None:
    with SimulatedKeystone() as keystone, requests.Session() as session:
        session.trust_env = False
        response = session.get(keystone.url + path, timeout=5)
        assert response.status_code == status
        assert (keystone.auth_url in response.text) == (status != 404)


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        (KeystoneFault(hang=True), b""),
        (KeystoneFault(drip=0.01), b"HTTP/1.1 201 Created\r\nX-"),
        (KeystoneFault(reset=True), b""),
        (KeystoneFault(body=b"nonsense\r\n"), b"nonsense\r\n"),
    ],
)
def test_fault_replaces_the_response_until_it_is_cleared(fault: KeystoneFault, sent: bytes) -> None:
    with SimulatedKeystone() as keystone:
        keystone.fault = fault
        request = b"POST /v3/auth/tokens HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
        # Only a fault that sends nothing is allowed to reach the timeout.
        timeout = 10.0 if sent else 0.5
        with socket.create_connection(("127.0.0.1", keystone.port), timeout) as client:
            client.sendall(request)
            received = b""
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                while len(received) < len(sent) or not sent:
                    chunk = client.recv(1)
                    if not chunk:
                        break
                    received += chunk
        assert received == sent
        keystone.fault = None
        assert request_token(keystone, password()).status_code == 201


def test_error_has_its_headers_and_message_in_keystones_format() -> None:
    with SimulatedKeystone() as keystone:
        keystone.fault = KeystoneFault(status=503, headers={"Retry-After": "7"}, message="later")
        response = request_token(keystone, password())
        assert (response.status_code, response.headers["Retry-After"]) == (503, "7")
        assert response.json() == {"error": {"code": 503, "message": "later"}}
