"""Probability of a false "gone" at one poll: computed from the rule, and simulated.

A share ``p`` of the API servers is wrong about an image that exists. Such a server answers 404 to
everything, or it lacks this image only, so that it has the control of a probe. With ``R`` rechecks
and ``P`` conclusive probes, all after a poll that was 404 (see ``computed``):

==================  ===============  =========================================================
the wrong server    balanced per     probability of a false "gone"
==================  ===============  =========================================================
404 to everything   connection       0: it fails the control
404 to everything   request          at most p ** (1 + R) * (p / (1 + p)) ** P
lacks the image     either           p ** (1 + R + P)
==================  ===============  =========================================================

A probe of a server that answers 404 to everything, balanced per request, is conclusive with a
probability of ``(1 - p) * p * (1 - p)``. It finds the image with ``(1 - p) * (1 - p)``, and may be
sent again otherwise. So it ends as conclusive with at most ``p / (1 + p)``. It is less, because a
control that was 404 is not used again, and soon there is none.
"""

import argparse
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import product
from math import inf
from random import Random

from exporter.model.outcome import Gone, Outcome
from exporter.model.target import Target
from exporter.polling.engine.contradictions import (
    AFTER_CONTRADICTION,
    USUAL,
    ContradictionMemory,
    Requirement,
)
from exporter.polling.engine.types import CycleHistory
from tests.simulation.process import SimulatedExporter
from tests.simulation.servers import Servers
from tests.simulation.service import SimulatedService
from tests.simulation.timeline import image_id
from tests.simulation.world import Balancing, Fault, FaultKind, World

SHARES = tuple(map(Fraction, ("1/10", "1/5", "1/4", "1/3", "1/2", "2/3", "3/4")))
"""Shares of the API servers that are wrong."""

KINDS = (FaultKind.NOT_FOUND, FaultKind.PARTIAL)
BALANCINGS = (Balancing.RANDOM_CONNECTION, Balancing.RANDOM_REQUEST)
REMEMBERED = ContradictionMemory(until=inf)
"""The memory of a cloud that has contradicted itself once."""

BATCH = 500
"""Worlds that one process simulates together."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of the table: the wrong servers, the balancer, and if a contradiction is known."""

    kind: FaultKind
    balancing: Balancing
    share: Fraction
    contradicted: bool

    @property
    def requirement(self) -> Requirement:
        """The evidence that the rule requires."""
        return AFTER_CONTRADICTION if self.contradicted else USUAL

    @property
    def is_bound(self) -> bool:
        """True if the computed probability is an upper bound."""
        return self.kind is FaultKind.NOT_FOUND and self.balancing.is_per_request


def computed(cell: Cell) -> float:
    """Return the probability that all answers that the rule requires are wrong."""
    share, requirement = float(cell.share), cell.requirement
    probe = share
    if cell.kind is FaultKind.NOT_FOUND:
        probe = share / (1 + share) if cell.balancing.is_per_request else 0.0
    in_one_cycle = share ** (1 + requirement.rechecks) * probe**requirement.probes
    return float(in_one_cycle**requirement.cycles)


def world_of(cell: Cell) -> World:
    """Return a world with the smallest number of servers that has this share of wrong ones.

    A server that answers 404 to everything also does so for other watched images. Their
    contradictions would raise the requirement, so there are none.
    """
    backends = cell.share.denominator
    is_partial = cell.kind is FaultKind.PARTIAL
    return World(
        seed=0,
        backends=backends,
        balancing=cell.balancing,
        keep_alive=900.0,
        initial=(True, True) if is_partial else (True,),
        unwatched=5,
        cycles=cell.requirement.cycles,
        faults=tuple(
            Fault(backend, cell.kind, 0.0, inf, images=frozenset({0} if is_partial else ()))
            for backend in range(cell.share.numerator)
        ),
    )


class GoneObserver:
    """Remembers if the first image was reported as gone."""

    def __init__(self) -> None:
        self.is_gone = False

    def on_outcome(self, target: Target, outcome: Outcome, *_: object) -> None:
        """See ``Observer``."""
        if target.image_id == image_id(0) and isinstance(outcome, Gone):
            self.is_gone = True

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Ignore all other events."""
        return lambda *_: None


def simulate_batch(cell: Cell, first_seed: int) -> int:
    """Return the number of worlds in which the first image was reported as gone."""
    world, count = world_of(cell), 0
    servers = Servers(world)
    for seed in range(first_seed, first_seed + BATCH):
        random = Random(seed)
        observer = GoneObserver()
        service = SimulatedService(world, servers, random)
        exporter = SimulatedExporter.of(replace(world, seed=seed), service, observer, random)
        if cell.contradicted:
            exporter.history = CycleHistory(contradictions=REMEMBERED)
        exporter.run()
        count += observer.is_gone
    return count


def simulated(cell: Cell, worlds: int, run: Callable[..., Iterator[int]] = map) -> float:
    """Return the share of worlds with a false "gone", of at least that many worlds."""
    seeds = range(0, worlds, BATCH)
    return sum(run(partial(simulate_batch, cell), seeds)) / (len(seeds) * BATCH)


def cells() -> Iterator[Cell]:
    """Yield all rows of the table."""
    for contradicted, kind, balancing, share in product((False, True), KINDS, BALANCINGS, SHARES):
        yield Cell(kind, balancing, share, contradicted)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.probabilities", description=main.__doc__
    )
    parser.add_argument("--worlds", type=int, default=20_000)
    arguments = parser.parse_args()
    sys.stdout.write(
        "| contradiction | wrong servers | balanced per | share | computed | simulated |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
    )
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for cell in cells():
            expected, worlds = computed(cell), arguments.worlds
            if expected and expected * worlds < 1:
                seen = "too small to be seen"
            else:
                share = simulated(cell, worlds, pool.imap_unordered)
                seen = f"{share:.1e}" if share else f"0 of {worlds:,}"
            row = (
                "remembered" if cell.contradicted else "none",
                cell.kind.value,
                "request" if cell.balancing.is_per_request else "connection",
                str(cell.share),
                f"{'at most ' * cell.is_bound}{expected:.1e}" if expected else "0",
                seen,
            )
            sys.stdout.write(f"| {' | '.join(row)} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
