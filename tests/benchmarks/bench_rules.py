"""The cost of the alerting and recording rules, in a real Prometheus with a day of history.

``RULES_IMAGES=50000`` selects other numbers of images than the default, separated by commas, and
``RULES_FILES`` other rule files, to compare them in the same run. 10,000 images take some minutes
and 3 GB of memory.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from operator import itemgetter
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import requests
import yaml

from exporter.clock import now
from exporter.metrics.cloud_collector import CloudCollector
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.exposition import Exposition
from exporter.model.cloud import CloudState
from exporter.model.outcome import Failed, Found, Gone, Outcome
from exporter.model.target import Target
from exporter.store import Store
from tests.benchmarks.images import image_ids, realistic
from tests.benchmarks.monitored import JOB, MetricsServer, monitoring, serving
from tests.benchmarks.report import print_table
from tests.benchmarks.rules_history import names_looked_back_at, write_history
from tests.dashboards.alert_table import RULES
from tests.dashboards.servers import DATA, Prometheus
from tests.e2e_alerts.scaled import seconds
from tests.support.wait import wait_until

COUNTS = [int(count) for count in os.environ.get("RULES_IMAGES", "1000,10000").split(",")]
FILES = [Path(file) for file in os.environ.get("RULES_FILES", str(RULES)).split(",")]
INTERVAL = 15
"""Seconds between scrapes and between evaluations of every group, to wait less than usual."""
USUAL_INTERVAL = 30
"""Seconds between evaluations of a group without an interval, for its share of a core."""
ROUNDS = 3
PATIENCE = 900.0
MIB = 2**20
SLOWEST = 10
HEADINGS = (
    "state",
    "evaluation",
    "of which each group",
    "of a core",
    "processor",
    "samples read",
    "recorded",
    "series",
    "live heap",
    "without rules",
    "resident",
    "without rules",
)
SLOWEST_HEADINGS = ("state", "rule", "seconds", "samples read")
OUTCOMES: Mapping[str, Callable[[Found], tuple[Outcome, ...]]] = {
    "fine": lambda found: (found,),
    "API down": lambda found: (found, Failed("timeout")),
    "API down, values dropped": lambda _: (Failed("timeout"),),
    "all gone": lambda found: (found, Gone()),
}
"""The states, with the outcomes of each image's polls."""
STATES = tuple(OUTCOMES)
SEQUENCES = (STATES[:3], STATES[3:])
"""States that are measured one after another. Each sequence starts with the history."""
MAX_STALE = 900.0


class Memory(NamedTuple):
    """Bytes of Prometheus: what it uses after a garbage collection, and what it occupies."""

    live: float
    resident: float


class Cost(NamedTuple):
    """The cost of a state.

    Attributes:
        groups: Median seconds of an evaluation of each group.
        processor: Processor seconds of an evaluation of all groups, which other programs on the
            machine do not affect.
        read: Samples that an evaluation of each rule reads, the same in every run.
        rules: Seconds of the last evaluation of each rule.
        memory: The memory of Prometheus.
        series: Number of series that Prometheus holds.
        recorded: Number of series that the rules record.
    """

    groups: dict[str, float]
    processor: float
    read: dict[str, int]
    rules: dict[str, float]
    memory: Memory
    series: float
    recorded: int


class Baseline(NamedTuple):
    """The cost of a Prometheus that only scrapes: its memory, and processor seconds a scrape."""

    memory: Memory
    processor: float


class Exporter(MetricsServer):
    """Serves the metrics of a state that can be changed, and what was scraped before at first."""

    def __init__(self, bodies: Mapping[str, bytes]) -> None:
        super().__init__()
        self.bodies = bodies
        self.state = STATES[0]
        self.past: Iterator[bytes] = iter(())

    def body(self) -> bytes:
        """Return the next metrics of the past, or those of the present state."""
        return next(self.past, self.bodies[self.state])


def test_cost_of_the_rules(tmp_path: Path) -> None:
    """Print the seconds of an evaluation in each state, the slowest rules, and the memory."""
    for count in COUNTS:
        bodies = {state: _exposition(count, state) for state in STATES}
        with serving(Exporter(bodies)) as exporter:
            for number, file in enumerate(FILES):
                folder = tmp_path / f"{count}-{number}"
                _print(file, count, *_measure(folder, exporter, file))
                shutil.rmtree(folder)


def _measure(folder: Path, exporter: Exporter, file: Path) -> tuple[Baseline, dict[str, Cost]]:
    """Return the cost without rules, and that of the rules in each state."""
    loaded = yaml.safe_load(file.read_text("utf-8"))
    rules = {"groups": [{**group, "interval": f"{INTERVAL}s"} for group in loaded["groups"]]}
    with _prometheus(folder / "records", exporter, rules) as server:
        _durations(server, rules, 2)
        recorded = _recorded(server)
    names = names_looked_back_at(rules)
    samples = (*exporter.bodies[STATES[0]].decode().splitlines(), *recorded)
    past = "\n".join(sample for sample in samples if sample.partition("{")[0] in names)
    baseline = _baseline(folder / "without", exporter, past)
    costs = {}
    for states in SEQUENCES:
        with _with_past(folder / states[0], exporter, rules, past) as server:
            for state in states:
                exporter.state = state
                costs[state] = _cost(server, rules, exporter, baseline.processor)
        exporter.state = STATES[0]
    return baseline, costs


def _cost(
    server: Prometheus, rules: Mapping[str, Any], exporter: Exporter, processor_of_scrape: float
) -> Cost:
    """Measure the rules once the state has been scraped."""
    _durations(server, rules, 1)
    before, scrapes = _own_metrics(server), exporter.scrapes
    groups = _durations(server, rules, ROUNDS)
    metrics = _own_metrics(server)
    used = metrics["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]
    used -= processor_of_scrape * (exporter.scrapes - scrapes)
    loaded = [
        (f"{group['name']} {number}: {rule['name']}", rule)
        for group in server.get("rules")["groups"]
        for number, rule in enumerate(group["rules"])
    ]
    (recorded,) = server.query('count({__name__=~".+:.+"})')
    return Cost(
        {name: median(durations) for name, durations in groups.items()},
        used / mean(_evaluations(metrics, name) - _evaluations(before, name) for name in groups),
        {name: _samples_read(server, rule["query"]) for name, rule in loaded},
        {name: rule["evaluationTime"] for name, rule in loaded},
        _memory(server, metrics),
        metrics["prometheus_tsdb_head_series"],
        int(recorded["value"][1]),
    )


def _evaluations(metrics: Mapping[str, float], group: str) -> float:
    """Return the number of evaluations of a group."""
    prefix = "prometheus_rule_group_iterations"
    return metrics[f"{prefix}_total {group}"] - metrics[f"{prefix}_missed_total {group}"]


def _samples_read(server: Prometheus, expression: str) -> int:
    """Return the number of samples that an expression reads."""
    statistics = server.get("query", query=f"count({expression})", stats="all")["stats"]
    read: int = statistics["samples"]["totalQueryableSamples"]
    return read


def _durations(server: Prometheus, rules: Mapping[str, Any], rounds: int) -> dict[str, list[float]]:
    """Return the durations of the next evaluations of each group, after a scrape."""
    names = [group["name"] for group in rules["groups"]]
    durations: dict[str, dict[float, float]] = {name: {} for name in names}
    start = time.time() + INTERVAL

    def are_complete() -> bool:
        metrics = _own_metrics(server)
        for name, seen in durations.items():
            ended = metrics[f"prometheus_rule_group_last_evaluation_timestamp_seconds {name}"]
            if ended > start:
                seen[ended] = metrics[f"prometheus_rule_group_last_duration_seconds {name}"]
        return min(map(len, durations.values())) >= rounds

    wait_until(are_complete, PATIENCE, pause=1)
    return {name: list(seen.values()) for name, seen in durations.items()}


def _own_metrics(server: Prometheus) -> dict[str, float]:
    """Return Prometheus' own metrics, those of a group by name and group."""
    text = requests.get(f"{server.url}/metrics", timeout=PATIENCE).text
    samples = re.findall(r'^(\w+)(?:\{rule_group="[^"]*;([^"]+)"\})? (\S+)$', text, re.MULTILINE)
    return {f"{name} {group}".strip(): float(value) for name, group, value in samples}


def _memory(server: Prometheus, metrics: Mapping[str, float]) -> Memory:
    """Return the memory as of Prometheus' own metrics, and the heap after a collection now."""
    requests.get(f"{server.url}/debug/pprof/heap", {"gc": "1"}, timeout=PATIENCE)
    live = _own_metrics(server)["go_memstats_heap_alloc_bytes"]
    return Memory(live, metrics["process_resident_memory_bytes"])


def _recorded(server: Prometheus) -> list[str]:
    """Return all recorded series with their values."""
    series = []
    for result in server.query('{__name__=~".+:.+"}'):
        labels = dict(result["metric"])
        name = labels.pop("__name__")
        text = ",".join(f'{label}="{value}"' for label, value in labels.items())
        series.append(f"{name}{{{text}}} {result['value'][1]}")
    return series


def _baseline(folder: Path, exporter: Exporter, past: str) -> Baseline:
    """Measure a Prometheus without rules that has scraped as often as another before ``_cost``."""
    with _with_past(folder, exporter, {"groups": []}, past) as server:
        scrapes = exporter.scrapes + 4
        wait_until(lambda: exporter.scrapes >= scrapes, PATIENCE, pause=1)
        before = _own_metrics(server)["process_cpu_seconds_total"]
        wait_until(lambda: exporter.scrapes >= scrapes + ROUNDS, PATIENCE, pause=1)
        metrics = _own_metrics(server)
        used = metrics["process_cpu_seconds_total"] - before
        return Baseline(_memory(server, metrics), used / (exporter.scrapes - scrapes))


@contextmanager
def _with_past(
    folder: Path, exporter: Exporter, rules: Mapping[str, Any], past: str
) -> Iterator[Prometheus]:
    """Run a Prometheus that has scraped and recorded these samples for a day."""
    target = {"instance": exporter.instance, "job": JOB}
    exporter.past = write_history(folder / DATA, past, target)
    with _prometheus(folder, exporter, rules) as server:
        lines = exporter.bodies[STATES[0]].splitlines()
        present = sum(not line.startswith(b"#") for line in lines)
        query = f"scrape_samples_scraped == {present}"
        wait_until(lambda: server.query(query), PATIENCE, pause=1)
        names = "|".join({line.partition("{")[0] for line in past.splitlines()})
        (scraped,) = server.query(f'count({{__name__=~"{names}"}} offset 55m)')
        assert int(scraped["value"][1]) == len(past.splitlines())
        yield server


def _prometheus(
    folder: Path, exporter: Exporter, rules: Mapping[str, Any]
) -> AbstractContextManager[Prometheus]:
    return monitoring(folder, exporter, rules, f"{INTERVAL}s", f"{INTERVAL}s")


def _exposition(count: int, state: str) -> bytes:
    """Return the metrics of so many images in this state, as the exporter renders them."""
    targets = [Target("bench", image_id, f"image {image_id}") for image_id in image_ids(count)]
    store = Store()
    store.add_cloud(
        CloudState(
            "bench",
            60.0,
            api_up=not state.startswith("API down"),
            mass_disappearance=state == "all gone",
        ),
        targets,
    )
    registry = ExporterMetrics("0").registry
    registry.register(CloudCollector(store))
    for number, target in enumerate(targets):
        observation = store.observation(target.key)
        found = Found(realistic(target.image_id, number))
        for outcome in OUTCOMES[state](found):
            observation = observation.with_outcome(outcome, now(), MAX_STALE)
        store.observe(target.key, observation)
    return b"".join(Exposition(store, registry, now).body(openmetrics=False, compressed=False))


def _print(file: Path, count: int, baseline: Baseline, costs: Mapping[str, Cost]) -> None:
    """Print the tables for a rule file and a number of images."""
    rows = [_row(file, count, state, cost, baseline) for state, cost in costs.items()]
    slowest = [row for state, cost in costs.items() for row in _slowest_rules(state, cost)]
    print_table(f"One evaluation of {file.name}, {count:,} images", HEADINGS, rows)
    print_table(f"The slowest rules of {file.name}, {count:,} images", SLOWEST_HEADINGS, slowest)


def _row(file: Path, count: int, state: str, cost: Cost, baseline: Baseline) -> tuple[str, ...]:
    """Return a row of the table of states."""
    intervals = {
        group["name"]: group.get("interval", f"{USUAL_INTERVAL}s")
        for group in yaml.safe_load(file.read_text("utf-8"))["groups"]
    }
    share = sum(duration / seconds(intervals[name], 1) for name, duration in cost.groups.items())
    return (
        state,
        f"{sum(cost.groups.values()):.2f} s",
        " + ".join(f"{duration:.2f}" for duration in cost.groups.values()),
        f"{share:.1%}",
        f"{cost.processor:.2f} s",
        f"{sum(cost.read.values()):,}",
        f"{cost.recorded / count:.1f} an image",
        f"{cost.series:,.0f}",
        *(
            f"{size / MIB:,.0f} MiB"
            for sizes in zip(cost.memory, baseline.memory, strict=True)
            for size in sizes
        ),
    )


def _slowest_rules(state: str, cost: Cost) -> list[tuple[str, ...]]:
    """Return rows of the slowest rules."""
    slowest = sorted(cost.rules.items(), key=itemgetter(1), reverse=True)[:SLOWEST]
    return [(state, name, f"{duration:.3f}", f"{cost.read[name]:,}") for name, duration in slowest]
