import dataclasses
import logging
import ssl
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
import yaml
from openstack.config import loader
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from exporter.auth.base import AuthError, CloudConfigError
from exporter.simulator.keystone import (
    PROJECT_SCOPE,
    CatalogEndpoint,
    KeystoneFault,
    SimulatedKeystone,
)
from exporter.transport.tls_files import ClientTls
from tests.auth.sign_in import IMAGE, authenticator, failure
from tests.support.clouds_yaml import (
    PASSWORD,
    password_auth,
    without,
    write_clouds_yaml,
)

OTHER_PROJECT = "0123456789abcdef" * 2
CREATED = b"HTTP/1.1 201 OK\r\nConnection: close\r\nX-Subject-Token: t\r\nContent-Length: "


def test_password_may_be_in_secure_yaml(
    keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes one request for the version document and one for the token."""
    write_clouds_yaml(
        monkeypatch,
        tmp_path,
        {"lab": {"auth": without(password_auth(keystone), "password")}, "other": {}},
        {"lab": {"auth": {"password": PASSWORD}}},
    )
    lab_authenticator = authenticator(cloud="lab")
    assert keystone.requests() == []
    token = lab_authenticator.token()
    assert token.endpoint == IMAGE
    assert token.project_id == "p1"
    assert keystone.accepts(token.value)
    assert token.generation == 1
    assert token.expires_at == pytest.approx(time.time() + 3600, abs=10)
    assert lab_authenticator.token() is token
    assert [(request.method, request.path) for request in keystone.requests()] == [
        ("GET", "/v3"),
        ("POST", "/v3/auth/tokens"),
    ]
    assert lab_authenticator.stats().authentications == 1


def test_application_credential_signs_in(
    keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keystone.application_credentials["app"] = "app-secret"
    write_clouds_yaml(
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
    assert keystone.accepts(authenticator(cloud="lab").token().value)


def test_v3token_exchanges_the_configured_token_for_a_new_one(
    keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth": password_auth(keystone)}})
    configured = authenticator(cloud="lab").token().value
    scope = without(
        password_auth(keystone, token=configured), "username", "password", "user_domain_name"
    )
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth_type": "v3token", "auth": scope}})
    token = authenticator(cloud="lab").token()
    assert token.value != configured
    assert token.endpoint == IMAGE


def test_variables_of_an_openrc_file_sign_in(
    keystone: SimulatedKeystone, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in password_auth(keystone).items():
        monkeypatch.setenv(f"OS_{key.upper()}", value)
    assert keystone.accepts(authenticator().token().value)


def test_os_cloud_selects_the_cloud(
    lab: SimulatedKeystone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_CLOUD", "lab")
    assert lab.accepts(authenticator().token().value)


def test_vendor_profile_provides_the_auth_url_and_the_regions(
    keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendors = tmp_path / "clouds-public.yaml"
    profile = {"auth": {"auth_url": keystone.auth_url}, "regions": ["North", "South"]}
    vendors.write_text(yaml.safe_dump({"public-clouds": {"acme": profile}}))
    monkeypatch.setattr(loader, "VENDOR_FILES", [str(vendors)])
    keystone.endpoints = [
        CatalogEndpoint("http://north/", "North"),
        CatalogEndpoint("http://south/v1", "South"),
    ]
    mine = without(password_auth(keystone), "auth_url")
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"profile": "acme", "auth": mine}})
    assert authenticator(cloud="lab").token().endpoint == "http://north"
    assert authenticator(cloud="lab", region="South").token().endpoint == "http://south"
    with pytest.raises(CloudConfigError, match=r"Region East is not.*North,South"):
        authenticator(cloud="lab", region="East")


def test_endpoint_of_the_catalog_that_is_not_a_url_is_rejected(lab: SimulatedKeystone) -> None:
    lab.offer_image("gopher://x")
    error = failure(cloud="lab")
    assert (error.reason, "unusable URL" in error.detail) == ("rejected", True)


def test_image_endpoint_override_replaces_the_catalog(
    keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = {"auth": password_auth(keystone), "image_endpoint_override": "http://mine/image/v2/"}
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": cloud})
    assert authenticator(cloud="lab").token().endpoint == "http://mine/image"


@pytest.mark.parametrize("name", ["project_id", "tenant_id"])
def test_project_in_image_endpoint_override_is_that_of_the_token(
    keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    override = f"http://mine/v2/%({name})s"
    cloud = {"auth": password_auth(keystone), "image_endpoint_override": override}
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": cloud})
    assert authenticator(cloud="lab").token().endpoint == "http://mine/v2/p1"


@pytest.mark.parametrize("path", ["v2/{}", "v2.0/AUTH_{}", "image/AUTH_{}"])
@pytest.mark.parametrize("form", [str, lambda project: str(uuid.UUID(project))])
def test_image_endpoint_override_of_another_project_is_rejected(
    keystone: SimulatedKeystone,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    form: Callable[[str], str],
) -> None:
    """Its images would be 404 and its lists empty, as if all images were deleted."""
    override = f"http://mine/{path.format(form(OTHER_PROJECT))}"
    cloud = {"auth": password_auth(keystone), "image_endpoint_override": override}
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": cloud})
    error = failure(cloud="lab")
    assert (error.reason, error.detail) == (
        "rejected",
        f"image_endpoint_override ends in project {OTHER_PROJECT}, but the token is for project "
        "p1; correct one of them",
    )
    keystone.scope = {"project": {**PROJECT_SCOPE["project"], "id": OTHER_PROJECT}}
    assert authenticator(cloud="lab").token().endpoint == override


@pytest.mark.parametrize(
    ("auth_type", "settings", "value"),
    [
        ("none", {"endpoint": "http://mine/v2"}, None),
        ("admin_token", {"endpoint": "http://mine/v2", "token": "abc"}, "abc"),
    ],
)
def test_auth_types_none_and_admin_token_need_no_keystone(
    auth_type: str,
    settings: dict[str, str],
    value: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth_type": auth_type, "auth": settings}})
    lab_authenticator = authenticator(cloud="lab")
    token = lab_authenticator.token()
    assert (token.endpoint, token.value) == ("http://mine", value)
    assert (lab_authenticator.stats().authentications, token.generation) == (0, 1)


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
def test_fault_of_keystone_has_a_reason_and_names_the_server(
    fault: KeystoneFault, reason: str, detail: str, discovery: bool, lab: SimulatedKeystone
) -> None:
    """The reason is the same if the request for the version document fails as well."""
    lab.fault = dataclasses.replace(fault, discovery=discovery)
    start = time.monotonic()
    error = failure(cloud="lab", timeout=0.6 if reason == "timeout" else 30.0)
    assert time.monotonic() - start < 30
    assert error.reason == reason
    source = f"Keystone at 127.0.0.1:{lab.port}: "
    # Either the waiting thread or the attempt itself may time out first.
    assert error.detail == "no token within 0.6 s" or error.detail.startswith(source)
    assert reason == "timeout" or detail in error.detail


@pytest.mark.parametrize("version", ["", "/v3"])
def test_refused_connection_is_reported_by_its_cause(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SimulatedKeystone() as keystone:
        url = keystone.url
    cloud = {"auth": {**password_auth(keystone), "auth_url": url + version}}
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": cloud})
    error = failure(cloud="lab")
    assert error.reason == "connection"
    assert error.detail.startswith(f"Keystone at {url[7:]}: [Errno ")
    assert error.detail.endswith("] Connection refused")


def test_failed_version_discovery_has_the_reason_of_the_failed_request(
    keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keystone.fault = KeystoneFault(status=503, discovery=True)
    cloud = {"auth": {**password_auth(keystone), "auth_url": keystone.url}}
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": cloud})
    assert failure(cloud="lab").reason == "server_error"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_keystone(authority: trustme.CA) -> Iterator[SimulatedKeystone]:
    """Return a Keystone with TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with SimulatedKeystone(tls=context) as keystone:
        keystone.offer_image(IMAGE)
        yield keystone


def test_certificate_of_an_unknown_authority_is_a_tls_failure(
    tls_keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password is not sent."""
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth": password_auth(tls_keystone)}})
    error = failure(cloud="lab")
    assert error.reason == "tls"
    assert "certificate verify failed" in error.detail
    assert f"the authorities in {DEFAULT_CA_BUNDLE_PATH} were consulted" in error.detail
    assert tls_keystone.requests() == []


def test_ca_bundle_comes_from_clouds_yaml_or_the_environment(
    tls_keystone: SimulatedKeystone,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Verification can be switched off."""
    bundle = str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(bundle)
    write_clouds_yaml(
        monkeypatch,
        tmp_path,
        {
            "named": {"auth": password_auth(tls_keystone), "cacert": bundle},
            "plain": {"auth": password_auth(tls_keystone)},
            "open": {"auth": password_auth(tls_keystone), "verify": False, "cacert": bundle},
        },
    )
    named, unchecked = authenticator(cloud="named"), authenticator(cloud="open")
    assert (named.tls, unchecked.tls) == (ClientTls(bundle, None), ClientTls(False, None))
    assert tls_keystone.accepts(named.token().value)
    assert tls_keystone.accepts(unchecked.token().value)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    assert tls_keystone.accepts(authenticator(cloud="plain").token().value)


def test_client_certificate_of_clouds_yaml_is_used(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, cert, key = (str(tmp_path / name) for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(bundle)
    certificate = authority.issue_cert("client")
    certificate.cert_chain_pems[0].write_to_path(cert)
    certificate.private_key_pem.write_to_path(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with SimulatedKeystone(tls=context) as keystone:
        keystone.offer_image(IMAGE)
        cloud = {"auth": password_auth(keystone), "cacert": bundle}
        clouds = {"with": {**cloud, "cert": cert, "key": key}, "without": cloud}
        write_clouds_yaml(monkeypatch, tmp_path, clouds)
        lab_authenticator = authenticator(cloud="with")
        assert lab_authenticator.tls == ClientTls(bundle, (cert, key))
        assert keystone.accepts(lab_authenticator.token().value)
        assert failure(cloud="without").reason in {"tls", "connection"}


def test_ca_bundle_that_disappears_is_a_tls_failure(
    tls_keystone: SimulatedKeystone,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    write_clouds_yaml(
        monkeypatch, tmp_path, {"lab": {"auth": password_auth(tls_keystone), "cacert": str(bundle)}}
    )
    lab_authenticator = authenticator(cloud="lab")
    bundle.unlink()
    with pytest.raises(AuthError, match="tls"):
        lab_authenticator.token()


def test_netrc_is_never_read(
    lab: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds passwords of other servers."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    authenticator(cloud="lab").token()
    assert lab.requests()
    assert not any("Authorization" in request.headers for request in lab.requests())


def test_http_proxy_is_used_unless_no_proxy_excludes_keystone(
    lab: SimulatedKeystone, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SimulatedKeystone() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert failure(cloud="lab").detail.endswith(": Not Found (HTTP 404)")
        assert proxy.token_requests == 0
        [*_, last] = proxy.requests()
        assert last.path == f"{lab.auth_url}/auth/tokens"
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert lab.accepts(authenticator(cloud="lab").token().value)


def test_no_secret_is_in_logs_representations_errors_or_tracebacks(
    lab: SimulatedKeystone, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    lab_authenticator = authenticator(cloud="lab")
    token = lab_authenticator.token()
    lab.fault = KeystoneFault(
        status=403, message=f"{PASSWORD} is wrong\r\n\u202e {PASSWORD}" + "x" * 999
    )
    error = failure(cloud="lab")
    assert error.detail.startswith(f"Keystone at 127.0.0.1:{lab.port}: *** is wrong \\u202e ***")
    assert len(error.detail) < 400
    lab.fault = KeystoneFault(status=400, message="{'password': 'echoed'}")
    assert "echoed" not in str(failure(cloud="lab"))
    output = "\n".join(
        [
            caplog.text,
            *traceback.format_exception(error),
            *map(repr, (lab_authenticator, vars(lab_authenticator), token, error)),
        ]
    )
    assert token.value
    assert token.value not in output
    assert PASSWORD not in output
