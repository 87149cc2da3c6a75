"""Many clouds at once, some of which fail."""

import json
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from exporter.app import build_application
from exporter.config import parse, resolved_clouds
from exporter.model.target import TargetKey
from exporter.polling.scheduler import Scheduler
from exporter.simulator import SimulatedImage, SimulatedImageService
from tests.support.wait import wait_until

IDS = [str(uuid.UUID(int=number)) for number in range(1, 21)]


@dataclass
class CloudFault:
    """A fault of one cloud, and the reason why all of its polls, or that of one image, fail."""

    fault: str = ""
    on: str = "all"
    options: dict[str, Any] = field(default_factory=dict)
    reasons: frozenset[str] = frozenset({""})


CLOUD_FAULTS = (
    CloudFault(),
    CloudFault("status", IDS[0], {"code": 403}, frozenset({"", "forbidden"})),
    CloudFault("status", "all", {"code": 403}, frozenset({"forbidden"})),
    CloudFault("reset", "all", {}, frozenset({"connection", "not_polled"})),
    CloudFault("latency", "all", {"seconds": 0.02}),
)
CLOUDS = 50
HANGING = 7


def cloud(number: int, endpoint: str) -> dict[str, object]:
    """Return the settings of a cloud with twenty images; a third of them name the version."""
    api = "auto" if number % 3 else ("v1", "v2")[number % 2]
    return {"name": f"cloud-{number}", "endpoint": endpoint, "api": api, "images": IDS}


def test_failures_of_some_clouds_do_not_delay_the_others() -> None:
    with ExitStack() as stack:
        services = []
        for number in range(CLOUDS):
            images = [SimulatedImage(image_id) for image_id in IDS]
            service = stack.enter_context(SimulatedImageService(images))
            service.api.v1_enabled = number % 2 == 0
            cloud_fault = CLOUD_FAULTS[number % len(CLOUD_FAULTS)]
            if number == HANGING:
                service.faults.set("hang")
            elif cloud_fault.fault:
                service.faults.set(cloud_fault.fault, on=cloud_fault.on, **cloud_fault.options)
            services.append(service)
        environ = {
            "IMAGE_EXPORTER_CLOUDS": json.dumps(
                [cloud(n, at.url) for n, at in enumerate(services)]
            ),
            "IMAGE_EXPORTER_INTERVAL": "40s",
            "IMAGE_EXPORTER_TIMEOUT": "30s",
            "IMAGE_EXPORTER_CONCURRENCY": "4",
        }
        parts = build_application(resolved_clouds(parse(["run"], environ).settings))
        stack.callback(parts.close)
        scheduler = Scheduler()
        stack.callback(scheduler.stop)
        for poller in parts.pollers:
            scheduler.every(40.0, poller.run_cycle, poller.cloud)
        scheduler.start()

        def finished() -> set[int]:
            states = (parts.store.cloud(f"cloud-{number}") for number in range(CLOUDS))
            return {n for n, state in enumerate(states) if state.last_cycle_at is not None}

        wait_until(lambda: len(finished()) >= CLOUDS - 1, 25.0)
        assert HANGING not in finished()
        for number in set(range(CLOUDS)) - {HANGING}:
            keys = [TargetKey(f"cloud-{number}", image_id) for image_id in IDS]
            seen = [parts.store.observation(key) for key in keys]
            reasons = {
                observation.failure.reason if observation.failure else "" for observation in seen
            }
            expected = CLOUD_FAULTS[number % len(CLOUD_FAULTS)]
            by_list = expected.on == IDS[0] and number % 2
            assert reasons <= expected.reasons, number
            assert by_list or reasons >= expected.reasons - {"not_polled"}, number
            assert parts.store.cloud(f"cloud-{number}").polls == 20
