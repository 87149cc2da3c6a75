"""Random worlds: none of them makes the exporter report what is not true.

A failing seed is reduced and printed with its trace. ``make simulate`` runs more worlds.
"""

import pytest

from tests.simulation.generator import EVERYTHING, HONEST, Profile, world_of_seed
from tests.simulation.run import run_world
from tests.simulation.shrink import shrink
from tests.simulation.statistics import Statistics

CYCLES_IN_CI = 20_000
QUICK_WORLDS = 60


def simulate(world_seed: int, profile: Profile) -> Statistics:
    """Simulate one world; fail with a reduced world and its trace."""
    world = world_of_seed(world_seed, profile)
    report = run_world(world)
    if report.violations:
        smallest = run_world(shrink(world, report.violations[0].check), traced=True)
        pytest.fail(f"seed {world_seed}, reduced:\n{smallest.trace.text(smallest.violations)}")
    return report.statistics


@pytest.mark.parametrize("profile", [HONEST, EVERYTHING], ids=["honest", "everything"])
def test_worlds(profile: Profile) -> None:
    for seed in range(QUICK_WORLDS):
        simulate(seed, profile)


@pytest.mark.slow
def test_many_worlds() -> None:
    total, seed = Statistics(), 1_000_000
    while total.cycles < CYCLES_IN_CI:
        total.add(simulate(seed, EVERYTHING))
        seed += 1


def test_equal_seeds_have_equal_worlds() -> None:
    first, second = (run_world(world_of_seed(7), traced=True) for _ in range(2))
    assert first.world == second.world
    assert first.trace.lines == second.trace.lines
