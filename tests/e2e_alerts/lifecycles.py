"""Lifecycles of the exporters, which determine when the scenarios of their clouds happen."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.dashboards.servers import Prometheus
from tests.e2e_alerts.alert_recorder import AlertRecord
from tests.e2e_alerts.exporter_process import ExporterProcess
from tests.e2e_alerts.scaled import seconds
from tests.e2e_alerts.scenario import Action, alert_names
from tests.e2e_alerts.scenario_cloud import ScenarioCloud, wait_patiently

OWN_PROMETHEUS = frozenset({"unseen", "apart", "remembering"})
"""Exporters with a Prometheus of their own, because their lifecycle pauses or restarts it."""
MAX_ATTEMPTS = 10
"""Attempts at an action that has to be quick, on a machine that may be slow."""


@dataclass
class MonitoredExporter:
    """An exporter with its clouds, and the Prometheus that scrapes it."""

    process: ExporterProcess
    prometheus: Prometheus
    records: Collection[AlertRecord]
    failures: dict[str, str]
    permitted: set[str] = field(default_factory=set)

    def run_setup(self) -> None:
        """Run the setup of the scenario of each cloud."""
        self._run(lambda cloud: cloud.scenario.setup)

    def run_actions(self) -> None:
        """Run the action of the scenario of each cloud."""
        for cloud in self.process.clouds:
            cloud.note_change()
        self._run(lambda cloud: cloud.scenario.action)

    def is_reported(self) -> bool:
        """Return True if each ruler led to a notification about the exporter itself."""
        return all(record.notified(self.process.job) for record in self.records)

    def _run(self, action_of: Callable[[ScenarioCloud], Action]) -> None:
        """Run an action of every cloud at the same time."""
        clouds = self.process.clouds
        with ThreadPoolExecutor(max(1, len(clouds))) as pool:
            for cloud in clouds:
                pool.submit(self._run_action, action_of(cloud), cloud)

    def _run_action(self, action: Action, cloud: ScenarioCloud) -> None:
        try:
            action(cloud)
        except Exception as error:  # noqa: BLE001 - any failure is the result of that scenario
            self.failures[cloud.name] = f"{type(error).__name__}: {error}"


RunLifecycle: TypeAlias = "Callable[[MonitoredExporter], None]"


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Lifecycle of an exporter, and the alerts about the exporter itself."""

    description: str
    notified: frozenset[str]
    run: RunLifecycle


LIFECYCLES: dict[str, Lifecycle] = {}
"""Lifecycle of each exporter by the name of the exporter."""


def lifecycle(description: str, *, notified: str = "") -> Callable[[RunLifecycle], RunLifecycle]:
    """Register a lifecycle. The name of the function is the name of the exporter."""

    def register(run: RunLifecycle) -> RunLifecycle:
        LIFECYCLES[run.__name__] = Lifecycle(description, alert_names(notified), run)
        return run

    return register


@lifecycle("exporter runs continuously")
def steady(exporter: MonitoredExporter) -> None:
    """Run the actions only."""
    exporter.run_setup()
    exporter.run_actions()


@lifecycle("exporter is restarted immediately")
def restarted(exporter: MonitoredExporter) -> None:
    """Restart within the ``for`` of the alert, unless the machine is slow."""
    exporter.run_setup()
    started = time.monotonic()
    exporter.process.stop()
    exporter.run_actions()
    exporter.process.start()
    if time.monotonic() - started > seconds("4m"):
        exporter.permitted.add("ExporterDown")


@lifecycle("exporter is killed and started again later", notified="ExporterDown")
def killed(exporter: MonitoredExporter) -> None:
    """Start again after people were notified."""
    exporter.run_setup()
    exporter.process.kill()
    exporter.run_actions()
    wait_patiently(exporter.is_reported)
    exporter.process.start()


@lifecycle("exporter is away for over an hour and moves", notified="ExporterDown")
def moved(exporter: MonitoredExporter) -> None:
    """Start again when no series has the state before the stop any more."""
    exporter.run_setup()
    start_at = time.time() + seconds("1h") + seconds("2m")
    exporter.process.stop()
    exporter.run_actions()
    wait_patiently(lambda: time.time() > start_at)
    exporter.process.move()
    exporter.process.start()


@lifecycle("Prometheus of the exporter is paused for a moment")
def unseen(exporter: MonitoredExporter) -> None:
    """Pause for less than twice the longest scrape interval for which the rules are made."""
    exporter.run_setup()
    for _ in range(MAX_ATTEMPTS):
        started = time.monotonic()
        exporter.prometheus.pause()
        exporter.run_actions()
        exporter.prometheus.resume()
        if time.monotonic() - started < seconds("4m"):
            return


@lifecycle("Prometheus of the exporter is restarted")
def apart(exporter: MonitoredExporter) -> None:
    """Run the actions while nothing is scraped."""
    exporter.run_setup()
    exporter.prometheus.stop()
    exporter.run_actions()
    exporter.prometheus.start()


@lifecycle("exporter with a state file is restarted while Prometheus loses its data")
def remembering(exporter: MonitoredExporter) -> None:
    """Run the actions while neither runs, so that only the state file knows what was before."""
    exporter.run_setup()
    exporter.process.stop()
    exporter.prometheus.stop()
    exporter.run_actions()
    exporter.prometheus.lose_data()
    exporter.prometheus.start()
    exporter.process.start()


@lifecycle("exporter reloads valid, then invalid settings", notified="ReloadFailed")
def reloaded(exporter: MonitoredExporter) -> None:
    """Remove an image from the settings, then make them invalid."""
    exporter.run_setup()
    cloud = exporter.process.clouds[0]
    images = [image for image in cloud.settings()["images"] if image["alias"] == "golden"]
    exporter.process.reload({"clouds": [{**cloud.settings(), "images": images}]})
    exporter.run_actions()
    exporter.process.reload({"clouds": "none"})
    wait_patiently(exporter.is_reported)


@lifecycle("target of the exporter has a label cloud", notified="ScrapeMisconfigured")
def renamed(exporter: MonitoredExporter) -> None:
    """Wait until people were notified."""
    exporter.run_setup()
    exporter.run_actions()
    wait_patiently(exporter.is_reported)


@lifecycle("target of the exporter has a label image", notified="ScrapeMisconfigured")
def masked(exporter: MonitoredExporter) -> None:
    """Wait until people were notified."""
    renamed(exporter)


@lifecycle("target has labels of the exporter, which are honored")
def honored(exporter: MonitoredExporter) -> None:
    """Run the actions only."""
    steady(exporter)


def run_all(exporters: Sequence[MonitoredExporter]) -> None:
    """Run the lifecycles of all exporters at the same time."""
    with ThreadPoolExecutor(len(exporters)) as pool:
        for exporter in exporters:
            pool.submit(_run_lifecycle, exporter)


def _run_lifecycle(exporter: MonitoredExporter) -> None:
    try:
        LIFECYCLES[exporter.process.name].run(exporter)
    except Exception as error:  # noqa: BLE001 - any failure is the result of that exporter
        exporter.failures[exporter.process.job] = f"{type(error).__name__}: {error}"
