"""Fixtures of sign-ins: a Keystone, and the configuration that names it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.simulator.keystone import SimulatedKeystone
from tests.auth.sign_in import IMAGE
from tests.support.clouds_yaml import (
    PASSWORD,
    clear_configuration,
    password_auth,
    write_clouds_yaml,
)


@pytest.fixture(autouse=True)
def _clear_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    clear_configuration(monkeypatch)


@pytest.fixture
def keystone() -> Iterator[SimulatedKeystone]:
    """Return a Keystone with one user and one image endpoint."""
    with SimulatedKeystone() as keystone:
        keystone.users = {"demo": PASSWORD}
        keystone.offer_image(f"{IMAGE}/v2/")
        yield keystone


@pytest.fixture
def lab(
    keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SimulatedKeystone:
    """Return a Keystone that clouds.yaml knows as ``lab``."""
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth": password_auth(keystone)}})
    return keystone
