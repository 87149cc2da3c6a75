"""Run one world, and report what it violates."""

from random import Random
from typing import NamedTuple

from tests.simulation.oracle import Oracle
from tests.simulation.process import Observer, SimulatedExporter
from tests.simulation.servers import Servers
from tests.simulation.service import SimulatedService
from tests.simulation.statistics import Statistics, Violation
from tests.simulation.trace import Trace, TracedObserver
from tests.simulation.world import World


class WorldReport(NamedTuple):
    """The result of one world; ``trace`` is empty unless it was requested."""

    world: World
    violations: list[Violation]
    statistics: Statistics
    trace: Trace


def run_world(world: World, *, traced: bool = False) -> WorldReport:
    """Run a world; equal worlds have equal reports."""
    random = Random(world.seed)
    servers = Servers(world)
    service = SimulatedService(world, servers, random)
    oracle = Oracle(world, servers)
    trace = Trace(world)
    observer: Observer = TracedObserver(oracle, trace) if traced else oracle
    SimulatedExporter.of(world, service, observer, random).run()
    return WorldReport(world, oracle.violations, oracle.statistics, trace)
