"""Images that are added to the watched ones, and removed from them, while a world runs."""

from dataclasses import replace
from random import Random

import pytest

from exporter.model.api_traits import ApiName
from exporter.model.observation import Observation
from exporter.model.outcome import Found, Gone, Outcome
from exporter.model.target import Target
from tests.simulation.oracle import Oracle
from tests.simulation.process import SimulatedExporter
from tests.simulation.servers import Servers
from tests.simulation.service import SimulatedService
from tests.simulation.timeline import Event, EventKind
from tests.simulation.world import Interruption, WatchChange, World

APIS: tuple[ApiName, ...] = ("v1", "v2")
BOTH = frozenset({0, 1})


class OutcomesOracle(Oracle):
    """An oracle that keeps the outcomes as well, with the number of the cycle."""

    def __init__(self, world: World, servers: Servers) -> None:
        super().__init__(world, servers)
        self.outcomes: list[tuple[str, int, Outcome]] = []

    def on_outcome(
        self, target: Target, outcome: Outcome, before: Observation, after: Observation, at: float
    ) -> None:
        """See ``Observer.on_outcome``."""
        self.outcomes.append((target.image_id, len(self._cycle_starts), outcome))
        super().on_outcome(target, outcome, before, after, at)

    def cycles_of(self, image_id: str) -> list[int]:
        """Return the cycles in which an image had an outcome."""
        return [cycle for of, cycle, _ in self.outcomes if of == image_id]


def run(world: World) -> OutcomesOracle:
    """Run a world, and return its oracle."""
    random = Random(world.seed)
    servers = Servers(world)
    oracle = OutcomesOracle(world, servers)
    service = SimulatedService(world, servers, random)
    SimulatedExporter.of(world, service, oracle, random).run()
    assert oracle.violations == []
    return oracle


@pytest.mark.parametrize(("at_once", "cycles"), [(True, [2, 3, 4]), (False, [3, 4])])
def test_added_image_is_polled_at_once_or_in_the_next_cycle(
    at_once: bool, cycles: list[int]
) -> None:
    world = World(
        seed=0,
        initial=(True, True),
        cycles=4,
        watch_changes=(
            WatchChange(0.0, frozenset({0}), at_once),
            WatchChange(60.02, BOTH, at_once),
        ),
    )
    oracle = run(world)
    assert oracle.cycles_of("image-1") == cycles
    assert all(isinstance(outcome, Found) for _, _, outcome in oracle.outcomes)


@pytest.mark.parametrize("api", APIS)
def test_image_that_is_removed_while_its_evidence_is_gathered_has_no_outcome(api: ApiName) -> None:
    world = World(
        seed=0,
        api=api,
        initial=(True, False),
        cycles=3,
        watch_changes=(WatchChange(0.2, frozenset({0}), at_once=True),),
    )
    assert run(replace(world, watch_changes=())).cycles_of("image-1") == [1, 2, 3]
    oracle = run(world)
    assert oracle.cycles_of("image-1") == []
    assert oracle.cycles_of("image-0") == [1, 2, 3]


def test_image_that_is_removed_and_added_again_is_judged_like_a_new_one() -> None:
    """It was gone, and it was created again while it was not watched."""
    world = World(
        seed=0,
        initial=(True, True),
        cycles=6,
        events=(Event(70.0, EventKind.DELETE, 1), Event(200.0, EventKind.RECREATE, 1)),
        watch_changes=(
            WatchChange(190.0, frozenset({0}), at_once=True),
            WatchChange(250.0, BOTH, at_once=True),
        ),
    )
    oracle = run(world)
    gone = [cycle for of, cycle, outcome in oracle.outcomes if isinstance(outcome, Gone)]
    assert gone == [2, 3]
    assert oracle.cycles_of("image-1") == [1, 2, 3, 6]


def test_reload_continues_the_evidence_of_a_mass_disappearance() -> None:
    """The new poller takes over what the old one suspected."""
    world = World(
        seed=0,
        initial=(True, True),
        cycles=4,
        events=(Event(50.0, EventKind.DELETE, 0), Event(51.0, EventKind.DELETE, 1)),
        interruptions=(Interruption(119.0, restarts=False),),
    )
    oracle = run(world)
    gone = {(of, cycle) for of, cycle, outcome in oracle.outcomes if isinstance(outcome, Gone)}
    assert gone >= {("image-0", 3), ("image-1", 3)}
