"""Services without v1."""

import contextlib
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from exporter.simulator import SimulatedImage, SimulatedImageService

FEW = [str(uuid.UUID(int=number)) for number in range(1, 7)]


@contextlib.contextmanager
def serving(
    images: Mapping[str, SimulatedImage] | None = None, **options: Any
) -> Iterator[SimulatedImageService]:
    """Run a service without v1 that has these images, or a few."""
    some = images or {image_id: SimulatedImage(image_id) for image_id in FEW}
    with SimulatedImageService(some.values(), **options) as service:
        service.api.v1_enabled = False
        yield service
