"""A real OpenStack for the tests in this folder, which run only with OPENSTACK_TESTS=1."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.openstack.stack import OpenStack
from tests.support.clouds_yaml import clear_configuration

# Not collected instead of skipped, so that `make test` reports no skipped tests.
collect_ignore_glob = [] if os.environ.get("OPENSTACK_TESTS") == "1" else ["test_*.py"]


@pytest.fixture(scope="session")
def openstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenStack]:
    """Run Keystone and Glance."""
    with OpenStack(tmp_path_factory.mktemp("openstack")) as running:
        yield running


@pytest.fixture
def clouds_yaml(openstack: OpenStack, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make openstacksdk read the cloud's clouds.yaml and secure.yaml, and no other files."""
    clear_configuration(monkeypatch)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(openstack.clouds_yaml))
    monkeypatch.setenv("OS_CLIENT_SECURE_FILE", str(openstack.secure_yaml))
    return openstack.clouds_yaml
