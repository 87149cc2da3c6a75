"""Images for benchmarks, the same in every run."""

from uuid import UUID

from exporter.simulator.image import SimulatedImage

_VERSION_4 = UUID("00000000-0000-4000-8000-000000000000").int


def image_ids(count: int) -> list[str]:
    """Return the first ``count`` UUIDs of a fixed series."""
    return [str(UUID(int=_VERSION_4 + (number << 96))) for number in range(1, count + 1)]


def simulated(count: int) -> list[SimulatedImage]:
    """Return an active image for each of the first ``count`` IDs."""
    return [
        SimulatedImage(image_id, name=f"image {number}", size=2**30 + number)
        for number, image_id in enumerate(image_ids(count))
    ]
