"""Clouds to sign in to."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from openstack.config import loader

from tests.support.fakes.keystone import SimulatedKeystone

PASSWORD = "s3cret-and-long"


def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what the machine that runs the tests has configured."""
    for name in list(os.environ):
        if name.startswith("OS_") or name.lower().endswith(("_proxy", "_ca_bundle")):
            monkeypatch.delenv(name)
    for files in ("CONFIG_FILES", "SECURE_FILES", "VENDOR_FILES"):
        monkeypatch.setattr(loader, files, [])


def configure(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    clouds: object,
    secure: object = None,
) -> Path:
    """Write clouds.yaml, and secure.yaml where given, and have them found."""
    path = folder / "clouds.yaml"
    path.write_text(yaml.safe_dump({"clouds": clouds}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
    if secure is not None:
        (folder / "secure.yaml").write_text(yaml.safe_dump({"clouds": secure}))
        monkeypatch.setenv("OS_CLIENT_SECURE_FILE", str(folder / "secure.yaml"))
    return path


def auth(keystone: SimulatedKeystone, **more: Any) -> dict[str, Any]:
    """The part ``auth`` of a cloud that signs in to ``keystone`` by password."""
    keystone.users = {"demo": PASSWORD}
    return {
        "auth_url": keystone.auth_url,
        "username": "demo",
        "password": PASSWORD,
        "user_domain_name": "Default",
        "project_name": "demo",
        "project_domain_name": "Default",
        **more,
    }


def without(mapping: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """A copy without these keys."""
    return {key: value for key, value in mapping.items() if key not in keys}
