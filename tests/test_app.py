"""Tests of exporter.build: settings in, parts out, and files that are of no use."""

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

from exporter.app import USER_AGENT, Application, build_application
from exporter.auth.base import CloudConfigError
from exporter.config import parse, resolved_clouds
from exporter.model.outcome import Failed
from exporter.reload import apply, diff
from exporter.simulator import SimulatedImageService
from tests.auth.clouds import clean, configure
from tests.support.program import GOLDEN, UBUNTU, settings_file, simulated
from tests.support.wait import wait_until

HTTPS = "https://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    clean(monkeypatch)


def built(folder: Path, *, all_properties: bool = False, **cloud: Any) -> Application:
    """The parts for one cloud."""
    cloud = {"name": "lab", "endpoint": HTTPS, "images": [GOLDEN], **cloud}
    file = settings_file(folder, {key: value for key, value in cloud.items() if value is not None})
    plans = resolved_clouds(parse([f"--config.file={file}"], {}).settings)
    return build_application(plans, all_properties=all_properties)


def refusal(folder: Path, **cloud: Any) -> str:
    """Why the parts cannot be built, in one line."""
    with pytest.raises(CloudConfigError) as caught:
        built(folder, **cloud)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def with_clouds_yaml(folder: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> str:
    """Why an entry of clouds.yaml cannot be used, in one line."""
    auth = {"auth_url": HTTPS, "username": "u", "password": "p", "project_name": "p"}
    configure(monkeypatch, folder, {"lab": {"auth": auth, **more}})
    return refusal(folder, endpoint=None, cloud="lab")


def test_parts_are_built_from_the_settings(tmp_path: Path) -> None:
    """Targets, pace and states are those of the plan; nothing is known and nothing was asked."""
    images = [{"id": GOLDEN, "alias": "golden", "expect": {"protected": True}}, UBUNTU]
    with SimulatedImageService([simulated(GOLDEN)]) as service:
        parts = built(tmp_path, endpoint=service.url, images=images, interval="30s", timeout="3s")
        (poller,) = parts.pollers
        assert [target.labels for target in poller.targets] == [
            ("lab", GOLDEN, "golden"),
            ("lab", UBUNTU, UBUNTU),
        ]
        assert poller.targets[0].expect == (("protected", True),)
        assert poller.pacing.interval == 30
        assert poller.client.sender.timeout == 3
        assert [seen.polled_at for _, seen in parts.store.observations()] == [None, None]
        assert [cloud.targets for cloud in parts.store.clouds()] == [2]
        assert [cloud.discovery_interval for cloud in parts.store.clouds()] == [None]
        parts.close()
        assert service.log.requests == 0


def test_a_cloud_that_is_discovered_says_how_often(tmp_path: Path) -> None:
    """The interval of discovery is in the state of the cloud, as are its aliases."""
    entry = {"name": "a*", "most_recent": True, "alias": "newest"}
    parts = built(tmp_path, discover=[entry], discovery_interval="10m")
    (cloud,) = parts.store.clouds()
    assert (cloud.discovery_interval, cloud.resolved_changes) == (600.0, {"newest": 0})
    # A failure of what is not asked for any more would never end.
    parts.store.update_cloud(
        "lab", lambda state: replace(state, discovery_failure=Failed("timeout"))
    )
    without_discovery = replace(parts.clouds["lab"].config, discover=())
    apply(diff(parts.clouds, parts.build_clouds([without_discovery])), parts)
    (cloud,) = parts.store.clouds()
    assert (cloud.discovery_interval, cloud.discovery_failure) == (None, None)
    parts.close()


@pytest.mark.parametrize(
    ("all_properties", "kept"),
    [(False, (("os_distro", "a"),)), (True, (("other", "b"), ("os_distro", "a")))],
)
def test_properties_are_those_on_the_list_or_all(
    tmp_path: Path, all_properties: bool, kept: tuple[tuple[str, str], ...]
) -> None:
    """The daemon keeps what is on the list, and a command that shows an image all of it."""
    image = simulated(GOLDEN, properties={"other": "b", "os_distro": "a"})
    with SimulatedImageService([image]) as service:
        parts = built(
            tmp_path,
            endpoint=service.url,
            properties=["os_distro"],
            all_properties=all_properties,
        )
        parts.pollers[0].run_cycle()
        ((_, seen),) = parts.store.observations()
        parts.close()
        assert seen.image is not None
        assert sorted(seen.image.properties) == sorted(kept)
        assert service.log.records[0].request.headers["user-agent"] == USER_AGENT


def test_closed_parts_poll_no_more(tmp_path: Path) -> None:
    """After the end a cycle asks nothing, and no connection stays open."""
    with SimulatedImageService([simulated(GOLDEN)]) as service:
        parts = built(tmp_path, endpoint=service.url)
        parts.pollers[0].run_cycle()
        asked = service.log.requests
        parts.close()
        wait_until(lambda: service.log.connections_open == 0)
        parts.pollers[0].run_cycle()
        assert service.log.requests == asked


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_ca_bundle_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """It is refused at the start, by name: every poll would fail by it."""
    monkeypatch.setenv(variable, "/nowhere/ca.pem")
    assert refusal(tmp_path) == (
        "cloud 'lab': CA bundle /nowhere/ca.pem (of clouds.yaml, REQUESTS_CA_BUNDLE or "
        "CURL_CA_BUNDLE) cannot be used: No such file or directory"
    )
    assert "/nowhere/ca.pem" in with_clouds_yaml(tmp_path, monkeypatch)


def test_a_ca_bundle_is_not_needed_without_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint by http is not held up by a variable that is not about it."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    built(tmp_path, endpoint="http://127.0.0.1:9").close()


def test_a_ca_bundle_that_holds_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without a certificate is refused, of the environment and of clouds.yaml."""
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate\n")
    assert f"CA bundle {junk}" in with_clouds_yaml(tmp_path, monkeypatch, cacert=str(junk))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(junk))
    assert f"CA bundle {junk}" in refusal(tmp_path)


def test_a_ca_file_that_is_missing_from_clouds_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused by name."""
    assert "/nowhere/ca.pem" in with_clouds_yaml(tmp_path, monkeypatch, cacert="/nowhere/ca.pem")


def test_ca_bundles_that_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with a certificate and a folder of them are taken."""
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(bundle)
    for place in (bundle, tmp_path):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(place))
        built(tmp_path).close()


def test_client_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate with its key is taken; with another key, or one that is locked, refused."""
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
        said = with_clouds_yaml(tmp_path, monkeypatch, cert=str(certificate), key=str(bad))
        assert said.startswith(f"cloud 'lab': client certificate {certificate} cannot be used: ")
    for good in ({"cert": str(certificate), "key": str(key)}, {"cert": str(both)}):
        auth = {"auth_url": HTTPS, "username": "u", "password": "p", "project_name": "p"}
        configure(monkeypatch, tmp_path, {"lab": {"auth": auth, **good}})
        built(tmp_path, endpoint=None, cloud="lab").close()


def test_https_is_verified_by_the_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls trust what the bundle of the environment holds, and nothing else."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    outcomes = []
    with SimulatedImageService([simulated(GOLDEN)], tls=context) as service:
        for trusted in (authority, trustme.CA()):
            trusted.cert_pem.write_to_path(bundle)
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
            parts = built(tmp_path, endpoint=service.url)
            parts.pollers[0].run_cycle()
            ((_, seen),) = parts.store.observations()
            parts.close()
            outcomes.append((seen.exists, seen.failure and seen.failure.reason))
    assert outcomes == [(True, None), (None, "tls")]
