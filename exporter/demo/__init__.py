"""A simulated Image service and the demo's story; the tests use both."""

from exporter.demo.image import SimulatedImage
from exporter.demo.images import SimulatedImages
from exporter.demo.service import SimulatedImageService

__all__ = ["SimulatedImage", "SimulatedImageService", "SimulatedImages"]
