"""Fixtures of the tests of commands."""

from collections.abc import Iterator

import pytest

from exporter.simulator import SimulatedImageService
from tests.support.program import GOLDEN, UBUNTU, simulated


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """Start a service with two images."""
    images = [simulated(GOLDEN, protected=True, size=2_361_393_152), simulated(UBUNTU, "Ubuntu")]
    with SimulatedImageService(images) as running:
        yield running
