from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.build import Store, missing_requirement
from tests.container.container import Image
from tests.k8s.programs import program


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Build the image from a clean checkout, once for all tests."""
    if reason := missing_requirement():
        pytest.skip(reason)
    store = Store(tmp_path_factory.mktemp("container"))
    try:
        yield store.build()
    finally:
        store.remove()


@pytest.fixture(scope="session")
def hadolint() -> Path:
    return program("hadolint")
