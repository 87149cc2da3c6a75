"""The cloud of one scenario: its simulated services, and what is known of its alerts."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from exporter.simulator import SimulatedImageService
from tests.dashboards.alarms.ports import reserved_port
from tests.dashboards.alarms.recorder import Record
from tests.dashboards.alarms.scenario import INTERVAL, TIMEOUT, Scenario
from tests.dashboards.servers import Prometheus
from tests.support.fakes.keystone import SimulatedKeystone
from tests.support.program import Metrics
from tests.support.wait import wait_until

PATIENCE = 150.0
"""Seconds within which what a scenario waits for must happen, however busy the machine is."""
wait_long = partial(wait_until, timeout=PATIENCE, pause=0.1)
"""Wait so long at most; without a hurry, since many wait at once in the services' process."""


class Cloud:
    """What a scenario's story acts on.

    ``service`` and ``keystone`` are the simulated ones, ``marks`` the times of what happened, and
    ``permitted`` the alerts that are right only where the machine was slow. ``prometheus`` is the
    server that watches the cloud's exporter.
    """

    def __init__(self, scenario: Scenario, record: Record, stack: ExitStack) -> None:
        self.name = scenario.name
        self.scenario = scenario
        self.record = record
        port = stack.enter_context(reserved_port())
        self.service = stack.enter_context(
            SimulatedImageService(scenario.images.values(), port=port)
        )
        self.keystone = stack.enter_context(SimulatedKeystone()) if scenario.signs_in else None
        self.marks: list[float] = []
        self.permitted: set[str] = set()
        self.metrics: Callable[[], Metrics]
        self.prometheus: Prometheus
        if self.keystone is not None:
            self.keystone.offer_image(f"{self.service.url}/")

    def settings(self) -> dict[str, Any]:
        """The exporter's settings of this cloud."""
        images = [{"id": image.id, "alias": alias} for alias, image in self.scenario.images.items()]
        access = {"cloud": self.name} if self.keystone else {"endpoint": self.service.url}
        settings = {"name": self.name, "images": images, **access, **self.scenario.settings}
        if "endpoint" in self.scenario.settings:
            settings["endpoint"] = self.scenario.settings["endpoint"].format(self.service.url)
        return {"interval": f"{INTERVAL:g}s", "timeout": f"{TIMEOUT:g}s", **settings}

    def sign_in(self) -> Mapping[str, Any]:
        """Its entry of clouds.yaml."""
        assert self.keystone is not None
        auth = {
            "auth_url": self.keystone.auth_url,
            "username": "demo",
            "password": "secret",
            "user_domain_name": "Default",
            "project_name": "demo",
            "project_domain_name": "Default",
        }
        return {"auth": auth}

    def id(self, alias: str) -> str:
        """The ID of the image with this alias."""
        return self.scenario.images[alias].id

    def change(self, alias: str, **fields: Any) -> None:
        """Change an image in the Image service."""
        self.service.images.change(self.id(alias), **fields)

    def remove(self, *aliases: str) -> None:
        """Delete images in the Image service."""
        for alias in aliases:
            self.service.images.remove(self.id(alias))

    def fail(self, code: int, *, on: str = "all", **headers: str) -> None:
        """Have the Image service answer with this status."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.service.faults.set("status", on=on, code=code, headers=named)

    def mark(self) -> None:
        """Something happens now."""
        self.marks.append(time.time())

    def permit(self, *alerts: str) -> None:
        """These alerts would be right, since the machine was too slow to keep from them."""
        self.permitted |= set(alerts)

    def reaches(self, *alerts: str) -> None:
        """Wait until Alertmanager has all of these alerts."""
        for alert in alerts:
            wait_long(lambda alert=alert: alert in self.firing)  # type: ignore[misc]

    def resolves(self) -> None:
        """Wait until none of its alerts fires."""
        wait_long(lambda: not self.firing)

    @property
    def firing(self) -> set[str]:
        """The short names of its alerts that fire now."""
        return self.record.firing(self.name)

    def exports(self, metric: str, value: float, **labels: str) -> None:
        """Wait until the exporter says so, of all series with these labels."""
        mine = {"cloud": self.name, **labels}
        wait_long(lambda: set(self.metrics().values(metric, **mine)) == {value})

    @contextmanager
    def counted(self, metric: str, **labels: str) -> Iterator[None]:
        """Wait at the end until the exporter has counted one more, over all series like that."""

        def count() -> float:
            return sum(self.metrics().values(metric, cloud=self.name, **labels))

        before = count()
        yield
        wait_long(lambda: count() == before + 1)

    def scraped(self, metric: str, **labels: str) -> None:
        """Wait until Prometheus has such series."""
        named = {"cloud": self.name, **labels}
        selector = ", ".join(f'{name}="{value}"' for name, value in named.items())
        wait_long(lambda: self.prometheus.ask(f"{metric}{{{selector}}}"))
