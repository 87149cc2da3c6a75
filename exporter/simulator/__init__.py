"""A simulated Image service, used by the demo and by the tests."""

from exporter.simulator.backends import BackendFault, Balancing, Unit
from exporter.simulator.image import SimulatedImage, SimulatedImages
from exporter.simulator.release import Release
from exporter.simulator.service import SimulatedImageService

__all__ = [
    "BackendFault",
    "Balancing",
    "Release",
    "SimulatedImage",
    "SimulatedImageService",
    "SimulatedImages",
    "Unit",
]
