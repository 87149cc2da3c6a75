"""Rules that hold for many short cycles with random faults."""

import os
import random
from typing import Any

import pytest

from exporter.polling.engine.pacing import CyclePacing
from exporter.simulator import SimulatedImage
from tests.support.polled_cloud import image_service, polled_cloud, threads
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow

IDS = [f"image-{number}" for number in range(12)]
DOOMED = IDS[:2]
CYCLES = 40
CONCURRENCY = 6
LONG_INTERVAL = 2.0
FORGED = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("status", {"code": 500}),
    ("status", {"code": 503, "headers": {"Retry-After": "0"}}),
    ("status", {"code": 403}),
    ("redirect", {"location": "/"}),
    ("reset", {}),
    ("reset_in_head", {}),
    ("close", {}),
    ("close_after", {}),
    ("truncate", {}),
    ("garbage", {}),
    ("hang", {}),
    ("hang_in_head", {}),
    ("trickle", {"pause": 0.05}),
    ("latency", {"seconds": 0.0, "jitter": 0.1}),
    ("many_headers", {"count": 1001}),
    ("body_on_head", {}),
    ("error_page", {}),
    ("last_chunk", {}),
    ("interim", {}),
    ("wrong_id", {}),
]

# Only one of the two in a cycle: two false 404s of one image from different sources, the second on
# a fresh connection to an API that works, would prove by the rules that the image is gone.
FALSE_404S: list[list[tuple[str, dict[str, Any]]]] = [
    [("status", {"code": 404})],
    [("leftover", {"data": FORGED}), ("leftover", {"data": FORGED, "delay": 0.002})],
]


def test_counts_add_up_and_no_image_is_falsely_gone_under_chaos() -> None:
    seed = int(os.environ.get("CHAOS_SEED", random.randrange(2**32)))
    print(f"CHAOS_SEED={seed}")  # noqa: T201 - shown when the test fails, to repeat it
    chance = random.Random(seed)
    with (
        image_service(IDS) as service,
        polled_cloud(
            service.url, IDS, interval=0.25, timeout=0.06, concurrency=CONCURRENCY, random=0.05
        ) as lab,
    ):
        failures = 0
        for cycle in range(1, CYCLES + 1):
            service.faults.clear()
            faults = FAULTS + 3 * chance.choice(FALSE_404S)
            for image_id in chance.sample(IDS, chance.choice([0, 1, 4, 12])):
                name, options = chance.choice(faults)
                # If all images of a cloud are 404 but the list works, a role was lost: no fault.
                share = 0.5 if options.get("code") == 404 else chance.choice([0.3, 1.0])
                times = 1 if options.get("code") == 404 else None
                service.faults.set(name, on=image_id, share=share, times=times, **options)
            if chance.random() < 0.2:
                service.faults.set("status", on="list", code=chance.choice([404, 500]))
            if chance.random() < 0.1:
                service.faults.set("status", code=chance.choice([500, 404]))
                service.faults.clear("list")
                for image_id in IDS:
                    service.faults.clear(image_id)
            for image_id in DOOMED:
                if chance.random() < 0.3:
                    service.images.delete(image_id)
                elif chance.random() < 0.3:
                    service.images.put(SimulatedImage(image_id))
            before = lab.state
            lab.cycle()
            failed = sum(not seen.poll_success for _, seen in lab.store.observations())
            after = lab.state
            assert after.polls == cycle * len(IDS)
            assert sum(after.failures.values()) - sum(before.failures.values()) == failed
            failures += failed
            assert all(lab.exists()[image_id] is not False for image_id in IDS[2:])
            assert lab.poller.client.sender.connections <= 2 * CONCURRENCY
            assert len(threads()) <= 2 * CONCURRENCY
        assert 0 < failures < CYCLES * len(IDS)
        service.faults.clear()
        for image_id in IDS:
            service.images.put(SimulatedImage(image_id))
        # An image that was gone and returns unchanged has to be confirmed in two cycles. All
        # requests for that fit into a longer cycle, also on a busy machine.
        lab.poller.pacing = CyclePacing(LONG_INTERVAL, LONG_INTERVAL, CONCURRENCY)
        for _ in range(CYCLES):
            lab.cycle()
            if all(lab.exists().values()):
                break
        assert lab.exists() == dict.fromkeys(IDS, True)
        wait_until(lambda: not threads())
        assert lab.poller.client.sender.connections <= CONCURRENCY
        lab.poller.stop()
        wait_until(lambda: service.log.connections_open == 0)
