"""A sign-in follows no redirect that leaves https or the host, because it has the password."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from exporter.auth.base import AuthError
from exporter.auth.factory import build_authenticator
from exporter.simulator.keystone import KeystoneFault, SimulatedKeystone
from tests.support.clouds_yaml import (
    PASSWORD,
    clear_configuration,
    password_auth,
    write_clouds_yaml,
)

IMAGE = "http://192.0.2.1:9292"
NOT_FOLLOWED = (
    "not followed, because the request contains the credentials; correct auth_url, or the proxy "
    "in front of Keystone"
)


@pytest.fixture(autouse=True)
def _clear_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    clear_configuration(monkeypatch)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["https", "http"])
def front(request: pytest.FixtureRequest, authority: trustme.CA) -> Iterator[SimulatedKeystone]:
    """Return the Keystone of auth_url."""
    context = None
    if request.param == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
    with SimulatedKeystone(tls=context) as keystone:
        keystone.offer_image(IMAGE)
        yield keystone


@pytest.fixture
def target() -> Iterator[SimulatedKeystone]:
    """Return a Keystone without TLS that the front redirects to."""
    with SimulatedKeystone() as keystone:
        keystone.users = {"demo": PASSWORD}
        keystone.offer_image(IMAGE)
        yield keystone


def endpoint_of(
    front: SimulatedKeystone,
    authority: trustme.CA,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Sign in, and return the endpoint."""
    bundle = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    cloud = {"auth": password_auth(front), "cacert": str(bundle)}
    write_clouds_yaml(monkeypatch, folder, {"lab": cloud})
    return build_authenticator("n", cloud="lab", timeout=5.0).token().endpoint


@pytest.mark.parametrize("status", [301, 302, 303, 305, 307, 308])
@pytest.mark.parametrize("discovery", [False, True])
def test_sign_in_redirected_to_another_host_sends_no_password_there(
    status: int,
    discovery: bool,
    front: SimulatedKeystone,
    target: SimulatedKeystone,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also if the redirected request is the one for the version document."""
    location = f"http://localhost:{target.port}/v3/auth/tokens?code=s3cret"
    front.fault = KeystoneFault(status, {"Location": location}, discovery=discovery)
    with pytest.raises(AuthError) as caught:
        endpoint_of(front, authority, tmp_path, monkeypatch)
    assert target.requests() == []
    is_tls = front.url.startswith("https")
    fault = "which is not https" if is_tls else "which is another host"
    assert caught.value.reason == "rejected"
    assert caught.value.detail == (
        f"sign-in at 127.0.0.1:{front.port} is redirected to http://localhost:{target.port}, "
        f"{fault}: {NOT_FOLLOWED}"
    )


@pytest.mark.parametrize("front", ["https"], indirect=True)
def test_sign_in_redirected_to_plain_http_on_the_same_host_sends_no_password_there(
    front: SimulatedKeystone,
    target: SimulatedKeystone,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    front.fault = KeystoneFault(307, {"Location": f"{target.auth_url}/auth/tokens"})
    with pytest.raises(AuthError, match=f"http://127.0.0.1:{target.port}, which is not https"):
        endpoint_of(front, authority, tmp_path, monkeypatch)
    assert target.requests() == []


@pytest.mark.parametrize("location", ["//localhost:1/v3", "http://localhost:x:1/", "gopher://h/"])
def test_redirect_to_another_host_in_an_unusual_form_is_not_followed(
    location: str,
    front: SimulatedKeystone,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    front.fault = KeystoneFault(302, {"Location": location})
    with pytest.raises(AuthError) as caught:
        endpoint_of(front, authority, tmp_path, monkeypatch)
    assert (caught.value.reason, NOT_FOLLOWED in caught.value.detail) == ("rejected", True)


@pytest.mark.parametrize("front", ["http"], indirect=True)
def test_redirect_on_the_same_host_is_followed(
    front: SimulatedKeystone,
    target: SimulatedKeystone,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For example from http to https, which has another port."""
    front.fault = KeystoneFault(301, {"Location": f"{target.auth_url}/auth/tokens"})
    assert endpoint_of(front, authority, tmp_path, monkeypatch) == IMAGE
    assert target.token_requests == 1


def test_link_of_the_version_document_to_another_server_is_not_followed(
    front: SimulatedKeystone,
    target: SimulatedKeystone,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A proxy without X-Forwarded-Proto leads to links with plain http."""
    front.link_url = f"http://localhost:{target.port}/v3"
    assert endpoint_of(front, authority, tmp_path, monkeypatch) == IMAGE
    assert target.requests() == []
