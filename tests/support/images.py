"""Images, instants and observations that tests share."""

from dataclasses import replace
from pathlib import Path

from exporter.model.image import Image
from exporter.model.instant import Instant
from exporter.model.observation import NEVER_POLLED, Observation
from exporter.model.outcome import Outcome
from exporter.model.responses.parsers import Malformed
from exporter.model.responses.v1_headers import image_from_headers
from exporter.model.target import Target
from exporter.transport.http1 import parse_head

RECORDINGS = Path(__file__).parents[1] / "recordings" / "v1"

ID = "87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"
START = Instant(monotonic=1000.0, wall=1_800_000_000.0)
MAX_STALE = 900.0

ACTIVE = Image(
    api="v1",
    id=ID,
    status="active",
    name="golden",
    size_bytes=2_361_393_152,
    virtual_size_bytes=21_474_836_480,
    protected=True,
    public=False,
    deleted=False,
    created_at=1_790_000_000.25,
    updated_at=1_790_000_100.5,
    container_format="bare",
    disk_format="qcow2",
    min_disk_bytes=40 * 2**30,
    min_ram_bytes=2048 * 2**20,
    digests=(("md5", "826ad52d67c55b1f07cabe148b8146ac"),),
    project_id="70e8fbac958f4a27b37bb02f2af0c8ad",
    properties=(("os_distro", "ubuntu"), ("os_version", "22.04")),
)
"""A private, active image with every attribute that v1 reports."""

COMPLETE = replace(
    ACTIVE,
    hidden=True,
    properties=(
        *ACTIVE.properties,
        ("image_build_date", "2025-06-11"),
        ("provided_until", "2027-04-30"),
        ("replace_frequency", "monthly"),
        ("uuid_validity", "2028-04-30"),
    ),
    tags=("golden",),
    stores=("fs",),
)
"""The same image with every attribute and property that any metric is made from."""

TARGET = Target("lab", ID, "golden-ubuntu")


def later(seconds: float) -> Instant:
    """Return the instant so many seconds after ``START``."""
    return Instant(START.monotonic + seconds, START.wall + seconds)


def observed(
    *outcomes: Outcome, before: Observation = NEVER_POLLED, apart: float = 0.0
) -> Observation:
    """Return the observation after polls with these outcomes, the first at ``START``."""
    observation = before
    for number, outcome in enumerate(outcomes):
        observation = observation.with_outcome(outcome, later(apart * number), MAX_STALE)
    return observation


def parse_v1(*lines: bytes, properties: frozenset[str] | None = None) -> Image | Malformed:
    """Parse a v1 response 200 with these header lines as the image ``ID``."""
    response_head = b"\r\n".join((b"HTTP/1.1 200 OK", *lines))
    return image_from_headers(parse_head(response_head).headers, ID, properties)
