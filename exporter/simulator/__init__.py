"""A simulated Image service and the demo's story; the tests use both."""

from exporter.simulator.image import SimulatedImage
from exporter.simulator.images import SimulatedImages
from exporter.simulator.service import SimulatedImageService

__all__ = ["SimulatedImage", "SimulatedImageService", "SimulatedImages"]
