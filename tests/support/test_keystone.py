"""Tests of exporter.demo.keystone."""

import contextlib
import socket
import time
from datetime import datetime
from typing import Any

import pytest
import requests

from tests.support.fakes.keystone import CatalogueEndpoint, KeystoneFault, SimulatedKeystone


def password(user: str = "demo", secret: str = "secret") -> dict[str, Any]:
    """The body of a request for a token by password."""
    proof = {"user": {"name": user, "domain": {"id": "default"}, "password": secret}}
    return {"auth": {"identity": {"methods": ["password"], "password": proof}}}


def ask(keystone: SimulatedKeystone, body: object) -> requests.Response:
    """A request for a token, not by way of any proxy."""
    with requests.Session() as session:
        session.trust_env = False
        return session.post(f"{keystone.auth_url}/auth/tokens", json=body, timeout=5)


def test_a_password_gives_a_token_with_the_catalogue() -> None:
    """A token is described with its life and the endpoints offered at that time."""
    with SimulatedKeystone() as keystone:
        keystone.token_life, keystone.clock_skew = 60, 1000
        keystone.endpoints = [CatalogueEndpoint("http://image/v2", "North", "internal")]
        answer = ask(keystone, password())
        assert answer.status_code == 201
        token = answer.json()["token"]
        issued, expires = (
            datetime.fromisoformat(token[key]).timestamp() for key in ("issued_at", "expires_at")
        )
        assert expires - issued == pytest.approx(60)
        assert issued == pytest.approx(time.time() + 1000, abs=5)
        [service] = token["catalog"]
        [endpoint] = service["endpoints"]
        assert (service["type"], endpoint["url"]) == ("image", "http://image/v2")
        assert (endpoint["region"], endpoint["interface"]) == ("North", "internal")
        assert keystone.accepts(answer.headers["X-Subject-Token"])
        assert keystone.issued == keystone.token_requests == 1


@pytest.mark.parametrize("body", [password(secret="wrong"), password(user="nobody")])
def test_a_wrong_password_is_answered_401(body: object) -> None:
    """No token is issued to those who cannot prove who they are."""
    with SimulatedKeystone() as keystone:
        assert ask(keystone, body).status_code == 401
        assert (keystone.issued, keystone.token_requests) == (0, 1)


def test_application_credentials_and_tokens_are_taken() -> None:
    """The two other ways of signing in that a daemon uses."""
    with SimulatedKeystone() as keystone:
        keystone.application_credentials["app"] = "s"
        proof: dict[str, Any] = {"id": "app", "secret": "s"}
        identity = {"methods": ["application_credential"], "application_credential": proof}
        answer = ask(keystone, {"auth": {"identity": identity}})
        assert answer.status_code == 201
        identity = {"methods": ["token"], "token": {"id": answer.headers["X-Subject-Token"]}}
        assert ask(keystone, {"auth": {"identity": identity}}).status_code == 201
        keystone.revoke()
        assert ask(keystone, {"auth": {"identity": identity}}).status_code == 401


def test_one_token_or_all_are_revoked() -> None:
    """A revoked token is accepted no more, and no other one is touched."""
    with SimulatedKeystone() as keystone:
        first, second = (ask(keystone, password()).headers["X-Subject-Token"] for _ in range(2))
        keystone.revoke(first)
        assert not keystone.accepts(first)
        assert keystone.accepts(second)
        keystone.revoke()
        assert not keystone.accepts(second)


@pytest.mark.parametrize(("path", "status"), [("/", 300), ("/v3", 200), ("/v3/", 200), ("/x", 404)])
def test_versions_are_discovered(path: str, status: int) -> None:
    """The version documents that clients look at before they sign in."""
    with SimulatedKeystone() as keystone, requests.Session() as session:
        session.trust_env = False
        answer = session.get(keystone.url + path, timeout=5)
        assert answer.status_code == status
        assert (keystone.auth_url in answer.text) == (status != 404)


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        (KeystoneFault(hang=True), b""),
        (KeystoneFault(drip=0.01), b"HTTP/1.1 201 Created\r\nX-"),
        (KeystoneFault(reset=True), b""),
        (KeystoneFault(body=b"nonsense\r\n"), b"nonsense\r\n"),
    ],
)
def test_faults_of_the_wire(fault: KeystoneFault, sent: bytes) -> None:
    """A fault sends what it says and no answer; without it, all is well again."""
    with SimulatedKeystone() as keystone:
        keystone.fault = fault
        request = b"POST /v3/auth/tokens HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
        with socket.create_connection(("127.0.0.1", keystone.port), timeout=0.5) as client:
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
        assert ask(keystone, password()).status_code == 201


def test_a_status_can_be_answered_with_headers_and_message() -> None:
    """A refusal has Keystone's form."""
    with SimulatedKeystone() as keystone:
        keystone.fault = KeystoneFault(status=503, headers={"Retry-After": "7"}, message="later")
        answer = ask(keystone, password())
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
        assert answer.json() == {"error": {"code": 503, "message": "later"}}
