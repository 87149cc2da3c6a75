"""Tests of exporter.glance.cloud: signing in as configured, against a real server."""

import dataclasses
import logging
import ssl
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from openstack.config import loader

from exporter.auth.base import Authenticator, AuthError, CloudConfigError
from exporter.auth.factory import build_authenticator
from exporter.transport.tls_files import ClientTls
from tests.auth.clouds import PASSWORD, auth, clean, configure, without
from tests.support.fakes.keystone import CatalogueEndpoint, KeystoneFault, SimulatedKeystone

IMAGE = "http://192.0.2.1:9292"
CREATED = b"HTTP/1.1 201 OK\r\nConnection: close\r\nX-Subject-Token: t\r\nContent-Length: "


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    clean(monkeypatch)


@pytest.fixture
def keystone() -> Iterator[SimulatedKeystone]:
    """A Keystone with one user and one image endpoint."""
    with SimulatedKeystone() as keystone:
        keystone.users = {"demo": PASSWORD}
        keystone.offer_image(f"{IMAGE}/v2/")
        yield keystone


@pytest.fixture
def lab(
    keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SimulatedKeystone:
    """A Keystone that clouds.yaml knows as ``lab``."""
    configure(monkeypatch, tmp_path, {"lab": {"auth": auth(keystone)}})
    return keystone


def signed_in(**configured: Any) -> Authenticator:
    """The sign-in for what is configured."""
    return build_authenticator("name", **{"timeout": 5.0, **configured})


def failed(**configured: Any) -> AuthError:
    """How that sign-in fails."""
    with pytest.raises(AuthError) as caught:
        signed_in(**configured).token()
    return caught.value


def test_password_from_clouds_yaml_and_secure_yaml(
    keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both files make one cloud; a sign-in costs one look at the versions and one token."""
    configure(
        monkeypatch,
        tmp_path,
        {"lab": {"auth": without(auth(keystone), "password")}, "other": {}},
        {"lab": {"auth": {"password": PASSWORD}}},
    )
    signin = signed_in(cloud="lab")
    assert keystone.requests() == []
    credential = signin.token()
    assert credential.endpoint == IMAGE
    assert keystone.accepts(credential.value)
    assert credential.generation == 1
    assert credential.expires_at == pytest.approx(time.time() + 3600, abs=10)
    assert signin.token() is credential
    assert [(seen.method, seen.path) for seen in keystone.requests()] == [
        ("GET", "/v3"),
        ("POST", "/v3/auth/tokens"),
    ]
    assert signin.stats().authentications == 1


def test_application_credential(
    keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application credential signs in without user and project."""
    keystone.application_credentials["app"] = "app-secret"
    configure(
        monkeypatch,
        tmp_path,
        {
            "lab": {
                "auth_type": "v3applicationcredential",
                "auth": {
                    "auth_url": keystone.auth_url,
                    "application_credential_id": "app",
                    "application_credential_secret": "app-secret",
                },
            }
        },
    )
    assert keystone.accepts(signed_in(cloud="lab").token().value)


def test_an_existing_token_is_exchanged(
    keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``v3token`` the configured token buys a new one, with the catalogue."""
    configure(monkeypatch, tmp_path, {"lab": {"auth": auth(keystone)}})
    token = signed_in(cloud="lab").token().value
    scope = without(auth(keystone, token=token), "username", "password", "user_domain_name")
    configure(monkeypatch, tmp_path, {"lab": {"auth_type": "v3token", "auth": scope}})
    credential = signed_in(cloud="lab").token()
    assert credential.value != token
    assert credential.endpoint == IMAGE


def test_variables_of_the_environment(
    keystone: SimulatedKeystone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without ``cloud`` and ``endpoint``, what an openrc file sets is used."""
    for key, value in auth(keystone).items():
        monkeypatch.setenv(f"OS_{key.upper()}", value)
    assert keystone.accepts(signed_in().token().value)


def test_a_cloud_chosen_by_os_cloud(
    lab: SimulatedKeystone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OS_CLOUD is one of the variables."""
    monkeypatch.setenv("OS_CLOUD", "lab")
    assert lab.accepts(signed_in().token().value)


def test_vendor_profile(
    keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a vendor's profile says need not be said in clouds.yaml."""
    vendors = tmp_path / "clouds-public.yaml"
    profile = {"auth": {"auth_url": keystone.auth_url}, "regions": ["North", "South"]}
    vendors.write_text(yaml.safe_dump({"public-clouds": {"acme": profile}}))
    monkeypatch.setattr(loader, "VENDOR_FILES", [str(vendors)])
    keystone.endpoints = [
        CatalogueEndpoint("http://north/", "North"),
        CatalogueEndpoint("http://south/v1", "South"),
    ]
    mine = without(auth(keystone), "auth_url")
    configure(monkeypatch, tmp_path, {"lab": {"profile": "acme", "auth": mine}})
    assert signed_in(cloud="lab").token().endpoint == "http://north"
    assert signed_in(cloud="lab", region="South").token().endpoint == "http://south"
    with pytest.raises(CloudConfigError, match=r"Region East is not.*North,South"):
        signed_in(cloud="lab", region="East")


def test_region_and_interface_choose_the_endpoint(lab: SimulatedKeystone) -> None:
    """Other regions, interfaces and services of the catalogue are passed over."""
    lab.endpoints = [
        CatalogueEndpoint("http://volume", service_type="volumev3"),
        CatalogueEndpoint("http://a/image", "A"),
        CatalogueEndpoint("http://b/image/v2", "B"),
        CatalogueEndpoint("http://b-inside:9292/v2.15/", "B", "internal"),
    ]
    assert signed_in(cloud="lab").token().endpoint == "http://a/image"
    assert signed_in(cloud="lab", region="B").token().endpoint == "http://b/image"
    inside = signed_in(cloud="lab", region="B", interface="internal").token()
    assert inside.endpoint == "http://b-inside:9292"


def test_a_catalogue_without_the_endpoint(lab: SimulatedKeystone) -> None:
    """What was looked for is named."""
    error = failed(cloud="lab", region="East", interface="internal")
    assert error.reason == "rejected"
    assert error.detail == (
        "the catalogue has no image endpoint for region East, interface internal"
    )
    lab.endpoints = []
    assert failed(cloud="lab").detail.startswith("the catalogue has no image endpoint for region")


def test_an_endpoint_that_is_no_url(lab: SimulatedKeystone) -> None:
    """A catalogue may hold anything."""
    lab.offer_image("gopher://x")
    error = failed(cloud="lab")
    assert (error.reason, "unusable URL" in error.detail) == ("rejected", True)


def test_an_endpoint_that_replaces_the_catalogue(
    keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``image_endpoint_override`` counts more than the catalogue."""
    cloud = {"auth": auth(keystone), "image_endpoint_override": "http://mine/image/v2/"}
    configure(monkeypatch, tmp_path, {"lab": cloud})
    assert signed_in(cloud="lab").token().endpoint == "http://mine/image"


@pytest.mark.parametrize(
    ("auth_type", "settings", "token"),
    [
        ("none", {"endpoint": "http://mine/v2"}, None),
        ("admin_token", {"endpoint": "http://mine/v2", "token": "abc"}, "abc"),
    ],
)
def test_auth_types_without_keystone(
    auth_type: str,
    settings: dict[str, str],
    token: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cloud that needs no sign-in gets none."""
    configure(monkeypatch, tmp_path, {"lab": {"auth_type": auth_type, "auth": settings}})
    signin = signed_in(cloud="lab")
    credential = signin.token()
    assert (credential.endpoint, credential.value) == ("http://mine", token)
    assert (signin.stats().authentications, credential.generation) == (0, 1)


@pytest.mark.parametrize(
    ("fault", "reason", "detail"),
    [
        (KeystoneFault(status=401), "unauthorized", "HTTP 401"),
        (KeystoneFault(status=403), "forbidden", "HTTP 403"),
        (KeystoneFault(status=429), "rate_limited", "HTTP 429"),
        (KeystoneFault(status=500), "server_error", "HTTP 500"),
        (KeystoneFault(status=503), "server_error", "HTTP 503"),
        (KeystoneFault(status=599), "server_error", "HTTP 599"),
        (KeystoneFault(status=400), "rejected", "HTTP 400"),
        (KeystoneFault(status=418), "rejected", "HTTP 418"),
        (KeystoneFault(status=200), "rejected", "Invalid response from server."),
        (KeystoneFault(hang=True), "timeout", ""),
        (KeystoneFault(drip=0.05), "timeout", ""),
        (KeystoneFault(reset=True), "connection", ""),
        (KeystoneFault(body=b"this is not HTTP\r\n\r\n"), "connection", ""),
        (KeystoneFault(body=CREATED + b"0\r\n\r\n"), "rejected", "Invalid response from server."),
        (
            KeystoneFault(body=CREATED + b'13\r\n\r\n{"token": {}}'),
            "rejected",
            "the response cannot be parsed (KeyError)",
        ),
    ],
)
@pytest.mark.parametrize("discovery", [False, True])
def test_what_keystone_does_wrong(
    fault: KeystoneFault, reason: str, detail: str, discovery: bool, lab: SimulatedKeystone
) -> None:
    """Each failure has its reason and names the server, also when the versions fail as well."""
    lab.fault = dataclasses.replace(fault, discovery=discovery)
    begun = time.monotonic()
    error = failed(cloud="lab", timeout=0.6)
    assert time.monotonic() - begun < 5
    assert error.reason == reason
    told = f"Keystone at 127.0.0.1:{lab.port}: "
    # Whether the one who waits or the one who asks sees first that time is up is left to chance.
    assert error.detail == "no token within 0.6 s" or error.detail.startswith(told)
    assert reason == "timeout" or detail in error.detail


@pytest.mark.parametrize("version", ["", "/v3"])
def test_a_keystone_that_is_not_there(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused connection is told by its cause, with or without a version in the URL."""
    with SimulatedKeystone() as keystone:
        url = keystone.url
    cloud = {"auth": {**auth(keystone), "auth_url": url + version}}
    configure(monkeypatch, tmp_path, {"lab": cloud})
    error = failed(cloud="lab")
    assert error.reason == "connection"
    assert error.detail.startswith(f"Keystone at {url[7:]}: [Errno ")
    assert error.detail.endswith("] Connection refused")


def test_a_wrong_version_document_is_looked_behind(
    keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no version can be found out, the reason is that of the request that failed."""
    keystone.fault = KeystoneFault(status=503, discovery=True)
    cloud = {"auth": {**auth(keystone), "auth_url": keystone.url}}
    configure(monkeypatch, tmp_path, {"lab": cloud})
    assert failed(cloud="lab").reason == "server_error"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs certificates."""
    return trustme.CA()


@pytest.fixture
def secured(authority: trustme.CA) -> Iterator[SimulatedKeystone]:
    """A Keystone that speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with SimulatedKeystone(tls=context) as keystone:
        keystone.offer_image(IMAGE)
        yield keystone


def test_a_certificate_of_a_stranger(
    secured: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown authority is a TLS failure, and no password was sent."""
    configure(monkeypatch, tmp_path, {"lab": {"auth": auth(secured)}})
    error = failed(cloud="lab")
    assert error.reason == "tls"
    assert "certificate verify failed" in error.detail
    assert secured.requests() == []


def test_ca_bundles(
    secured: SimulatedKeystone,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bundle is taken from clouds.yaml or the environment, or verification is given up."""
    bundle = str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(bundle)
    configure(
        monkeypatch,
        tmp_path,
        {
            "named": {"auth": auth(secured), "cacert": bundle},
            "plain": {"auth": auth(secured)},
            "open": {"auth": auth(secured), "verify": False, "cacert": bundle},
        },
    )
    named, unchecked = signed_in(cloud="named"), signed_in(cloud="open")
    assert (named.tls, unchecked.tls) == (ClientTls(bundle, None), ClientTls(False, None))
    assert secured.accepts(named.token().value)
    assert secured.accepts(unchecked.token().value)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    assert secured.accepts(signed_in(cloud="plain").token().value)


def test_client_certificate(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Keystone that asks for a certificate gets the configured one."""
    bundle, cert, key = (str(tmp_path / name) for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(bundle)
    mine = authority.issue_cert("client")
    mine.cert_chain_pems[0].write_to_path(cert)
    mine.private_key_pem.write_to_path(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with SimulatedKeystone(tls=context) as keystone:
        keystone.offer_image(IMAGE)
        cloud = {"auth": auth(keystone), "cacert": bundle}
        clouds = {"with": {**cloud, "cert": cert, "key": key}, "without": cloud}
        configure(monkeypatch, tmp_path, clouds)
        signin = signed_in(cloud="with")
        assert signin.tls == ClientTls(bundle, (cert, key))
        assert keystone.accepts(signin.token().value)
        assert failed(cloud="without").reason in {"tls", "connection"}


def test_a_certificate_file_that_vanishes(
    secured: SimulatedKeystone,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was there at the start and is gone later is a TLS failure of the sign-in."""
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    configure(monkeypatch, tmp_path, {"lab": {"auth": auth(secured), "cacert": str(bundle)}})
    signin = signed_in(cloud="lab")
    bundle.unlink()
    with pytest.raises(AuthError, match="tls"):
        signin.token()


def test_netrc_is_never_read(
    lab: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password that belongs to something else is not sent to Keystone."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    signed_in(cloud="lab").token()
    assert lab.requests()
    assert not any("Authorization" in seen.headers for seen in lab.requests())


def test_proxy_of_the_environment(lab: SimulatedKeystone, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way to Keystone leads through HTTP_PROXY, unless NO_PROXY says otherwise."""
    with SimulatedKeystone() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert failed(cloud="lab").detail.endswith(": Not Found (HTTP 404)")
        assert proxy.token_requests == 0
        [*_, last] = proxy.requests()
        assert last.path == f"{lab.auth_url}/auth/tokens"
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert lab.accepts(signed_in(cloud="lab").token().value)


def test_secrets_are_never_told(lab: SimulatedKeystone, caplog: pytest.LogCaptureFixture) -> None:
    """Neither password nor token are in logs, representations, errors or their causes."""
    caplog.set_level(logging.DEBUG)
    signin = signed_in(cloud="lab")
    credential = signin.token()
    lab.fault = KeystoneFault(
        status=403, message=f"{PASSWORD} is wrong\r\n\u202e {PASSWORD}" + "x" * 999
    )
    error = failed(cloud="lab")
    assert error.detail.startswith(f"Keystone at 127.0.0.1:{lab.port}: *** is wrong \\u202e ***")
    assert len(error.detail) < 400
    lab.fault = KeystoneFault(status=400, message="{'password': 'echoed'}")
    assert "echoed" not in str(failed(cloud="lab"))
    told = "\n".join(
        [
            caplog.text,
            *traceback.format_exception(error),
            *map(repr, (signin, vars(signin), credential, error)),
        ]
    )
    assert credential.value
    assert credential.value not in told
    assert PASSWORD not in told


def test_fixed_endpoint() -> None:
    """An endpoint without Keystone works with a token and without one."""
    signin = signed_in(endpoint="http://127.0.0.1:9292/v1/", token="abc")
    credential = signin.token()
    assert (credential.endpoint, credential.value) == ("http://127.0.0.1:9292", "abc")
    assert "abc" not in repr(credential)
    assert signin.tls == ClientTls()
    with pytest.raises(AuthError, match="unauthorized: the configured token is refused"):
        signin.renew(credential)
    signin.close()
    bare = signed_in(endpoint="http://127.0.0.1:9292")
    assert bare.token().value is None
    with pytest.raises(AuthError, match="requires a token, and none is configured"):
        bare.renew(bare.token())


def test_a_token_file(tmp_path: Path) -> None:
    """A token in a file is read at the start."""
    path = tmp_path / "token"
    path.write_text("abc\n")
    assert signed_in(endpoint="http://cloud", token_file=path).token().value == "abc"


@pytest.mark.parametrize(
    ("configured", "message"),
    [
        (
            {"endpoint": "cloud:9292"},
            "endpoint: an endpoint must be an http or https URL with a host",
        ),
        (
            {"endpoint": "http://cloud", "token": "a b"},
            "token: contains white space, control or non-ASCII characters",
        ),
        ({"endpoint": "http://cloud", "token": ""}, "token: is empty"),
        (
            {"endpoint": "http://cloud", "token_file": Path("/nowhere/token")},
            "token file /nowhere/token cannot be read: No such file or directory",
        ),
    ],
)
def test_what_cannot_be_signed_in_with(configured: dict[str, Any], message: str) -> None:
    """What is configured wrongly is said in one line that names the cloud."""
    with pytest.raises(CloudConfigError) as caught:
        signed_in(**configured)
    assert str(caught.value) == f"cloud 'name': {message}"


def test_openstacksdk_is_only_loaded_when_needed() -> None:
    """A fixed endpoint does not pay for openstacksdk."""
    code = (
        "import sys; from exporter.auth.factory import build_authenticator;"
        "build_authenticator('n', endpoint='http://cloud', timeout=1);"
        "sys.exit('openstack' in sys.modules or 'keystoneauth1' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
