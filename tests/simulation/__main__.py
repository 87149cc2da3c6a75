"""Simulate many worlds in parallel and print a summary: see ``python -m tests.simulation -h``."""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from tests.simulation.generator import EVERYTHING, HONEST, Profile, world_of_seed
from tests.simulation.run import run_world
from tests.simulation.shrink import shrink
from tests.simulation.statistics import Check, Statistics

PROFILES: dict[str, Profile] = {"everything": EVERYTHING, "honest": HONEST}
SEEDS_PER_TASK = 50
SHOWN_FAILURES = 3


class Task(NamedTuple):
    """Seeds of worlds that one process simulates together."""

    seeds: range
    profile: str


class TaskReport(NamedTuple):
    """The figures of some worlds, and the failing seeds with what they violate."""

    statistics: Statistics
    failures: list[tuple[int, Check]]


def simulate(task: Task) -> TaskReport:
    """Simulate the worlds of some seeds."""
    statistics = Statistics()
    failures = []
    for seed in task.seeds:
        report = run_world(world_of_seed(seed, PROFILES[task.profile]))
        statistics.add(report.statistics)
        if report.violations:
            failures.append((seed, report.violations[0].check))
    return TaskReport(statistics, failures)


def tasks(worlds: int, first_seed: int, profile: str) -> Iterator[Task]:
    """Yield the tasks of a number of worlds."""
    last_seed = first_seed + worlds
    for seed in range(first_seed, last_seed, SEEDS_PER_TASK):
        yield Task(range(seed, min(seed + SEEDS_PER_TASK, last_seed)), profile)


def share_within(delays: Counter[int], cycles: int) -> float:
    """Return the share of deletions that were reported at most that many cycles later."""
    total = sum(delays.values())
    return sum(count for delay, count in delays.items() if delay <= cycles) / max(total, 1)


def summary(statistics: Statistics, seconds: float) -> str:
    """Return the figures of a simulation as text."""
    figures = statistics
    rows: list[tuple[str, object]] = [
        ("worlds", figures.worlds),
        ("cycles", figures.cycles),
        ("image-cycles", figures.image_cycles),
        ("image-cycles with bad backends", figures.bad_image_cycles),
        ("requests", figures.requests),
        ("real changes reported", figures.changes),
        ("contradictions reported", figures.contradictions),
        *((check.value, figures.violations[check]) for check in Check),
    ]
    lines = [f"{value:>12,}  {name}" for name, value in rows]
    lines += [f"{count:>12,}  excluded: {why.value}" for why, count in figures.excluded.items()]
    for where, delays in (
        ("in all worlds", figures.deletion_delays),
        ("at one lying server of three", figures.third_delays),
    ):
        for cycles in (1, 2, 3):
            share = share_within(delays, cycles)
            lines.append(
                f"{share:>12.2%}  of the deletions {where} reported within {cycles} cycles"
            )
    lines.append(f"{seconds:>12.1f}  seconds")
    return "\n".join(lines)


def show_failure(seed: int, check: Check, profile: str) -> str:
    """Return the trace of a failing world that is as small as possible."""
    world = shrink(world_of_seed(seed, PROFILES[profile]), check)
    report = run_world(world, traced=True)
    return f"seed {seed}, reduced:\n{report.trace.text(report.violations)}\n"


def main() -> int:
    """Simulate, print, and return 1 if a world failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--worlds", type=int, default=2000)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--profile", choices=PROFILES, default="everything")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    started_at = time.monotonic()
    total = Statistics()
    failures: list[tuple[int, Check]] = []
    todo = tasks(arguments.worlds, arguments.first_seed, arguments.profile)
    with multiprocessing.Pool(arguments.processes) as pool:
        for report in pool.imap_unordered(simulate, todo):
            total.add(report.statistics)
            failures += report.failures
    failures.sort()
    sys.stdout.write(summary(total, time.monotonic() - started_at) + "\n")
    if failures:
        seeds = ", ".join(str(seed) for seed, _ in failures)
        sys.stdout.write(f"{len(failures):>12,}  worlds failed, seeds: {seeds}\n")
    sys.stdout.flush()
    for seed, check in islice(failures, SHOWN_FAILURES):
        sys.stdout.write("\n" + show_failure(seed, check, arguments.profile))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
