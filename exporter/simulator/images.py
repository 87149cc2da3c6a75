"""The images of a simulated service, changed by tests while it answers."""

import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from exporter.simulator.image import SimulatedImage


class SimulatedImages:
    """A thread-safe table of images by ID; every change is seen by the next request."""

    def __init__(self, images: Iterable[SimulatedImage] = ()) -> None:
        self._lock = threading.Lock()
        self._images = {image.id: image for image in images}

    def __len__(self) -> int:
        """How many there are, deleted ones included."""
        return len(self._images)

    def get(self, image_id: str) -> SimulatedImage | None:
        """The image as it is now, or None when there was never one of this ID."""
        return self._images.get(image_id)

    def all(self) -> tuple[SimulatedImage, ...]:
        """Every image, deleted ones included, in the order they were put."""
        with self._lock:
            return tuple(self._images.values())

    def put(self, image: SimulatedImage) -> None:
        """Add an image, or replace the one of its ID."""
        with self._lock:
            self._images[image.id] = image

    def change(self, image_id: str, **fields: Any) -> SimulatedImage:  # dataclass fields
        """Change fields of an image and return it; KeyError when there is none."""
        with self._lock:
            image = replace(self._images[image_id], **fields)
            self._images[image_id] = image
            return image

    def delete(self, image_id: str, at: str = "2026-11-23T11:03:01.979328") -> SimulatedImage:
        """Mark an image deleted: 404 to its owner, ``Deleted: True`` to an administrator."""
        return self.change(
            image_id, deleted=True, deleted_at=at, updated_at=at, status="deleted", protected=False
        )

    def remove(self, image_id: str) -> None:
        """Forget an image, as if it had never been; KeyError when there is none."""
        with self._lock:
            del self._images[image_id]
