"""Images for benchmarks: as many as are asked for, always the same."""

from uuid import UUID

from exporter.simulator.image import SimulatedImage

_VERSION_4 = UUID("00000000-0000-4000-8000-000000000000").int


def image_ids(count: int) -> list[str]:
    """UUIDs, the first ``count`` of one fixed series."""
    return [str(UUID(int=_VERSION_4 + (number << 96))) for number in range(1, count + 1)]


def simulated(count: int) -> list[SimulatedImage]:
    """One living image for each of them."""
    return [
        SimulatedImage(image_id, name=f"image {number}", size=2**30 + number)
        for number, image_id in enumerate(image_ids(count))
    ]
