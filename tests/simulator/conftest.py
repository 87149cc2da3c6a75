from collections.abc import Iterator

import pytest

from exporter.simulator import SimulatedImage, SimulatedImageService

ID = "87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """A service with one image."""
    with SimulatedImageService([SimulatedImage(ID)]) as running:
        yield running
