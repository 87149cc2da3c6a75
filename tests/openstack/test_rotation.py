"""Credentials that are rotated while the exporter runs, at a real Keystone."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from tests.openstack.exporter import Exporter, Samples, exporter, series
from tests.openstack.stack import OpenStack

pytestmark = pytest.mark.slow

FAILURES = series("openstack_image_exporter_authentication_failures_total", cloud="demo")


class MountedSecret:
    """A folder with clouds.yaml that is updated as Kubernetes updates a Secret, by one rename."""

    def __init__(self, folder: Path, entry: Mapping[str, Any]) -> None:
        folder.mkdir()
        self.file = folder / "clouds.yaml"
        self.file.symlink_to("..data/clouds.yaml")
        self.write(entry)

    def write(self, entry: Mapping[str, Any]) -> None:
        """Replace the entry ``demo``."""
        version = self.file.with_name(f"..{uuid4()}")
        version.mkdir()
        (version / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"demo": entry}}), "utf-8")
        link = self.file.with_name("..data_tmp")
        link.symlink_to(version.name)
        link.rename(self.file.with_name("..data"))


@pytest.fixture
def image_id(openstack: OpenStack) -> Iterator[str]:
    """Create a private image of the project ``demo``."""
    created = str(uuid4())
    openstack.demo.create(created, "golden")
    yield created
    openstack.demo.delete(created)


def polled(samples: Samples) -> bool:
    return all(
        value == 1 for (name, _), value in samples.items() if name == "openstack_image_poll_success"
    )


def refused(samples: Samples) -> bool:
    return bool(samples.get(FAILURES)) and not polled(samples)


def recovered(running: Exporter, secret: MountedSecret, entry: Mapping[str, Any]) -> Samples:
    """Wait until the sign-in is refused, mount the new credentials, and wait for a poll."""
    running.wait_until(refused, "a refused sign-in")
    secret.write(entry)
    return running.wait_until(polled, "a successful poll")


def test_rotated_application_credential_is_used_without_a_restart(
    openstack: OpenStack, tmp_path: Path, image_id: str
) -> None:
    """Deleting an application credential revokes its tokens."""
    secret = MountedSecret(tmp_path / "mounted", {})

    def new_credential() -> tuple[str, dict[str, Any]]:
        created = openstack.demo.application_credential(f"rotated {uuid4()}")
        auth = {
            "auth_url": f"{openstack.keystone.url}/v3",
            "application_credential_id": created["id"],
            "application_credential_secret": created["secret"],
        }
        return created["id"], {"auth_type": "v3applicationcredential", "auth": auth}

    old_id, entry = new_credential()
    secret.write(entry)
    environ = {"OS_CLIENT_CONFIG_FILE": str(secret.file), "NO_PROXY": "*"}
    with exporter(tmp_path, {"golden": image_id}, ("demo",), environ) as running:
        before = running.wait_until(polled, "a successful poll")
        _, entry = new_credential()
        path = f"/users/{openstack.demo.user_id}/application_credentials/{old_id}"
        openstack.demo.identity("DELETE", path)
        after = recovered(running, secret, entry)
        loaded_at = series("openstack_image_exporter_credentials_last_load_timestamp_seconds")
        assert after[loaded_at] > before[loaded_at]
        assert after[FAILURES] > 0


def test_rotated_password_is_used_without_a_restart(
    openstack: OpenStack, tmp_path: Path, image_id: str
) -> None:
    """Changing a password revokes the tokens of the user."""
    identity = openstack.admin.identity
    user = {"name": f"rotated-{uuid4()}", "password": "first-and-long", "domain_id": "default"}
    user_id = identity("POST", "/users", {"user": user})["user"]["id"]
    openstack.demo.sign_in()
    (role,) = identity("GET", "/roles?name=reader")["roles"]
    project = f"/projects/{openstack.demo.project_id}"
    identity("PUT", f"{project}/users/{user_id}/roles/{role['id']}")

    def entry(password: str) -> dict[str, Any]:
        auth = {
            "auth_url": f"{openstack.keystone.url}/v3",
            "username": user["name"],
            "password": password,
            "user_domain_id": "default",
            "project_id": openstack.demo.project_id,
        }
        return {"auth": auth}

    secret = MountedSecret(tmp_path / "mounted", entry("first-and-long"))
    environ = {"OS_CLIENT_CONFIG_FILE": str(secret.file), "NO_PROXY": "*"}
    with exporter(tmp_path, {"golden": image_id}, ("demo",), environ) as running:
        running.wait_until(polled, "a successful poll")
        identity("PATCH", f"/users/{user_id}", {"user": {"password": "second-and-long"}})
        recovered(running, secret, entry("second-and-long"))
    identity("DELETE", f"/users/{user_id}")
