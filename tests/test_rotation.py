"""Credentials that change while the exporter runs: clouds.yaml, secure.yaml and certificates."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from exporter.config import Settings, parse
from exporter.simulator import SimulatedImageService
from exporter.simulator.keystone import SimulatedKeystone
from tests.reloading import LAB, ReloadableExporter, cloud, exporting
from tests.support.clouds_yaml import PASSWORD, password_auth
from tests.support.program import GOLDEN, simulated
from tests.support.wait import wait_until

EXISTS = "openstack_image_exists"
FAILURES = "openstack_image_exporter_authentication_failures_total"
POLLS = "openstack_image_exporter_polls_total"
SUCCESSFUL = "openstack_image_exporter_config_last_reload_successful"
RELOADED_AT = "openstack_image_exporter_config_last_reload_success_timestamp_seconds"
LOADED_AT = "openstack_image_exporter_credentials_last_load_timestamp_seconds"
NEW_PASSWORD = "rotated-and-long"
SETTINGS = {"name": LAB, "cloud": "entry", "images": [GOLDEN]}

pytestmark = pytest.mark.usefixtures("clean_configuration")


@pytest.fixture
def keystone() -> Iterator[SimulatedKeystone]:
    """Run a Keystone whose catalog has an Image service with one image."""
    with SimulatedImageService([simulated(GOLDEN)]) as service, SimulatedKeystone() as running:
        service.api.keystone = running
        running.offer_image(f"{service.url}/v2")
        yield running


class MountedSecret:
    """clouds.yaml and secure.yaml in a folder that is updated as Kubernetes updates a Secret.

    Each file is a link to ``..data/FILE``, and ``..data`` is a link to the current version, which
    one ``rename`` replaces.
    """

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, entry: dict[str, Any]
    ) -> None:
        self._folder = folder
        self._entry = entry
        self._versions = 0
        self.write(PASSWORD)
        for name, variable in (
            ("clouds.yaml", "OS_CLIENT_CONFIG_FILE"),
            ("secure.yaml", "OS_CLIENT_SECURE_FILE"),
        ):
            (folder / name).symlink_to(Path("..data", name))
            monkeypatch.setenv(variable, str(folder / name))

    def write(self, password: object) -> None:
        """Replace both files at once."""
        self._versions += 1
        version = self._folder / f"..version_{self._versions}"
        version.mkdir()
        secure = {"entry": {"auth": {"password": password}}}
        for name, clouds in (("clouds.yaml", {"entry": self._entry}), ("secure.yaml", secure)):
            (version / name).write_text(yaml.safe_dump({"clouds": clouds}))
        new_link = self._folder / "..data_tmp"
        new_link.symlink_to(version.name)
        new_link.rename(self._folder / "..data")


@pytest.fixture
def secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keystone: SimulatedKeystone
) -> MountedSecret:
    """Mount credentials that the Keystone accepts."""
    auth = password_auth(keystone)
    del auth["password"]
    folder = tmp_path / "mounted"
    folder.mkdir()
    return MountedSecret(folder, monkeypatch, {"auth": auth})


def rotate(
    keystone: SimulatedKeystone, secret: MountedSecret, exporter: ReloadableExporter
) -> None:
    """Change the password at Keystone and in the Secret; the old token is worth nothing."""
    exporter.wait_for_cycle()
    assert exporter.metrics().value(EXISTS) == 1
    keystone.users = {"demo": NEW_PASSWORD}
    keystone.revoke()
    secret.write(NEW_PASSWORD)


def check_twice(exporter: ReloadableExporter) -> tuple[str, ...]:
    """Let the reloader see a changed file, and that the file is stable."""
    return exporter.reloader.check_credentials() or exporter.reloader.check_credentials()


def sign_in_fails(exporter: ReloadableExporter) -> Callable[[], bool]:
    """Return the condition that a cycle has found the credentials refused."""
    return lambda: bool(exporter.metrics().value(FAILURES))


def test_changed_credentials_are_loaded_with_reload_on_change(
    tmp_path: Path,
    keystone: SimulatedKeystone,
    secret: MountedSecret,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with exporting(tmp_path, SETTINGS) as exporter:
        exporter.reloader.settings = watching(exporter)
        rotate(keystone, secret, exporter)
        before = exporter.metrics()
        with caplog.at_level("INFO"):
            assert check_twice(exporter) == ()
        poller = exporter.application.pollers[0]
        polls = before.value(POLLS) or 0
        wait_until(lambda: (exporter.metrics().value(POLLS) or 0) > polls)
        after = exporter.metrics()
        assert after.value(EXISTS) == 1
        assert after.value(FAILURES) == 0
        assert (after.value(LOADED_AT) or 0) > (before.value(LOADED_AT) or 0)
        assert [record.message for record in caplog.records].count("credentials reloaded") == 1
        assert check_twice(exporter) == ()
        assert exporter.application.pollers == (poller,)


def watching(exporter: ReloadableExporter) -> Settings:
    """Return the settings with ``config.reload_on_change``."""
    file = exporter.folder / "exporter.yml"
    return parse([f"--config.file={file}", "--config.reload-on-change"], {}).settings


def test_credentials_are_loaded_once_the_sign_in_is_refused(
    tmp_path: Path, keystone: SimulatedKeystone, secret: MountedSecret
) -> None:
    """Without ``config.reload_on_change``, a rotated password heals all the same."""
    with exporting(tmp_path, SETTINGS) as exporter:
        rotate(keystone, secret, exporter)
        poller = exporter.application.pollers[0]
        assert check_twice(exporter) == ()
        assert exporter.application.pollers == (poller,)
        exporter.run_cycle_now()
        wait_until(sign_in_fails(exporter))
        failures = exporter.metrics().value(FAILURES)
        assert check_twice(exporter) == ()
        assert exporter.application.pollers != (poller,)
        wait_until(lambda: exporter.metrics().value("openstack_image_poll_success") == 1)
        assert exporter.metrics().value(FAILURES) == failures
        # The state of the cloud follows at the end of the cycle.
        wait_until(lambda: not exporter.application.has_failing_cloud())


def test_password_that_was_rotated_at_keystone_first_heals_when_the_secret_follows(
    tmp_path: Path, keystone: SimulatedKeystone, secret: MountedSecret
) -> None:
    with exporting(tmp_path, SETTINGS) as exporter:
        exporter.wait_for_cycle()
        keystone.users = {"demo": NEW_PASSWORD}
        keystone.revoke()
        exporter.run_cycle_now()
        wait_until(sign_in_fails(exporter))
        poller = exporter.application.pollers[0]
        assert check_twice(exporter) == ()
        assert exporter.application.pollers == (poller,)
        secret.write(NEW_PASSWORD)
        assert check_twice(exporter) == ()
        wait_until(lambda: exporter.metrics().value("openstack_image_poll_success") == 1)


def test_broken_credentials_change_nothing_until_they_are_repaired(
    tmp_path: Path, secret: MountedSecret
) -> None:
    """YAML reads 0123 as a number, so the password would not be the one that was written."""
    with exporting(tmp_path, SETTINGS) as exporter:
        exporter.wait_for_cycle()
        exporter.reloader.settings = watching(exporter)
        pollers = exporter.application.pollers
        secret.write(123.0e10)
        (error,) = check_twice(exporter)
        assert error.startswith("cloud 'lab': ")
        assert exporter.application.pollers == pollers
        assert exporter.metrics().value(SUCCESSFUL) == 0
        assert check_twice(exporter) == ()
        secret.write(PASSWORD)
        assert check_twice(exporter) == ()
        assert exporter.metrics().value(SUCCESSFUL) == 1


def test_new_credentials_do_not_make_invalid_settings_look_loaded(
    tmp_path: Path, secret: MountedSecret, monkeypatch: pytest.MonkeyPatch
) -> None:
    with exporting(tmp_path, SETTINGS) as exporter:
        exporter.wait_for_cycle()
        (tmp_path / "exporter.yml").write_text("intervall: 1h")
        assert exporter.reloader.reload("test") != ()
        before = exporter.metrics()
        assert before.value(SUCCESSFUL) == 0
        recorded: list[float | None] = []
        monkeypatch.setattr(exporter.application.exporter_metrics, "record_load", recorded.append)
        secret.write(NEW_PASSWORD)
        check_twice(exporter)
        assert exporter.reloader.reload_credentials("test") == ()
        assert recorded == [None]
        after = exporter.metrics()
        assert after.value(RELOADED_AT) == before.value(RELOADED_AT)
        assert (after.value(LOADED_AT) or 0) > (before.value(LOADED_AT) or 0)


def test_changed_ca_bundle_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with exporting(tmp_path, cloud("https://127.0.0.1:9", GOLDEN)) as exporter:
        (poller,) = exporter.application.pollers
        new_bundle = tmp_path / "new.pem"
        trustme.CA().cert_pem.write_to_path(str(new_bundle))
        os.replace(new_bundle, bundle)
        exporter.reloader.settings = watching(exporter)
        assert check_twice(exporter) == ()
        assert exporter.application.pollers != (poller,)
