"""The monitoring of the exporters by Prometheus: its settings, its rules, and its rulers."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.dashboards.alert_table import RULES
from tests.dashboards.servers import Prometheus, prometheus
from tests.e2e_alerts import (
    scaled,
    scenarios,  # noqa: F401 - registers all scenarios
)
from tests.e2e_alerts.exporter_process import HONORED, JOB, ExporterProcess
from tests.e2e_alerts.late_rules import LATE, late_groups
from tests.e2e_alerts.scenario import EVALUATION, EVALUATION_INTERVAL, SCENARIOS, SCRAPE

PROMPT = "prompt"
"""The ruler whose alerts see the records of the same evaluation."""

FLAGS = (
    f"--query.lookback-delta={scaled.shortened('5m')}",
    f"--rules.alert.for-grace-period={scaled.shortened('10m')}",
    f"--rules.alert.for-outage-tolerance={scaled.shortened('1h')}",
    f"--rules.alert.resend-delay={scaled.shortened('1m')}",
)
"""Durations that Prometheus has as flags, shortened like those of the rules."""


@dataclass(frozen=True, slots=True)
class Monitoring:
    """The servers that scrape the exporters and evaluate the rules.

    Attributes:
        scenarios: Names of the scenarios that they run.
        evaluation: Seconds between two evaluations.
        max_delays: Seconds from a scrape to an alert without ``for``, at most, by ruler.
        server: Runs a server with its files in a folder, which scrapes these exporters and sends
            alerts to an address.
    """

    scenarios: Collection[str]
    evaluation: float
    max_delays: Mapping[str, float]
    server: Callable[[Path, Sequence[ExporterProcess], str], AbstractContextManager[Prometheus]]


def prometheus_server(
    folder: Path, processes: Sequence[ExporterProcess], alertmanager: str
) -> AbstractContextManager[Prometheus]:
    """Run Prometheus with the rules, and once more with late records."""
    settings = {
        "global": {
            "scrape_interval": f"{SCRAPE:g}s",
            "scrape_timeout": f"{SCRAPE:g}s",
            "evaluation_interval": f"{EVALUATION:g}s",
        },
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": scrape_configs(processes),
    }
    loaded = rules()
    groups = [*loaded["groups"], *late_groups(loaded, EVALUATION_INTERVAL)]
    return prometheus(folder, settings, scaled.rules({"groups": groups}), FLAGS)


PROMETHEUS = Monitoring(
    SCENARIOS.keys(),
    EVALUATION,
    # Evaluations of the records and of the alert in another group, and the lag.
    {PROMPT: 2 * EVALUATION, LATE: 3 * EVALUATION},
    prometheus_server,
)


def scrape_configs(processes: Sequence[ExporterProcess]) -> list[dict[str, Any]]:
    """Return a scrape configuration for each exporter, which finds its target in a file."""
    return [
        {
            "job_name": process.job,
            "honor_labels": process.name in HONORED,
            "file_sd_configs": [{"files": [str(process.targets)], "refresh_interval": "1s"}],
        }
        for process in processes
    ]


def rules() -> Any:
    """Return the rules with a selector for all jobs of the test."""
    text = RULES.read_text("utf-8")
    assert text.count(f'(up{{job="{JOB}"}})') == 2
    return yaml.safe_load(text.replace(f'job="{JOB}"', f'job=~"{JOB}-.+"'))
