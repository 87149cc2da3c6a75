"""Cycles from a deletion to its report, with one of three API servers that lies.

``python -m tests.simulation.detection`` prints them by the fault of that server.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import product
from math import inf

from exporter.model.api_traits import ApiName
from tests.simulation.run import run_world
from tests.simulation.timeline import Event, EventKind
from tests.simulation.world import Balancing, Fault, FaultKind, World

KINDS = (FaultKind.NOT_FOUND, FaultKind.EMPTY, FaultKind.WRONG_REGION, FaultKind.PARTIAL)
"""The lies with which an image that is deleted is gone on every server."""

APIS: tuple[ApiName, ...] = ("v1", "v2")
KEEP_ALIVE = (0.0, 900.0)
IMAGES = 6
CYCLES = 14
DELETED_AT = 330.0
"""In the sixth cycle, when the exporter knows the cloud and its contradictions."""


def worlds(kind: FaultKind | None, seeds: int) -> Iterator[World]:
    """Yield worlds with every balancer and API version, and this fault of one server or none."""
    combinations = product(Balancing, APIS, KEEP_ALIVE, range(seeds))
    for balancing, api, keep_alive, seed in combinations:
        fault = Fault(0, kind, 0.0, inf, images=frozenset({0, 1, 2})) if kind else None
        yield World(
            seed=seed,
            api=api,
            backends=3,
            balancing=balancing,
            background=1.0,
            keep_alive=keep_alive,
            initial=(True,) * IMAGES,
            cycles=CYCLES,
            events=(Event(DELETED_AT + seed % 60, EventKind.DELETE, seed % IMAGES),),
            faults=() if fault is None else (fault,),
        )


def delays(kind: FaultKind | None, seeds: int) -> Counter[int]:
    """Return the number of deletions by the cycles to their report; -1 for none.

    A report in the same cycle as the deletion, or in the next, is one within one interval.
    """
    total: Counter[int] = Counter()
    for world in worlds(kind, seeds):
        reported = run_world(world).statistics.deletion_delays
        total.update(max(delay, 1) for delay in reported.elements())
        total[-1] += not reported
    return total


def main() -> None:
    """Print the cycles from a deletion to its report."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.detection", description=main.__doc__
    )
    parser.add_argument("--seeds", type=int, default=60)
    seeds = parser.parse_args().seeds
    sys.stdout.write(
        "| one server of three | deletions | in 1 cycle | in 2 cycles | in 3 | later or never |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
    )
    for kind in (None, *KINDS):
        counts = delays(kind, seeds)
        total = counts.total()
        within = [sum(counts[delay] for delay in range(1, cycles + 1)) for cycles in (1, 2, 3)]
        shares = " | ".join(f"{count / total:.2%}" for count in within)
        name = "is healthy" if kind is None else kind.value
        sys.stdout.write(f"| {name} | {total:,} | {shares} | {total - within[-1]} |\n")


if __name__ == "__main__":
    main()
