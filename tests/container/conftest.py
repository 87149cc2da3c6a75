"""The image, built once for all tests here, and programs that look at the Dockerfile."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.box import Image
from tests.container.build import Store, why_not
from tests.k8s.programs import program


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image, built from a clean checkout."""
    if reason := why_not():
        pytest.skip(reason)
    store = Store(tmp_path_factory.mktemp("container"))
    try:
        yield store.build()
    finally:
        store.remove()


@pytest.fixture(scope="session")
def hadolint() -> Path:
    """The linter of Dockerfiles."""
    return program("hadolint")
