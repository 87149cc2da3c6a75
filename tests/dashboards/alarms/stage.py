"""The whole of it: clouds, exporters, Prometheus and Alertmanager, and what came of it."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from tests.dashboards.alarms import interrupted, scaled, scenarios  # noqa: F401 - they are rows
from tests.dashboards.alarms.cloud import PATIENCE, Cloud, wait_long
from tests.dashboards.alarms.plays import PARTS, Scene, play_all
from tests.dashboards.alarms.recorder import PREFIX, Record, recorder
from tests.dashboards.alarms.scaled import seconds
from tests.dashboards.alarms.scenario import EVALUATION, INTERVAL, SCENARIOS, SCRAPE, TIMEOUT
from tests.dashboards.alarms.watcher import JOB, Watcher
from tests.dashboards.alert_table import RULES, alerts
from tests.dashboards.servers import Prometheus, alertmanager, prometheus

ALERTMANAGER = RULES.parent / "alertmanager.yml"
OF_ITS_OWN = frozenset({"unseen", "apart"})
"""The exporters with a Prometheus of their own, for something happens to it."""
ENOUGH = round(seconds("5m") / SCRAPE)
"""Samples that Prometheus has of everything before anything happens."""
WATCHED = seconds("16m")
"""How long it is watched at the end that nothing else comes: longer than any alert but one waits,
and that one waits for less than the whole run."""

FLAGS = (
    f"--query.lookback-delta={scaled.shortened('5m')}",
    f"--rules.alert.for-grace-period={scaled.shortened('10m')}",
    f"--rules.alert.for-outage-tolerance={scaled.shortened('1h')}",
    f"--rules.alert.resend-delay={scaled.shortened('1m')}",
)
"""Prometheus' own durations, which are settings too, shortened with the rules."""


OF_LATENESS = frozenset({"CyclesLate", "PollingStopped"})
"""Alerts that say that the exporter is late: right where the machine is too busy for it."""
BRIDGED = seconds("2m")
"""How late the exporter and Prometheus may be without an alert that ends and begins again."""


@dataclass(frozen=True, slots=True)
class Timed:
    """How long an alert took from a change to Alertmanager, and may have taken; seconds."""

    alert: str
    took: float
    bound: float


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a scenario, or of an exporter's part.

    ``reached`` are the alerts that Alertmanager was sent, ``told`` those that it told people of,
    ``again`` those that began more than once, all by their short names. ``late`` is the outcome's.
    """

    name: str
    says: str
    tells: frozenset[str]
    held: frozenset[str]
    permitted: frozenset[str]
    reached: frozenset[str]
    told: frozenset[str]
    again: frozenset[str]
    late: float
    timed: tuple[Timed, ...] = ()
    failure: str = ""

    @property
    def wrong(self) -> list[str]:
        """What is not as the scenario says, in words."""
        expected = self.tells | self.held
        permitted = self.permitted | (OF_LATENESS if self.late > INTERVAL / 2 else frozenset())
        again = self.again if self.late <= BRIDGED else frozenset()
        sets = {
            "did not reach Alertmanager": expected - self.reached,
            "people were not told of": self.tells - self.told,
            "false alarm": self.reached - expected - permitted,
            "was not held back": self.told - self.tells - permitted,
            "began more than once": again - permitted,
        }
        said = [f"{what}: {', '.join(sorted(which))}" for what, which in sets.items() if which]
        return [*said, self.failure] if self.failure else said


@dataclass(frozen=True, slots=True)
class Outcome:
    """All results, the whole record, and the rules that could not be evaluated.

    ``late`` is how many seconds later than its settings say the steady exporter polled, and
    Prometheus scraped and evaluated, at worst: what a busy machine adds to the time of an alert.
    """

    results: Mapping[str, Result]
    record: Record
    broken_rules: list[str]
    late: float


def perform(folder: Path) -> Outcome:
    """Have all scenarios happen, with all files in this folder."""
    with ExitStack() as stack:
        urls: list[str] = []
        record, port = stack.enter_context(recorder(lambda: urls[0]))
        manager = stack.enter_context(alertmanager(folder / "alertmanager", _routes(port)))
        urls.append(manager.url)
        clouds = [Cloud(each, record, stack) for each in SCENARIOS.values()]
        watchers = [
            _watcher(name, folder, [c for c in clouds if c.scenario.exporter == name], stack)
            for name in PARTS
        ]
        for cloud in clouds:
            cloud.scenario.prepared(cloud)
        for watcher in watchers:
            watcher.start()
        # After the exporters, so that none of them seems to be down at first.
        common = [each for each in watchers if each.name not in OF_ITS_OWN]
        server = stack.enter_context(_prometheus(folder / "prometheus", port, *common))
        servers = {
            each.name: stack.enter_context(_prometheus(folder / f"of-{each.name}", port, each))
            for each in watchers
            if each.name in OF_ITS_OWN
        }
        failures: dict[str, str] = {}
        scenes = [
            Scene(each, servers.get(each.name, server), record, failures) for each in watchers
        ]
        for scene in scenes:
            for cloud in scene.watcher.clouds:
                cloud.metrics = scene.watcher.metrics
                cloud.prometheus = scene.prometheus
        for scene in scenes:
            wait_long(partial(_seen, scene))
        play_all(scenes)
        expected = {c.name: c.scenario.tells | c.scenario.held for c in clouds}
        expected |= {each.job: PARTS[each.name].tells for each in watchers}
        _wait_for(record, expected)
        _watch()
        late = _late(server)
        results = {
            **{cloud.name: _of_cloud(cloud, failures, late) for cloud in clouds},
            **{scene.watcher.job: _of_exporter(scene, failures, late) for scene in scenes},
        }
        broken = [line for each in (server, *servers.values()) for line in each.broken_rules()]
        return Outcome(results, record, broken, late)


def _routes(port: int) -> Any:
    """The project's example for Alertmanager, with receivers of the test's own."""
    settings = scaled.routes(yaml.safe_load(ALERTMANAGER.read_text("utf-8")))
    for receiver in settings["receivers"]:
        for webhook in receiver["webhook_configs"]:
            webhook["url"] = f"http://127.0.0.1:{port}/told/{receiver['name']}"
    return settings


def _rules() -> Any:
    """The project's rules, with a selector for all jobs of the test."""
    text = RULES.read_text("utf-8")
    assert text.count(f'(up{{job="{JOB}"}})') == 2
    return scaled.rules(yaml.safe_load(text.replace(f'job="{JOB}"', f'job=~"{JOB}-.+"')))


def _prometheus(folder: Path, port: int, *watchers: Watcher) -> Any:
    jobs = [
        {
            "job_name": each.job,
            "file_sd_configs": [{"files": [str(each.targets)], "refresh_interval": "1s"}],
        }
        for each in watchers
    ]
    settings = {
        "global": {
            "scrape_interval": f"{SCRAPE:g}s",
            "scrape_timeout": f"{SCRAPE:g}s",
            "evaluation_interval": f"{EVALUATION:g}s",
        },
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
        },
        "scrape_configs": jobs,
    }
    return prometheus(folder, settings, _rules(), FLAGS)


def _watcher(name: str, folder: Path, clouds: list[Cloud], stack: ExitStack) -> Watcher:
    own = folder / name
    own.mkdir()
    return Watcher(name, own, clouds, stack)


def _seen(scene: Scene) -> bool:
    """Whether Prometheus has samples of every image and cloud, so that it can see a change.

    There are some of more than twice the 2m after which it records the state before.
    """
    job = f'job="{scene.watcher.job}"'
    images = sum(len(cloud.settings()["images"]) for cloud in scene.watcher.clouds)
    counted = f"count_over_time(openstack_image_status_changes_total{{{job}}}[1h]) > {ENOUGH}"
    cycles = "openstack_image_exporter_last_cycle_timestamp_seconds"
    polled = f"count_over_time({cycles}{{{job}}}[1h]) > {ENOUGH}"
    ask = scene.prometheus.ask
    return len(ask(counted)) == images and len(ask(polled)) == len(scene.watcher.clouds)


def _wait_for(record: Record, expected: Mapping[str, frozenset[str]]) -> None:
    """Return once all has reached Alertmanager, or at last when it did not in time."""
    deadline = time.monotonic() + PATIENCE

    def all_there() -> bool:
        return time.monotonic() > deadline or all(
            alerts <= {seen.name for seen in record.reached(about)}
            for about, alerts in expected.items()
        )

    wait_long(all_there, timeout=2 * PATIENCE)


def _watch() -> None:
    """Look on for a while, in which more could come."""
    over = time.monotonic() + WATCHED
    wait_long(lambda: time.monotonic() > over, timeout=2 * WATCHED)


def _late(server: Prometheus) -> float:
    job = f'job="{JOB}-steady"'
    lag = f"max(max_over_time(openstack_image_exporter_cycle_lag_seconds{{{job}}}[1h]))"
    scraped = _longest_gap(server, f"up{{{job}}}[1h]")
    evaluated = _longest_gap(server, 'image:openstack_image_poll_success:max{cloud="quiet"}[1h]')
    worst = float(server.ask(lag)[0]["value"][1])
    return worst + max(0.0, scraped - SCRAPE) + max(0.0, evaluated - EVALUATION)


def _longest_gap(server: Prometheus, query: str) -> float:
    """The most seconds between two samples of any series of a range."""
    times = [[float(at) for at, _ in series["values"]] for series in server.ask(query)]
    return max(later - at for each in times for at, later in pairwise(each))


def _of_cloud(cloud: Cloud, failures: Mapping[str, str], late: float) -> Result:
    scenario, record = cloud.scenario, cloud.record
    return Result(
        name=cloud.name,
        says=scenario.says,
        tells=scenario.tells,
        held=scenario.held,
        permitted=frozenset(cloud.permitted),
        timed=tuple(_timed(cloud)) if scenario.exporter == "steady" else (),
        late=late,
        failure=failures.get(cloud.name, ""),
        **_alerts(record, cloud.name),
    )


def _of_exporter(scene: Scene, failures: Mapping[str, str], late: float) -> Result:
    part, job = PARTS[scene.watcher.name], scene.watcher.job
    return Result(
        name=job,
        says=part.says,
        tells=part.tells,
        held=frozenset(),
        permitted=frozenset(scene.permitted),
        late=late,
        failure=failures.get(job, ""),
        **_alerts(scene.record, job),
    )


def _alerts(record: Record, about: str) -> dict[str, Any]:
    reached = frozenset(seen.name for seen in record.reached(about))
    return {
        "reached": reached,
        "told": frozenset(seen.name for seen in record.notified(about)),
        "again": frozenset(name for name in reached if len(record.begun(about, name)) > 1),
    }


def _timed(cloud: Cloud) -> Iterator[Timed]:
    """How long the alerts about images took, from the last thing that happened before."""
    scenario = cloud.scenario
    for alert in sorted(scenario.tells | scenario.held):
        name, _, image = alert.partition(" ")
        begun = cloud.record.begun(cloud.name, alert)
        marks = [mark for mark in cloud.marks if begun and mark <= begun[0]]
        if image and name != "PollFailures" and marks:
            waits = seconds(alerts()[f"{PREFIX}{name}"].get("for", "0s"))
            asking = scenario.cycles * INTERVAL + 2 * TIMEOUT
            yield Timed(alert, begun[0] - marks[-1], asking + SCRAPE + EVALUATION + waits)
