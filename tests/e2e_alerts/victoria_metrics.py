"""The monitoring of the exporters by vmagent, VictoriaMetrics and vmalert, with default settings.

Their defaults are durations, which are shortened like those of the rules.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.dashboards.servers import Prometheus, Server, installed, running
from tests.e2e_alerts import scaled
from tests.e2e_alerts.exporter_process import ExporterProcess
from tests.e2e_alerts.lifecycles import OWN_PROMETHEUS
from tests.e2e_alerts.monitoring import Monitoring, rules, scrape_configs
from tests.e2e_alerts.scaled import seconds
from tests.e2e_alerts.scenario import SCENARIOS, SCRAPE

PACKAGE = "victoria-metrics"
DEFAULTS = {
    "victoria-metrics": {"search.latencyOffset": "30s"},
    "vmagent": {"remoteWrite.flushInterval": "1s", "promscrape.fileSDCheckInterval": "5m"},
    "vmalert": {
        "datasource.queryStep": "5m",
        "evaluationInterval": "1m",
        "remoteRead.lookback": "1h",
        "remoteWrite.flushInterval": "5s",
    },
}
"""Default durations of each program that matter here."""
PROGRAMS = DEFAULTS.keys()
UNKNOWN = frozenset({"keep_firing_for"})
"""Keys of a rule that vmalert 1.79 does not know."""
MAX_EVALUATIONS = 6
"""Evaluations from a scrape to an alert: each record sees others as of the evaluation before.

A status that changed while the exporter was down takes five records.
"""


class VictoriaMetrics(Prometheus):
    """VictoriaMetrics, whose API is that of Prometheus except for the rules, which vmalert has."""

    vmalert: Server

    def broken_rules(self) -> list[str]:
        """Return the errors of all evaluations of rules."""
        return [line for line in self.vmalert.log.splitlines() if "\terror\t" in line]


SELECTION = (
    "quiet",
    "harmless-changes",
    "deletion-v1",
    "deletion-v2",
    "never-there",
    "gone-as-expected",
    "deactivation",
    "deactivation-of-a-team",
    "deactivated-as-expected",
    "publish",
    "unprotect",
    "content-swap-v1",
    "content-swap-v2",
    "killed",
    "back-to-queued",
    "expectation",
    "mass-deletion",
    "mass-return",
    "lost-role",
    "api-down",
    "api-blip",
    "deletion-in-an-outage",
    "error-500",
    "wrong-endpoint",
    "restart",
    "restart-in-an-outage",
    "honored-labels",
    "masked-images",
)
"""Names of the scenarios that run unless VMALERT_SCENARIOS is ``all``."""


@contextmanager
def victoria_metrics(
    folder: Path, processes: Sequence[ExporterProcess], alertmanager: str
) -> Iterator[VictoriaMetrics]:
    """Run the three servers; alerts are sent to this address."""
    folder.mkdir()
    scrapes = {
        "global": {"scrape_interval": f"{SCRAPE:g}s", "scrape_timeout": f"{SCRAPE:g}s"},
        "scrape_configs": [
            {**config, "file_sd_configs": [{"files": config["file_sd_configs"][0]["files"]}]}
            for config in scrape_configs(processes)
        ],
    }
    (folder / "scrapes.yml").write_text(yaml.safe_dump(scrapes), "utf-8")
    (folder / "rules.yml").write_text(yaml.safe_dump(scaled.rules(known_rules())), "utf-8")
    with ExitStack() as stack:
        database = VictoriaMetrics(
            lambda port: _command("victoria-metrics", port, f"-storageDataPath={folder}/data"),
            folder,
        )
        stack.enter_context(running(database))
        vmagent = _server(
            folder,
            "vmagent",
            f"-promscrape.config={folder}/scrapes.yml",
            f"-remoteWrite.url={database.url}/api/v1/write",
            f"-remoteWrite.tmpDataPath={folder}/vmagent",
        )
        stack.enter_context(running(vmagent))
        database.vmalert = _server(
            folder,
            "vmalert",
            f"-rule={folder}/rules.yml",
            f"-datasource.url={database.url}",
            f"-remoteRead.url={database.url}",
            f"-remoteWrite.url={database.url}",
            f"-notifier.url=http://{alertmanager}",
        )
        stack.enter_context(running(database.vmalert))
        yield database


def known_rules() -> Any:
    """Return the rules without the keys that vmalert does not know."""
    loaded = rules()
    for group in loaded["groups"]:
        group["rules"] = [
            {key: value for key, value in rule.items() if key not in UNKNOWN}
            for rule in group["rules"]
        ]
    return loaded


def _server(folder: Path, program: str, *flags: str) -> Server:
    return Server(lambda port: _command(program, port, *flags), folder / f"{program}.log")


def _command(program: str, port: int, *flags: str) -> Sequence[str]:
    """Return a command line, without the defaults if no duration is shortened."""
    shortened = {
        f"-{name}={scaled.shortened(duration)}" for name, duration in DEFAULTS[program].items()
    }
    return (
        installed(program, package=PACKAGE),
        f"-httpListenAddr=127.0.0.1:{port}",
        *flags,
        *(shortened if scaled.FACTOR != 1 else ()),
    )


EVALUATION = seconds(DEFAULTS["vmalert"]["evaluationInterval"])
LATENCY = seconds(DEFAULTS["victoria-metrics"]["search.latencyOffset"])
NEW_SERIES = 10.0
"""Seconds until a query finds a new series, which are not shortened."""
ALL = tuple(name for name, each in SCENARIOS.items() if each.exporter not in OWN_PROMETHEUS)
"""Names of all scenarios that do not pause or restart the database."""
VICTORIA_METRICS = Monitoring(
    ALL if os.environ.get("VMALERT_SCENARIOS") == "all" else SELECTION,
    EVALUATION,
    {"vmalert": MAX_EVALUATIONS * (EVALUATION + NEW_SERIES) + LATENCY},
    victoria_metrics,
)
