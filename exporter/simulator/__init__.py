"""A simulated Image service, used by the demo and by the tests."""

from exporter.simulator.image import SimulatedImage, SimulatedImages
from exporter.simulator.release import Release
from exporter.simulator.service import SimulatedImageService

__all__ = ["Release", "SimulatedImage", "SimulatedImageService", "SimulatedImages"]
