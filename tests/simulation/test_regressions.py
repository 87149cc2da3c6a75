"""Worlds that once made the exporter report something wrong, or nothing, reduced and named."""

from dataclasses import replace
from math import inf

import pytest

from tests.simulation.run import run_world
from tests.simulation.timeline import ALL, Event, EventKind
from tests.simulation.world import (
    EVERY_BACKEND,
    Balancing,
    Fault,
    FaultKind,
    Interruption,
    WatchChange,
    World,
)

WORLDS: dict[str, World] = {
    "further_page_of_a_batch_is_not_a_contradiction": World(
        seed=33,
        api="v2",
        initial=(True, False, True, True, True),
        page_limit=3,
        cycles=4,
        events=(Event(31.0, EventKind.MOVE, 0),),
    ),
    "control_deleted_in_the_same_cycle_does_not_delay_the_deletion": World(
        seed=213,
        initial=(True, True),
        cycles=4,
        interval=300.0,
        events=(Event(548.0, EventKind.REVOKE_SHARE, 1), Event(607.0, EventKind.MOVE, 0)),
    ),
    "older_created_at_is_an_older_answer": World(
        seed=3,
        backends=2,
        balancing=Balancing.RANDOM_REQUEST,
        initial=(True, True),
        events=(Event(38.0, EventKind.DELETE, ALL), Event(80.0, EventKind.RECREATE, 1)),
        faults=(Fault(1, FaultKind.STALE, 0.0, inf, as_of=28.0),),
    ),
    "stale_server_has_the_content_from_before_a_recreation": World(
        seed=3,
        backends=2,
        balancing=Balancing.ROBIN_REQUEST,
        background=0.3,
        cycles=6,
        events=(Event(203.0, EventKind.DELETE, 0), Event(223.0, EventKind.RECREATE, 0)),
        faults=(Fault(1, FaultKind.STALE, 0.0, inf, as_of=-60.0),),
    ),
    "many_images_deleted_at_once_are_confirmed_in_the_second_cycle": World(
        seed=3,
        initial=(True,) * 32,
        cycles=3,
        interval=300.0,
        events=(Event(156.0, EventKind.DELETE, ALL),),
    ),
    "image_changes_while_evidence_is_gathered": World(
        seed=2,
        initial=(False,),
        cycles=2,
        concurrency=1,
        latency=0.2,
        events=(Event(3.0, EventKind.RECREATE, 0),),
    ),
    "reload_begins_the_evidence_of_a_mass_disappearance_anew": World(
        seed=41,
        initial=(True, True),
        cycles=4,
        interval=30.0,
        events=(Event(16.0, EventKind.DELETE, ALL),),
        interruptions=(Interruption(57.2, restarts=False),),
    ),
    "administrator_sees_an_image_deleted_that_was_not_shared_before": World(
        seed=19,
        backends=2,
        balancing=Balancing.RANDOM_REQUEST,
        background=0.3,
        cycles=4,
        shows_deleted=True,
        events=(Event(28.0, EventKind.REVOKE_SHARE, 0), Event(95.0, EventKind.DELETE, 0)),
        faults=(Fault(0, FaultKind.EMPTY, 0.0, inf),),
    ),
    "image_created_after_its_404_is_believed_though_one_of_five_servers_has_no_images": World(
        seed=217983,
        backends=5,
        balancing=Balancing.RANDOM_REQUEST,
        initial=(False, True),
        cycles=18,
        interval=30.0,
        events=(Event(36.0, EventKind.RECREATE, 0),),
        faults=(Fault(4, FaultKind.NOT_FOUND, 0.0, inf),),
    ),
    "only_control_is_404_at_half_of_the_requests": World(
        seed=203239,
        api="v2",
        backends=2,
        balancing=Balancing.RANDOM_REQUEST,
        initial=(False, True),
        unwatched=0,
        cycles=25,
        interval=30.0,
        concurrency=8,
        faults=(Fault(0, FaultKind.EMPTY, 0.0, inf),),
    ),
    "list_is_the_only_control_and_fails_at_half_of_the_requests": World(
        seed=208339,
        api="v2",
        backends=2,
        balancing=Balancing.ROBIN_CONNECTION,
        background=3.0,
        initial=(True, True),
        unwatched=0,
        cycles=26,
        interval=30.0,
        events=(Event(46.0, EventKind.DELETE, ALL),),
        faults=(Fault(0, FaultKind.NOT_FOUND, 47.9, inf),),
    ),
    "stale_server_is_not_believed_while_the_other_one_limits_requests": World(
        seed=223416,
        api="v2",
        backends=2,
        balancing=Balancing.ROBIN_REQUEST,
        cycles=5,
        interval=300.0,
        concurrency=2,
        events=(Event(474.0, EventKind.DEACTIVATE, 0),),
        faults=(
            Fault(0, FaultKind.STALE, 0.0, inf, as_of=-300.0),
            Fault(1, FaultKind.RATE_LIMITED, 848.5, 1148.5, retry_after=10.0),
        ),
    ),
    "server_that_lacks_an_image_is_not_believed_while_the_other_one_fails": World(
        seed=1,
        backends=2,
        initial=(True, True, True),
        cycles=4,
        faults=(
            Fault(0, FaultKind.PARTIAL, 60.0, inf, images=frozenset({0})),
            Fault(1, FaultKind.SERVER_ERROR, 60.0, inf),
        ),
    ),
    "last_image_vanishes_in_the_middle_of_a_cycle": World(
        seed=221591,
        initial=(True, True, True, True),
        unwatched=0,
        cycles=5,
        interval=300.0,
        events=(Event(594.0, EventKind.DELETE, 2), Event(605.0, EventKind.DELETE, ALL)),
    ),
    "image_that_returns_for_one_cycle_begins_the_agreement_of_two_cycles_again": World(
        seed=304832,
        initial=(True, True, True),
        unwatched=0,
        cycles=6,
        interval=300.0,
        events=(
            Event(94.0, EventKind.DELETE, ALL),
            Event(449.0, EventKind.RECREATE, 1),
            Event(627.0, EventKind.MOVE, 1),
        ),
    ),
    "image_created_again_after_its_404_is_a_control": World(
        seed=2019617,
        initial=(False, True),
        unwatched=0,
        cycles=2,
        events=(Event(53.0, EventKind.MOVE, 1), Event(64.0, EventKind.RECREATE, 0)),
    ),
    "control_created_again_after_its_404_is_not_a_contradiction": World(
        seed=2032015,
        balancing=Balancing.ROBIN_REQUEST,
        initial=(True, True, True, True, False, True, True, True),
        cycles=14,
        interval=30.0,
        concurrency=8,
        page_limit=3,
        events=(
            Event(274.0, EventKind.DELETE, ALL),
            Event(279.0, EventKind.RECREATE, 3),
            Event(307.0, EventKind.DELETE, ALL),
        ),
    ),
    "probes_without_a_conclusion_are_limited_after_a_long_run_of_wrong_responses": World(
        seed=2023331,
        backends=3,
        balancing=Balancing.ROBIN_REQUEST,
        initial=(True, True, True),
        cycles=6,
        interval=300.0,
        events=(Event(1346.0, EventKind.MOVE, 0),),
        faults=(
            Fault(0, FaultKind.WRONG_REGION, 0.0, inf),
            Fault(1, FaultKind.WRONG_REGION, 0.0, inf),
            Fault(2, FaultKind.PARTIAL, 600.0, 1276.34, images=frozenset({0, 2})),
        ),
    ),
    "failing_cycle_between_two_mass_404s_begins_the_agreement_of_two_cycles_again": World(
        seed=12,
        api="v2",
        initial=(True, True, True),
        cycles=5,
        interval=30.0,
        events=(
            Event(32.0, EventKind.DELETE, ALL),
            Event(81.0, EventKind.RECREATE, 1),
            Event(103.0, EventKind.REVOKE_SHARE, 1),
        ),
        faults=(Fault(0, FaultKind.SERVER_ERROR, 90.98, 93.98, retry_after=10.0),),
    ),
    "probes_of_several_slow_cycles_are_shared": World(
        seed=5035187,
        backends=2,
        balancing=Balancing.RANDOM_REQUEST,
        initial=(True,) * 5,
        unwatched=0,
        cycles=4,
        concurrency=2,
        latency=0.2,
        page_limit=25,
        events=(Event(36.0, EventKind.DELETE, ALL), Event(89.0, EventKind.HIDE, 4)),
        faults=(Fault(EVERY_BACKEND, FaultKind.SLOW, 63.88, 213.88, share=0.5),),
    ),
    "contradiction_in_a_cycle_that_a_reload_ends_is_remembered": World(
        seed=5035434,
        backends=2,
        background=3.0,
        keep_alive=900.0,
        initial=(True,) * 5,
        unwatched=0,
        cycles=4,
        concurrency=16,
        rate=50.0,
        events=(Event(28.0, EventKind.MOVE, 0), Event(215.0, EventKind.DELETE, 2)),
        faults=(Fault(1, FaultKind.STALE, 0.0, 107.1),),
        interruptions=(Interruption(91.27, restarts=False),),
    ),
    "image_known_as_gone_needs_no_new_evidence_if_it_is_added_again_in_the_same_cycle": World(
        seed=2005989,
        initial=(True, True),
        cycles=4,
        interval=30.0,
        events=(Event(18.0, EventKind.DELETE, ALL),),
        watch_changes=(
            WatchChange(92.2, frozenset({0}), at_once=True),
            WatchChange(97.6, frozenset({1}), at_once=False),
        ),
    ),
}

RECREATED_BETWEEN_CYCLES = World(
    seed=2471,
    backends=2,
    balancing=Balancing.ROBIN_CONNECTION,
    background=0.3,
    initial=(True, True, False),
    unwatched=0,
    cycles=6,
    interval=30.0,
    concurrency=8,
    rate=50.0,
    events=(
        Event(66.0, EventKind.DELETE, 0),
        Event(129.0, EventKind.RECREATE, 0),
        Event(137.0, EventKind.RENAME, 0),
        Event(143.0, EventKind.HIDE, 1),
        Event(156.0, EventKind.MOVE, 0),
        Event(172.0, EventKind.HIDE, 1),
    ),
    faults=(Fault(1, FaultKind.EMPTY, 0.0, inf),),
)

PINNED_TO_A_404 = World(
    seed=0,
    api="v2",
    backends=2,
    balancing=Balancing.ROBIN_CONNECTION,
    background=0.3,
    keep_alive=900.0,
    initial=(True, True, True),
    cycles=26,
    faults=(Fault(1, FaultKind.NOT_FOUND, 0.0, inf),),
)


def failures(world: World) -> str:
    """Return what a world violates, with its trace."""
    report = run_world(world, traced=True)
    return report.trace.text(report.violations) if report.violations else ""


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
@pytest.mark.parametrize("seed", range(5))
def test_world(world: World, seed: int) -> None:
    assert failures(replace(world, seed=world.seed + seed)) == ""


def test_evidence_of_an_earlier_cycle_does_not_count_for_a_recreated_image() -> None:
    for seed in (2471, 49):
        assert failures(replace(RECREATED_BETWEEN_CYCLES, seed=seed)) == ""


def test_keep_alive_connection_to_a_server_without_images_is_left() -> None:
    for seed in range(4):
        assert failures(replace(PINNED_TO_A_404, seed=seed)) == ""
