"""Random worlds: one for each seed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from random import Random

from tests.simulation.timeline import ALL, Event, EventKind
from tests.simulation.world import (
    EVERY_BACKEND,
    LIES,
    Balancing,
    Fault,
    FaultKind,
    Interruption,
    WatchChange,
    World,
)

IMAGE_COUNTS = (1, 2, 3, 5, 8, 13, 40, 150, 1000)
IMAGE_WEIGHTS = (10, 22, 20, 16, 12, 8, 3, 0.4, 0.05)

MAX_IMAGE_CYCLES = 3000
"""Limit of images times cycles, so that a large world is a short one."""

TROUBLES = (
    FaultKind.SLOW,
    FaultKind.SERVER_ERROR,
    FaultKind.CLOSING,
    FaultKind.RATE_LIMITED,
    FaultKind.MAINTENANCE,
)
EVENTS = tuple(kind for kind in EventKind if kind is not EventKind.CREATE)


@dataclass(frozen=True, slots=True)
class Profile:
    """The kinds of worlds to generate.

    Attributes:
        lies: The faults of backends that lie.
        lying_share: Share of the worlds in which a backend lies.
        majority_share: Share of those worlds in which more backends lie than not.
        page_limits: Numbers of images on a page of a list.
    """

    lies: tuple[FaultKind, ...] = tuple(sorted(LIES, key=lambda kind: kind.name))
    lying_share: float = 0.7
    majority_share: float = 0.05
    page_limits: tuple[int, ...] = (1000, 1000, 25, 3)


EVERYTHING = Profile()
HONEST = Profile(lies=(), lying_share=0.0)


def world_of_seed(seed: int, profile: Profile = EVERYTHING) -> World:
    """Return the world of a seed, which is always the same."""
    random = Random(seed)
    images = random.choices(IMAGE_COUNTS, IMAGE_WEIGHTS)[0]
    cycles = max(3, min(random.choice((4, 6, 8, 12, 25)), MAX_IMAGE_CYCLES // images))
    concurrency = random.choice((1, 2, 4, 8, 16))
    is_large = images > 100
    world = World(
        seed=seed,
        api=random.choice(("v1", "v2")),
        backends=random.choice((1, 2, 2, 2, 3, 3, 4, 5)),
        balancing=random.choice(tuple(Balancing)),
        background=random.choice((0.0, 0.3, 3.0)),
        keep_alive=random.choice((0.0, 0.0, 30.0, 900.0)),
        initial=tuple(random.random() < 0.9 for _ in range(images)),
        unwatched=random.choice((0, 1, 3)),
        cycles=cycles,
        interval=random.choice((30.0, 60.0, 300.0)),
        timeout=random.choice((2.0, 5.0, 10.0)),
        concurrency=16 if is_large else concurrency,
        rate=None if is_large else random.choice((None, None, 50.0)),
        latency=0.02 if is_large else random.choice((0.005, 0.05, 0.2)),
        page_limit=random.choice(profile.page_limits),
        batch_limit=random.choice((100, 100, 10)),
    )
    world = replace(world, shows_deleted=world.api == "v1" and random.random() < 0.15)
    faults = [*_lies(random, world, profile), *_troubles(random, world)]
    world = replace(
        world,
        faults=tuple(faults),
        events=tuple(_events(random, world)),
        interruptions=tuple(_interruptions(random, world)),
    )
    return replace(world, watch_changes=tuple(_watch_changes(random, world)))


def _lies(random: Random, world: World, profile: Profile) -> list[Fault]:
    """Return the faults of backends that lie: of a minority or of half, with few exceptions."""
    if world.backends < 2 or not profile.lies or random.random() >= profile.lying_share:
        return []
    most = world.backends // 2
    if random.random() < profile.majority_share:
        most = world.backends
    count = random.randint(1, most)
    backends = random.sample(range(world.backends), count)
    faults = []
    for backend in backends:
        kind = random.choice(profile.lies)
        start, end = _period(random, world)
        images = frozenset(
            index for index in range(len(world.initial)) if random.random() < random.random()
        )
        faults.append(
            Fault(
                backend,
                kind,
                start,
                end,
                images=images if kind is FaultKind.PARTIAL else frozenset(),
                as_of=start - random.choice((0.0, 0.0, world.interval, 86_500.0)),
            )
        )
    return faults


def _troubles(random: Random, world: World) -> list[Fault]:
    """Return outages, slowness and rate limits of one backend or of all."""
    faults = []
    while random.random() < 0.25:
        start = random.uniform(0.0, world.duration)
        faults.append(
            Fault(
                random.choice((EVERY_BACKEND, random.randrange(world.backends))),
                random.choice(TROUBLES),
                start,
                start + random.choice((0.1, 1.0, 2.5)) * world.interval,
                share=random.choice((0.1, 0.5, 1.0)),
                retry_after=random.choice((1.0, 10.0, world.interval, 4 * world.interval)),
            )
        )
    return faults


def _period(random: Random, world: World) -> tuple[float, float]:
    """Return the start and the end of a fault, at the start of a cycle or within one."""
    start = random.choice((0.0, 0.0, random.uniform(0.0, 0.6) * world.duration))
    if random.random() < 0.5:
        start = start // world.interval * world.interval
    end = random.choice((inf, inf, start + random.uniform(0.2, 0.5) * world.duration))
    return start, end


def _events(random: Random, world: World) -> list[Event]:
    """Return changes of images, at whole and different seconds."""
    count = min(random.choice((0, 0, 1, 2, 4, 8)), int(world.duration) - 2)
    seconds = random.sample(range(1, int(world.duration)), count)
    return [Event(float(at), *_kind_and_image(random, world)) for at in sorted(seconds)]


def _kind_and_image(random: Random, world: World) -> tuple[EventKind, int]:
    images: Sequence[int] = range(len(world.initial))
    if random.random() < 0.05:
        return EventKind.DELETE, ALL
    kind = random.choice((*EVENTS, EventKind.DELETE, EventKind.DELETE, EventKind.RECREATE))
    # Most events concern one of two images, so that some images change several times.
    return kind, random.choice(images if random.random() < 0.4 else images[:2])


def _interruptions(random: Random, world: World) -> list[Interruption]:
    interruptions = []
    while random.random() < 0.2:
        at = random.uniform(0.0, world.duration)
        if random.random() < 0.3:
            at = at // world.interval * world.interval
        interruptions.append(Interruption(at, restarts=random.random() < 0.4))
    return interruptions


def _watch_changes(random: Random, world: World) -> list[WatchChange]:
    """Return changes of the list of watched images: some are removed, and some come back."""
    images = range(len(world.initial))
    changes: list[WatchChange] = []
    at = 0.0
    while random.random() < (0.7 if changes else 0.2):
        at += random.choice((0.01, 0.3, 1.0, 3.0)) * world.interval * random.random()
        share = random.choice((0.0, 0.5, 0.9, 1.0))
        watched = frozenset(image for image in images if random.random() < share)
        changes.append(WatchChange(at, watched, at_once=random.random() < 0.6))
    return changes
