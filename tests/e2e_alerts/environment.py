"""The environment of the end-to-end test: clouds, exporters, and the servers that monitor them."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

import tests.support.fakes.faults  # noqa: F401 - registers the faults of the tests
from tests.dashboards.alert_table import RULES, alerts
from tests.dashboards.servers import Prometheus, alertmanager
from tests.e2e_alerts import scaled
from tests.e2e_alerts.alert_recorder import PREFIX, AlertRecord, record_alerts
from tests.e2e_alerts.exporter_process import JOB, ExporterProcess
from tests.e2e_alerts.lifecycles import (
    LIFECYCLES,
    OWN_PROMETHEUS,
    MonitoredExporter,
    run_all,
)
from tests.e2e_alerts.monitoring import Monitoring
from tests.e2e_alerts.results import AlertDelay, E2EResults, ScenarioResult
from tests.e2e_alerts.scaled import seconds
from tests.e2e_alerts.scenario import INTERVAL, SCENARIOS, SCRAPE, TIMEOUT
from tests.e2e_alerts.scenario_cloud import PATIENT_TIMEOUT, ScenarioCloud, wait_patiently

ALERTMANAGER = RULES.parent / "alertmanager.yml"
CYCLES_FOR_EVIDENCE = Counter(Gone=1)
"""Further cycles before an alert. The intervals are so short here that the evidence for a gone
image, which takes milliseconds on a quiet machine, may be completed in the next one."""
MIN_SAMPLES = round(seconds("5m") / SCRAPE)
"""Samples of each series in Prometheus before anything happens."""
QUIET_PERIOD = seconds("16m")
"""Seconds at the end in which no other alert may fire.

It is longer than the ``for`` of all alerts but one, for which the whole run is long enough.
"""


class E2EEnvironment:
    """All clouds with their exporters, and the servers that monitor them.

    Attributes:
        records: The alerts that each ruler sent, and of which its Alertmanager notified people.
        clouds: The cloud of each scenario.
        exporters: The exporters, each with its clouds and its Prometheus.
        server: The Prometheus of all exporters that do not have their own.
    """

    def __init__(self, folder: Path, monitoring: Monitoring, stack: ExitStack) -> None:
        self._folder = folder
        self._monitoring = monitoring
        self._stack = stack
        urls = dict.fromkeys(monitoring.max_delays, "")
        self.records, self._port = stack.enter_context(record_alerts(urls))
        for ruler in urls:
            routes = _routes(f"http://127.0.0.1:{self._port}/notifications/{ruler}")
            manager = alertmanager(folder / f"alertmanager-{ruler}", routes)
            urls[ruler] = stack.enter_context(manager).url
        self.clouds = [
            ScenarioCloud(SCENARIOS[name], self.records.values(), stack)
            for name in monitoring.scenarios
        ]
        used = {cloud.scenario.exporter for cloud in self.clouds}
        processes = [self._exporter_process(name) for name in LIFECYCLES if name in used]
        for cloud in self.clouds:
            cloud.scenario.prepare(cloud)
        for process in processes:
            process.start()
        # Start Prometheus after the exporters, so that none of them appears to be down at first.
        self.server = self._server(
            "prometheus", *(process for process in processes if process.name not in OWN_PROMETHEUS)
        )
        self.own_servers = {
            process.name: self._server(f"of-{process.name}", process)
            for process in processes
            if process.name in OWN_PROMETHEUS
        }
        self.failures: dict[str, str] = {}
        self.exporters = [
            MonitoredExporter(
                process,
                self.own_servers.get(process.name, self.server),
                self.records.values(),
                self.failures,
            )
            for process in processes
        ]
        for exporter in self.exporters:
            for cloud in exporter.process.clouds:
                cloud.metrics = exporter.process.metrics
                cloud.prometheus = exporter.prometheus

    def run(self) -> dict[str, E2EResults]:
        """Run all scenarios at the same time, and return the results by ruler."""
        for exporter in self.exporters:
            wait_patiently(partial(_has_samples, exporter))
        run_all(self.exporters)
        self._wait_for_alerts()
        _wait_for_quiet_period()
        late = _lateness(self.server, self._monitoring.evaluation)
        servers = (self.server, *self.own_servers.values())
        broken_rules = [line for server in servers for line in server.broken_rules()]
        return {ruler: self._results(ruler, broken_rules, late) for ruler in self.records}

    def _results(self, ruler: str, broken_rules: list[str], late: float) -> E2EResults:
        results = [
            *(self._cloud_result(cloud, ruler, late) for cloud in self.clouds),
            *(self._exporter_result(exporter, ruler, late) for exporter in self.exporters),
        ]
        return E2EResults(
            {result.name: result for result in results},
            self.records[ruler],
            broken_rules,
            late,
            scaled.FACTOR,
        )

    def _exporter_process(self, name: str) -> ExporterProcess:
        folder = self._folder / name
        folder.mkdir()
        clouds = [cloud for cloud in self.clouds if cloud.scenario.exporter == name]
        return ExporterProcess(name, folder, clouds, self._stack)

    def _server(self, name: str, *processes: ExporterProcess) -> Prometheus:
        server = self._monitoring.server(self._folder / name, processes, f"127.0.0.1:{self._port}")
        return self._stack.enter_context(server)

    def _wait_for_alerts(self) -> None:
        """Wait until all expected alerts have reached Alertmanager, or for the timeout."""
        expected = {
            cloud.name: cloud.scenario.notified | cloud.scenario.inhibited for cloud in self.clouds
        }
        for exporter in self.exporters:
            expected[exporter.process.job] = LIFECYCLES[exporter.process.name].notified
        deadline = time.monotonic() + PATIENT_TIMEOUT

        def all_reached() -> bool:
            return time.monotonic() > deadline or all(
                names <= {alert.name for alert in record.reached(subject)}
                for subject, names in expected.items()
                for record in self.records.values()
            )

        wait_patiently(all_reached, timeout=2 * PATIENT_TIMEOUT)

    def _cloud_result(self, cloud: ScenarioCloud, ruler: str, late: float) -> ScenarioResult:
        scenario = cloud.scenario
        return ScenarioResult(
            name=cloud.name,
            description=scenario.description,
            notified=scenario.notified,
            inhibited=scenario.inhibited,
            permitted=frozenset(cloud.permitted),
            delays=(
                tuple(_delays(cloud, self.records[ruler], self._monitoring.max_delays[ruler]))
                if scenario.exporter == "steady"
                else ()
            ),
            late=late * scaled.FACTOR,
            failure=self.failures.get(cloud.name, ""),
            **_alerts(self.records[ruler], cloud.name),
        )

    def _exporter_result(
        self, exporter: MonitoredExporter, ruler: str, late: float
    ) -> ScenarioResult:
        lifecycle, job = LIFECYCLES[exporter.process.name], exporter.process.job
        return ScenarioResult(
            name=job,
            description=lifecycle.description,
            notified=lifecycle.notified,
            inhibited=frozenset(),
            permitted=frozenset(exporter.permitted),
            late=late * scaled.FACTOR,
            failure=self.failures.get(job, ""),
            **_alerts(self.records[ruler], job),
        )


def _alerts(record: AlertRecord, subject: str) -> dict[str, Any]:
    reached = frozenset(alert.name for alert in record.reached(subject))
    return {
        "reached": reached,
        "notifications": frozenset(alert.name for alert in record.notified(subject)),
        "repeated": frozenset(name for name in reached if len(record.starts(subject, name)) > 1),
    }


def run_scenarios(folder: Path, monitoring: Monitoring) -> dict[str, E2EResults]:
    """Run scenarios with their files in this folder, and return the results by ruler."""
    with ExitStack() as stack:
        return E2EEnvironment(folder, monitoring, stack).run()


def _routes(url: str) -> Any:
    """Return the example configuration of Alertmanager with receivers at this URL."""
    settings = scaled.routes(yaml.safe_load(ALERTMANAGER.read_text("utf-8")))
    for receiver in settings["receivers"]:
        for webhook in receiver["webhook_configs"]:
            webhook["url"] = f"{url}/{receiver['name']}"
    return settings


def _has_samples(exporter: MonitoredExporter) -> bool:
    """Return True if Prometheus has enough samples of every image and cloud to detect a change.

    They span more than twice the 2m after which it records the previous state.
    """
    job = f'job="{exporter.process.job}"'
    images = sum(len(cloud.settings()["images"]) for cloud in exporter.process.clouds)
    status = f"count_over_time(openstack_image_status_changes_total{{{job}}}[1h]) > {MIN_SAMPLES}"
    cycle = "openstack_image_exporter_last_cycle_timestamp_seconds"
    cycles = f"count_over_time({cycle}{{{job}}}[1h]) > {MIN_SAMPLES}"
    query = exporter.prometheus.query
    return len(query(status)) == images and len(query(cycles)) == len(exporter.process.clouds)


def _wait_for_quiet_period() -> None:
    end = time.monotonic() + QUIET_PERIOD
    wait_patiently(lambda: time.monotonic() > end, timeout=2 * QUIET_PERIOD)


def _lateness(server: Prometheus, evaluation: float) -> float:
    job = f'job="{JOB}-steady"'
    lag = f"max(max_over_time(openstack_image_exporter_cycle_lag_seconds{{{job}}}[1h]))"
    scrape_gap = _longest_gap(server, f"up{{{job}}}[1h]")
    evaluation_gap = _longest_gap(
        server, 'cloud:openstack_image_exporter_targets:sum{cloud="quiet"}[1h]'
    )
    cycle_lag = float(server.query(lag)[0]["value"][1])
    return cycle_lag + max(0.0, scrape_gap - SCRAPE) + max(0.0, evaluation_gap - evaluation)


def _longest_gap(server: Prometheus, query: str) -> float:
    """Return the most seconds between two samples of any series of a range."""
    series_times = [
        [float(timestamp) for timestamp, _ in series["values"]] for series in server.query(query)
    ]
    return max(later - earlier for times in series_times for earlier, later in pairwise(times))


def _delays(cloud: ScenarioCloud, record: AlertRecord, max_delay: float) -> Iterator[AlertDelay]:
    """Yield the delays of alerts about images, from the last change before each."""
    scenario = cloud.scenario
    for alert in sorted(scenario.notified | scenario.inhibited):
        name, _, image = alert.partition(" ")
        starts = record.starts(cloud.name, alert)
        changes = [change for change in cloud.changes if starts and change <= starts[0]]
        if image and name != "PollFailures" and changes:
            pending = seconds(alerts()[f"{PREFIX}{name}"].get("for", "0s"))
            polling = (scenario.cycles + CYCLES_FOR_EVIDENCE[name]) * INTERVAL + 2 * TIMEOUT
            limit = polling + SCRAPE + max_delay + pending
            yield AlertDelay(alert, starts[0] - changes[-1], limit)
