"""Cost of deletions: the requests of each cycle, in equal worlds with a deletion and without."""

from dataclasses import replace
from random import Random

import pytest

from exporter.model.api_traits import ApiName
from tests.simulation import bounds
from tests.simulation.oracle import Oracle
from tests.simulation.process import CycleReport, SimulatedExporter
from tests.simulation.servers import Servers
from tests.simulation.service import SimulatedService
from tests.simulation.timeline import Event, EventKind
from tests.simulation.world import World

DELETED_IN = 5
"""Index of the cycle in which an image is deleted; from the next one on, no server has it."""

APIS: tuple[ApiName, ...] = ("v1", "v2")


class CountingOracle(Oracle):
    """An oracle that keeps the report of each cycle as well."""

    def __init__(self, world: World, servers: Servers) -> None:
        super().__init__(world, servers)
        self.reports: list[CycleReport] = []

    def on_cycle_end(self, report: CycleReport) -> None:
        """See ``Observer.on_cycle_end``."""
        self.reports.append(report)
        super().on_cycle_end(report)


def run(world: World) -> CountingOracle:
    """Run a world, and return its oracle."""
    random = Random(world.seed)
    servers = Servers(world)
    oracle = CountingOracle(world, servers)
    service = SimulatedService(world, servers, random)
    SimulatedExporter.of(world, service, oracle, random).run()
    assert oracle.violations == []
    return oracle


def additional_requests(world: World) -> list[int]:
    """Return how many more requests each cycle sends because of the events of a world."""
    reports, usual = run(world).reports, run(replace(world, events=())).reports
    return [one.requests - other.requests for one, other in zip(reports, usual, strict=True)]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("images", [1, 2, 40])
@pytest.mark.parametrize("unwatched", [0, 3])
@pytest.mark.parametrize("keep_alive", [0.0, 900.0])
def test_deleted_image_costs_at_most_20_requests_more_once(
    api: ApiName, images: int, unwatched: int, keep_alive: float
) -> None:
    deleted = images // 2
    for seed in range(4):
        world = World(
            seed=seed,
            api=api,
            backends=3,
            keep_alive=keep_alive,
            initial=(True,) * images,
            unwatched=unwatched,
            cycles=DELETED_IN + 5,
        )
        at = DELETED_IN * world.interval + seed * 15.0
        additional = additional_requests(
            replace(world, events=(Event(at, EventKind.DELETE, deleted),))
        )
        evidence = [count for count in additional if count > 1]
        assert len(evidence) == 1, additional
        assert evidence[0] <= bounds.EVIDENCE_REQUESTS
        # An image that is gone is not in lists, so API v2 requests it by itself. If it was the only
        # one, a list shows that the API is up.
        assert max(additional[DELETED_IN + 2 :]) <= (api == "v2" or images == 1)


@pytest.mark.parametrize("api", APIS)
def test_hundred_of_thousand_deletions_are_decided_in_one_cycle_within_the_rate(
    api: ApiName,
) -> None:
    """They need 3,000 requests, and the rate permits 100 in each of 54 seconds."""
    world = World(
        seed=0,
        api=api,
        initial=(True,) * 1000,
        cycles=4,
        concurrency=8,
        latency=0.02,
        rate=100.0,
        events=tuple(Event(119.0, EventKind.DELETE, index) for index in range(0, 1000, 10)),
    )
    oracle = run(world)
    assert oracle.statistics.deletion_delays == {1: 100}
    assert world.rate is not None
    for report in oracle.reports:
        assert report.requests <= world.rate * world.interval
        assert report.most_in_flight <= world.concurrency
