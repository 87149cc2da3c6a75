"""Images for benchmarks, the same in every run."""

import random
from uuid import UUID

from exporter.model.image import Image
from exporter.simulator.image import SimulatedImage


def image_ids(count: int) -> list[str]:
    """Return the first ``count`` UUIDs of a fixed series."""
    generator = random.Random(0)
    return [str(UUID(int=generator.getrandbits(128), version=4)) for _ in range(count)]


def realistic(image_id: str, number: int) -> Image:
    """Return an active image whose texts differ from those of other images, as in a real cloud."""
    generator = random.Random(number)
    letters = generator.choices("abcdefghijklmnopqrstuvwxyz0123456789-. ", k=60)
    return Image(
        "v1",
        image_id,
        "active",
        name="".join(letters[: generator.randint(10, 60)]),
        size_bytes=2**31 + number,
        virtual_size_bytes=2**33 + number,
        protected=True,
        public=False,
        deleted=False,
        created_at=1.6e9 + generator.randrange(10**8),
        updated_at=1.6e9 + generator.randrange(10**8),
        container_format="bare",
        disk_format="qcow2",
        min_disk_bytes=0,
        min_ram_bytes=0,
        digests=(("md5", f"{generator.getrandbits(128):032x}"),),
        project_id=f"{generator.getrandbits(128):032x}",
        properties=(("os_distro", "ubuntu"), ("build", f"{generator.getrandbits(64):016x}")),
    )


def simulated(count: int) -> list[SimulatedImage]:
    """Return an active image for each of the first ``count`` IDs, as different as real ones."""
    return [
        _simulated(realistic(image_id, number)) for number, image_id in enumerate(image_ids(count))
    ]


def _simulated(image: Image) -> SimulatedImage:
    return SimulatedImage(
        image.id,
        name=image.name,
        size=image.size_bytes,
        virtual_size=image.virtual_size_bytes,
        checksum=dict(image.digests)["md5"],
        protected=True,
        owner=image.project_id,
        properties=dict(image.properties),
    )
