"""The application that is built from the settings, and files that cannot be used."""

import gzip
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from exporter.app import USER_AGENT, Application, build_application, build_exposition
from exporter.auth.base import CloudConfigError
from exporter.config import parse, resolved_clouds
from exporter.metrics.selection.families import Selection
from exporter.model.outcome import Failed
from exporter.reload import apply, diff
from exporter.simulator import SimulatedImageService
from exporter.transport.tls_files import ClientTls, read_tls_files
from tests.support.clouds_yaml import write_clouds_yaml
from tests.support.program import GOLDEN, UBUNTU, settings_file, simulated
from tests.support.wait import wait_until

HTTPS = "https://127.0.0.1:9"

pytestmark = pytest.mark.usefixtures("clean_configuration")


def application(folder: Path, *, all_properties: bool = False, **cloud: Any) -> Application:
    """Build the application for one cloud."""
    cloud = {"name": "lab", "endpoint": HTTPS, "images": [GOLDEN], **cloud}
    file = settings_file(folder, {key: value for key, value in cloud.items() if value is not None})
    plans = resolved_clouds(parse([f"--config.file={file}"], {}).settings)
    return build_application(plans, all_properties=all_properties)


def test_image_has_the_series_that_are_served_and_the_commands_of_its_cloud(
    tmp_path: Path,
) -> None:
    exporter = application(tmp_path)
    exporter.selection = Selection(include=("openstack_image_poll_success",))
    image = exporter.find_image(cloud="lab", image_id=GOLDEN)
    assert image is not None
    assert [line.split("{")[0] for line in image.series] == ["openstack_image_poll_success"]
    (command,) = image.commands
    assert command.text.endswith(f"{HTTPS}/v1/images/{GOLDEN}")
    assert exporter.find_image(cloud="lab", image_id="nothing") is None


def build_error(folder: Path, **cloud: Any) -> str:
    """Return the error, in one line, with which the build fails."""
    with pytest.raises(CloudConfigError) as caught:
        application(folder, **cloud)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def clouds_yaml_error(folder: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> str:
    """Return the error with which an entry of clouds.yaml is rejected."""
    auth = {"auth_url": HTTPS, "username": "u", "password": "p", "project_name": "p"}
    write_clouds_yaml(monkeypatch, folder, {"lab": {"auth": auth, **more}})
    return build_error(folder, endpoint=None, cloud="lab")


def test_application_is_built_from_the_settings_without_a_request(tmp_path: Path) -> None:
    images = [{"id": GOLDEN, "alias": "golden", "expect": {"protected": True}}, UBUNTU]
    with SimulatedImageService([simulated(GOLDEN)]) as service:
        exporter = application(
            tmp_path, endpoint=service.url, images=images, interval="30s", timeout="3s"
        )
        (poller,) = exporter.pollers
        assert [target.labels for target in poller.targets] == [
            ("lab", GOLDEN, "golden"),
            ("lab", UBUNTU, UBUNTU),
        ]
        assert poller.targets[0].expect == (("protected", True),)
        assert poller.pacing.interval == 30
        assert poller.client.sender.timeout == 3
        assert [observation.polled_at for _, observation in exporter.store.observations()] == [
            None,
            None,
        ]
        assert [cloud.targets for cloud in exporter.store.clouds()] == [2]
        assert [cloud.discovery_interval for cloud in exporter.store.clouds()] == [None]
        exporter.close()
        assert service.log.requests == 0


def test_state_of_a_cloud_has_the_interval_and_aliases_of_its_discovery(tmp_path: Path) -> None:
    entry = {"name": "a*", "most_recent": True, "alias": "newest"}
    exporter = application(tmp_path, discover=[entry], discovery_interval="10m")
    (cloud,) = exporter.store.clouds()
    assert (cloud.discovery_interval, cloud.resolved_changes) == (600.0, {"newest": 0})
    # The failure of a discovery that no longer exists would last forever.
    exporter.store.update_cloud(
        "lab", lambda state: replace(state, discovery_failure=Failed("timeout"))
    )
    without_discovery = replace(exporter.clouds["lab"].config, discover=())
    apply(diff(exporter.clouds, exporter.build_clouds([without_discovery])), exporter)
    (cloud,) = exporter.store.clouds()
    assert (cloud.discovery_interval, cloud.discovery_failure) == (None, None)
    exporter.close()


@pytest.mark.parametrize(
    ("all_properties", "kept"),
    [(False, (("os_distro", "a"),)), (True, (("other", "b"), ("os_distro", "a")))],
)
def test_configured_or_all_properties_are_kept(
    tmp_path: Path, all_properties: bool, kept: tuple[tuple[str, str], ...]
) -> None:
    image = simulated(GOLDEN, properties={"other": "b", "os_distro": "a"})
    with SimulatedImageService([image]) as service:
        exporter = application(
            tmp_path,
            endpoint=service.url,
            properties=["os_distro"],
            all_properties=all_properties,
        )
        exporter.pollers[0].run_cycle()
        ((_, observation),) = exporter.store.observations()
        exporter.close()
        assert observation.image is not None
        assert sorted(observation.image.properties) == sorted(kept)
        assert service.log.records[0].request.headers["user-agent"] == USER_AGENT


def test_closed_application_sends_no_request_and_has_no_connection(tmp_path: Path) -> None:
    with SimulatedImageService([simulated(GOLDEN)]) as service:
        exporter = application(tmp_path, endpoint=service.url)
        exporter.pollers[0].run_cycle()
        requests_before = service.log.requests
        exporter.close()
        wait_until(lambda: service.log.connections_open == 0)
        exporter.pollers[0].run_cycle()
        assert service.log.requests == requests_before


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_missing_ca_bundle_is_rejected_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "/nowhere/ca.pem")
    assert build_error(tmp_path) == (
        "cloud 'lab': CA bundle /nowhere/ca.pem (of clouds.yaml, REQUESTS_CA_BUNDLE or "
        "CURL_CA_BUNDLE) cannot be used: No such file or directory"
    )
    assert "/nowhere/ca.pem" in clouds_yaml_error(tmp_path, monkeypatch)


def test_missing_ca_bundle_is_ignored_without_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    application(tmp_path, endpoint="http://127.0.0.1:9").close()


def test_ca_bundle_without_a_certificate_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate\n")
    assert f"CA bundle {junk}" in clouds_yaml_error(tmp_path, monkeypatch, cacert=str(junk))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(junk))
    assert f"CA bundle {junk}" in build_error(tmp_path)


def test_missing_ca_file_of_clouds_yaml_is_rejected_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "/nowhere/ca.pem" in clouds_yaml_error(tmp_path, monkeypatch, cacert="/nowhere/ca.pem")


def test_ca_bundle_is_a_file_or_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(bundle)
    for place in (bundle, tmp_path):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(place))
        application(tmp_path).close()


def test_client_certificate_needs_its_own_unencrypted_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    mine, other = (authority.issue_cert(name) for name in ("a.test", "b.test"))
    certificate, key, wrong, locked, both = (
        tmp_path / name for name in ("cert.pem", "key.pem", "wrong.pem", "locked.pem", "both.pem")
    )
    mine.cert_chain_pems[0].write_to_path(certificate)
    mine.private_key_pem.write_to_path(key)
    mine.private_key_and_cert_chain_pem.write_to_path(both)
    other.private_key_pem.write_to_path(wrong)
    locked.write_bytes(
        load_pem_private_key(key.read_bytes(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
    )
    for bad in (wrong, locked):
        error = clouds_yaml_error(tmp_path, monkeypatch, cert=str(certificate), key=str(bad))
        assert error.startswith(f"cloud 'lab': client certificate {certificate} cannot be used: ")
    for good in ({"cert": str(certificate), "key": str(key)}, {"cert": str(both)}):
        auth = {"auth_url": HTTPS, "username": "u", "password": "p", "project_name": "p"}
        write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth": auth, **good}})
        application(tmp_path, endpoint=None, cloud="lab").close()


def test_https_trusts_only_the_ca_bundle_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    outcomes = []
    with SimulatedImageService([simulated(GOLDEN)], tls=context) as service:
        for trusted in (authority, trustme.CA()):
            trusted.cert_pem.write_to_path(bundle)
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
            exporter = application(tmp_path, endpoint=service.url)
            exporter.pollers[0].run_cycle()
            ((_, observation),) = exporter.store.observations()
            exporter.close()
            outcomes.append(
                (observation.exists, observation.failure and observation.failure.reason)
            )
    assert outcomes == [(True, None), (None, "tls")]


def test_ca_bundle_is_read_once_for_all_clouds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL takes 40 ms to read the usual bundle."""
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    reads: list[str] = []

    def count(tls: ClientTls) -> tuple[tuple[str, bytes], ...]:
        reads.append(str(tls.verify))
        return read_tls_files(tls)

    monkeypatch.setattr("exporter.app.read_tls_files", count)
    clouds = [{"name": name, "endpoint": HTTPS, "images": [GOLDEN]} for name in "abc"]
    file = settings_file(tmp_path, *clouds)
    build_application(resolved_clouds(parse([f"--config.file={file}"], {}).settings)).close()
    assert reads == [str(bundle)]


@pytest.mark.parametrize(
    ("setting", "expected"), [({}, "v2"), ({"api": "v1"}, "v1"), ({"api": "auto"}, "auto")]
)
def test_version_of_clouds_yaml_decides_unless_the_setting_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: dict[str, Any], expected: str
) -> None:
    auth = {"auth_url": HTTPS, "username": "u", "password": "p", "project_name": "p"}
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth": auth, "image_api_version": "2"}})
    (poller,) = application(tmp_path, endpoint=None, cloud="lab", **setting).pollers
    assert poller.client.requested_version == expected


def test_metrics_have_the_size_of_the_last_scrape_of_all_clouds(tmp_path: Path) -> None:
    exporter = application(tmp_path)
    exposition = build_exposition(exporter)

    def reported(encoding: str) -> float | None:
        name = "openstack_image_exporter_scrape_body_bytes"
        registry = exporter.exporter_metrics.registry
        return registry.get_sample_value(name, {"encoding": encoding})

    assert (reported("identity"), reported("gzip")) == (0, 0)
    plain = exposition.body(openmetrics=False, compressed=False)
    assert plain.size == len(b"".join(plain)) > 1000
    assert (reported("identity"), reported("gzip")) == (plain.size, 0)
    compressed = exposition.body(openmetrics=True, compressed=True)
    sent = b"".join(compressed)
    exposition.body(openmetrics=True, compressed=True, clouds=["lab"])
    assert (reported("identity"), reported("gzip")) == (len(gzip.decompress(sent)), len(sent))
    exporter.close()
