from typing import Any

import pytest

from exporter.simulator import SimulatedImage, SimulatedImageService
from tests.polling.soak import CONCURRENCY, HeldResources, PollingProcess, polling_process
from tests.support.polled_cloud import image_service

pytestmark = pytest.mark.slow

IDS = [f"image-{number}" for number in range(12)]
PHASE = 25
"""Cycles under the same faults."""

ROUND = 4 * PHASE
CYCLES = 2000
WARM = 200

SINGLE: list[tuple[str, dict[str, Any]]] = [
    ("reset", {}),
    ("reset_in_head", {}),
    ("close", {}),
    ("close_after", {}),
    ("truncate", {}),
    ("garbage", {}),
    ("many_headers", {"count": 1001}),
    ("body_on_head", {}),
    ("redirect", {"location": "/"}),
    ("status", {"code": 503, "headers": {"Retry-After": "0"}}),
    ("hang", {"times": 2}),
]
"""Faults of one image each; there are fewer than images, so that one has none."""


def quiet(service: SimulatedImageService) -> None:
    """Cause no faults."""
    service.faults.clear()
    for image_id in IDS:
        service.images.put(SimulatedImage(image_id))


def mixed(service: SimulatedImageService) -> None:
    """Let each image except one fail sometimes, in its own way."""
    for image_id, (name, options) in zip(IDS, SINGLE, strict=False):
        service.faults.set(name, on=image_id, **({"share": 0.3} | options))


def vanished(service: SimulatedImageService) -> None:
    """Delete some images and restore others."""
    quiet(service)
    for image_id in IDS[:4]:
        service.images.delete(image_id)


def down(service: SimulatedImageService) -> None:
    """Let the whole API fail, so that the breaker opens."""
    quiet(service)
    service.faults.set("status", code=500)


def one_round(service: SimulatedImageService, process: PollingProcess) -> HeldResources:
    """Return the resources after cycles of every kind, the last of them without faults."""
    for begin in (mixed, vanished, down, quiet):
        begin(service)
        resources = process.run(PHASE)
        service.log.clear()
    return resources


def test_nothing_grows_in_two_thousand_cycles() -> None:
    """Memory, threads and sockets are the same after 200 and after 2,000 cycles."""
    with image_service(IDS) as service, polling_process(service.url, IDS) as process:
        rounds = [one_round(service, process) for _ in range(CYCLES // ROUND)]
    warm, last = rounds[WARM // ROUND - 1], rounds[-1]
    print(f"{warm}\n{last}")  # noqa: T201  # shown when the test fails
    assert last.polls == CYCLES * len(IDS)
    assert 0 < last.failures < last.polls / 2
    assert last.existing == len(IDS)
    assert last.resident <= 1.05 * warm.resident
    assert last.threads <= warm.threads
    assert last.connections <= CONCURRENCY
    assert (warm.strays, last.strays) == (0, 0)
