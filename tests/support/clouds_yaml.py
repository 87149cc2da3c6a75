"""Configuration of authentication to clouds, in clouds.yaml and secure.yaml."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from openstack.config import loader

from exporter.simulator.keystone import SimulatedKeystone

PASSWORD = "s3cret-and-long"


def clear_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the clouds and proxies that are configured on the machine that runs the tests."""
    for name in list(os.environ):
        if name.startswith("OS_") or name.lower().endswith(("_proxy", "_ca_bundle")):
            monkeypatch.delenv(name)
    for files in ("CONFIG_FILES", "SECURE_FILES", "VENDOR_FILES"):
        monkeypatch.setattr(loader, files, [])


def write_clouds_yaml(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    clouds: object,
    secure: object = None,
) -> Path:
    """Write clouds.yaml, and secure.yaml if ``secure`` is given, and make openstacksdk use them."""
    path = folder / "clouds.yaml"
    path.write_text(yaml.safe_dump({"clouds": clouds}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
    if secure is not None:
        (folder / "secure.yaml").write_text(yaml.safe_dump({"clouds": secure}))
        monkeypatch.setenv("OS_CLIENT_SECURE_FILE", str(folder / "secure.yaml"))
    return path


def password_auth(keystone: SimulatedKeystone, **options: Any) -> dict[str, Any]:
    """Return the section ``auth`` of a cloud that authenticates to ``keystone`` by password."""
    keystone.users = {"demo": PASSWORD}
    return {
        "auth_url": keystone.auth_url,
        "username": "demo",
        "password": PASSWORD,
        "user_domain_name": "Default",
        "project_name": "demo",
        "project_domain_name": "Default",
        **options,
    }


def without(mapping: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Return a copy without these keys."""
    return {key: value for key, value in mapping.items() if key not in keys}
