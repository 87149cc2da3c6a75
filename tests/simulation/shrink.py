"""Reduction of a world that fails to a small one that fails in the same way."""

from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.run import run_world
from tests.simulation.statistics import Check
from tests.simulation.timeline import ALL
from tests.simulation.world import EVERY_BACKEND, World

SEEDS_PER_CANDIDATE = 30
"""Seeds to try with a smaller world: whatever is removed changes all later random numbers."""

SIMPLER = {
    "interruptions": (),
    "rate": None,
    "shows_deleted": False,
    "background": 0.3,
    "keep_alive": 0.0,
    "concurrency": 4,
    "latency": 0.05,
    "page_limit": 1000,
    "batch_limit": 100,
    "unwatched": 1,
    "interval": 60.0,
    "timeout": 10.0,
    "api": "v1",
}
"""The simplest value of each setting of a world."""


def shrink(world: World, check: Check) -> World:
    """Return a world that violates ``check`` as well, with as few parts as this can find."""
    while (smaller := next(_failing(_smaller_worlds(world), check), None)) is not None:
        world = smaller
    return world


def _failing(candidates: Iterator[World], check: Check) -> Iterator[World]:
    for candidate in candidates:
        for seed in (candidate.seed, *range(SEEDS_PER_CANDIDATE)):
            seeded = replace(candidate, seed=seed)
            if any(violation.check is check for violation in run_world(seeded).violations):
                yield seeded
                break


def _smaller_worlds(world: World) -> Iterator[World]:
    """Yield worlds that are smaller in one respect, the largest steps first."""
    for cycles in (world.cycles // 2, world.cycles - 1):
        if 0 < cycles < world.cycles:
            yield replace(world, cycles=cycles)
    images = len(world.initial)
    for count in (1, 2, images // 2, images - 1):
        if 0 < count < images:
            yield _with_images(world, count)
    for name in ("events", "faults", "interruptions", "watch_changes"):
        parts = getattr(world, name)
        for index in range(len(parts)):
            # mypy cannot know the type of a field by its name.
            yield replace(world, **{name: parts[:index] + parts[index + 1 :]})
    if world.backends > 1:
        yield _with_backends(world, world.backends - 1)
    for name, value in SIMPLER.items():
        if getattr(world, name) != value:
            yield replace(world, **{name: value})  # type: ignore[arg-type]
    if not all(world.initial):
        yield replace(world, initial=(True,) * images)
    for index, fault in enumerate(world.faults):
        if fault.start > 0.0:
            faults = list(world.faults)
            faults[index] = replace(fault, start=0.0)
            yield replace(world, faults=tuple(faults))


def _with_images(world: World, count: int) -> World:
    """Return the world with its first images only."""
    return replace(
        world,
        initial=world.initial[:count],
        events=tuple(event for event in world.events if event.image == ALL or event.image < count),
        faults=tuple(
            replace(fault, images=frozenset(image for image in fault.images if image < count))
            for fault in world.faults
        ),
        watch_changes=tuple(
            change._replace(watched=frozenset(image for image in change.watched if image < count))
            for change in world.watch_changes
        ),
    )


def _with_backends(world: World, count: int) -> World:
    """Return the world with its first backends only."""
    faults = tuple(
        fault for fault in world.faults if fault.backend == EVERY_BACKEND or fault.backend < count
    )
    return replace(world, backends=count, faults=faults)
