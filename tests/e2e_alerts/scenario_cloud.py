"""The cloud of a scenario: its simulated services, and the alerts about it."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import product
from typing import Any

from exporter.simulator import SimulatedImageService
from exporter.simulator.keystone import SimulatedKeystone
from tests.dashboards.servers import Prometheus
from tests.e2e_alerts.alert_recorder import AlertRecord
from tests.e2e_alerts.scaled import seconds
from tests.e2e_alerts.scenario import INTERVAL, TIMEOUT, AlertScenario
from tests.support.ports import reserved_port
from tests.support.program import Metrics
from tests.support.wait import wait_until

PATIENT_TIMEOUT = seconds("75m")
"""Seconds for a condition of a scenario to become true, also on a busy machine."""
wait_patiently = partial(wait_until, timeout=PATIENT_TIMEOUT, pause=0.1)
"""Wait with a long pause, because many threads wait in the process of the simulated services."""


class ScenarioCloud:
    """A cloud on which the actions of a scenario act.

    Attributes:
        records: The record of the alerts of each ruler.
        service: The simulated Image service.
        keystone: The simulated Keystone, if the exporter signs in.
        changes: Wall times at which something changed.
        permitted: Alerts that are correct because the machine was slow, or that may fire again.
        metrics: Reads the metrics of the exporter of this cloud.
        prometheus: The Prometheus that scrapes that exporter.
    """

    def __init__(
        self, scenario: AlertScenario, records: Collection[AlertRecord], stack: ExitStack
    ) -> None:
        self.name = scenario.name
        self.scenario = scenario
        self.records = records
        port = stack.enter_context(reserved_port())
        self.service = stack.enter_context(
            SimulatedImageService(
                scenario.images.values(),
                port=port,
                servers=scenario.servers,
                balancing=scenario.balancing,
                idle_timeout=scenario.idle_timeout,
            )
        )
        self.keystone = stack.enter_context(SimulatedKeystone()) if scenario.uses_keystone else None
        self.changes: list[float] = []
        self.permitted: set[str] = set()
        self.metrics: Callable[[], Metrics]
        self.prometheus: Prometheus
        if self.keystone is not None:
            self.keystone.offer_image(f"{self.service.url}/")

    def settings(self) -> dict[str, Any]:
        """Return the settings of this cloud for the exporter."""
        images = [{"id": image.id, "alias": alias} for alias, image in self.scenario.images.items()]
        access = {"cloud": self.name} if self.keystone else {"endpoint": self.service.url}
        settings = {"name": self.name, "images": images, **access, **self.scenario.settings}
        if "endpoint" in self.scenario.settings:
            settings["endpoint"] = self.scenario.settings["endpoint"].format(self.service.url)
        return {"interval": f"{INTERVAL:g}s", "timeout": f"{TIMEOUT:g}s", **settings}

    def clouds_yaml_entry(self) -> Mapping[str, Any]:
        """Return the entry of this cloud in clouds.yaml."""
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
        """Return the ID of the image with this alias."""
        return self.scenario.images[alias].id

    def change(self, alias: str, **fields: Any) -> None:
        """Change an image in the Image service."""
        self.service.images.change(self.id(alias), **fields)

    def remove(self, *aliases: str) -> None:
        """Remove images from the Image service."""
        for alias in aliases:
            self.service.images.remove(self.id(alias))

    def fail(self, code: int, *, on: str = "all", **headers: str) -> None:
        """Let the Image service respond with this status."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.service.faults.set("status", on=on, code=code, headers=named)

    def note_change(self) -> None:
        """Note the current time as that of a change, from which delays of alerts are measured."""
        self.changes.append(time.time())

    def permit(self, *alerts: str) -> None:
        """Permit alerts that the machine was too slow to prevent, or to fire more than once."""
        self.permitted |= set(alerts)

    def wait_for_alerts(self, *alerts: str) -> None:
        """Wait until each of these alerts is firing in the Alertmanagers of all rulers."""
        for record, alert in product(self.records, alerts):
            wait_patiently(lambda r=record, a=alert: a in r.firing(self.name))  # type: ignore[misc]

    def wait_until_resolved(self) -> None:
        """Wait until no alert about this cloud is firing."""
        wait_patiently(lambda: not any(record.firing(self.name) for record in self.records))

    def wait_for_metric(self, metric: str, value: float, **labels: str) -> None:
        """Wait until all series of the exporter with these labels have this value."""
        selected = {"cloud": self.name, **labels}
        wait_patiently(lambda: set(self.metrics().values(metric, **selected)) == {value})

    @contextmanager
    def one_more_counted(self, metric: str, **labels: str) -> Iterator[None]:
        """Wait at the end of the block until the sum of these counters has increased by one."""

        def total() -> float:
            return sum(self.metrics().values(metric, cloud=self.name, **labels))

        before = total()
        yield
        wait_patiently(lambda: total() == before + 1)

    def wait_for_scrape(self, metric: str, **labels: str) -> None:
        """Wait until Prometheus has a series with these labels."""
        selected = {"cloud": self.name, **labels}
        selector = ", ".join(f'{name}="{value}"' for name, value in selected.items())
        wait_patiently(lambda: self.prometheus.query(f"{metric}{{{selector}}}"))
