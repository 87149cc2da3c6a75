"""A weaker rule is found: each test breaks one part of it, and the simulation reports what follows.

The worlds are those in which that part matters most, so that few of them are enough.
"""

from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest

from exporter.model.replies import ProbeReply
from exporter.polling.engine import contradictions
from exporter.polling.engine.contradictions import ContradictionMemory, Requirement
from exporter.polling.engine.gone_confirmation import GoneConfirmation
from exporter.polling.engine.types import CycleHistory, PollRequest
from tests.simulation.run import run_world
from tests.simulation.statistics import Check
from tests.simulation.timeline import Event, EventKind
from tests.simulation.world import Balancing, Fault, FaultKind, World

DELETION = World(seed=0, initial=(True, True, True), events=(Event(90.0, EventKind.DELETE, 0),))
"""An image is deleted on a healthy cloud."""

LACKING = World(
    seed=0,
    backends=2,
    initial=(True,) * 12,
    faults=(Fault(0, FaultKind.PARTIAL, 0.0, inf, images=frozenset(range(1, 12))),),
    cycles=20,
)
"""One server of two lacks most images."""

LACKING_ONE = replace(
    LACKING,
    initial=(True, True),
    faults=(Fault(0, FaultKind.PARTIAL, 0.0, inf, images=frozenset({0})),),
    cycles=2,
)
"""One server of two lacks one image, of which nothing is known yet."""

SPLIT = World(
    seed=0,
    backends=2,
    balancing=Balancing.RANDOM_REQUEST,
    initial=(True,) * 3,
    events=(Event(90.0, EventKind.DELETE, 0),),
    faults=(Fault(0, FaultKind.NOT_FOUND, 119.0, inf),),
)
"""An image is deleted, and then one server of two answers 404 to everything, per request."""

STALE = World(
    seed=0,
    backends=3,
    faults=(Fault(0, FaultKind.STALE, 0.0, inf),),
    events=(Event(90.0, EventKind.SWAP_CONTENT, 0),),
)
"""One server of three has the image as it was before its content was replaced."""


def violations(world: World, worlds: int) -> set[Check]:
    """Return what any of a number of worlds violates that differ in their random numbers."""
    return {
        violation.check
        for seed in range(worlds)
        for violation in run_world(replace(world, seed=seed)).violations
    }


@pytest.mark.parametrize("world", [DELETION, LACKING, LACKING_ONE, SPLIT, STALE])
def test_rule_as_it_is_violates_nothing(world: World) -> None:
    assert violations(world, 10) == set()


def require(patch: pytest.MonkeyPatch, usual: Requirement) -> None:
    """Replace the evidence that a 404 needs, also after a contradiction."""
    patch.setattr(contradictions, "USUAL", usual)
    patch.setattr(contradictions, "AFTER_CONTRADICTION", usual._replace(cycles=2))


def test_one_probe_fewer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = contradictions.USUAL
    require(monkeypatch, usual._replace(probes=usual.probes - 1))
    assert Check.EVIDENCE in violations(DELETION, 1)


def test_lack_of_rechecks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    require(monkeypatch, contradictions.USUAL._replace(rechecks=0))
    assert Check.FALSE_GONE in violations(LACKING_ONE, 100)


def test_control_that_is_requested_once_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    count_probe: Callable[..., None] = GoneConfirmation._count_probe

    def trust_first_control(
        self: GoneConfirmation, suspect: object, request: PollRequest, reply: ProbeReply, now: float
    ) -> None:
        count_probe(self, suspect, request, replace(reply, after=reply.before), now)

    monkeypatch.setattr(GoneConfirmation, "_count_probe", trust_first_control)
    assert Check.EVIDENCE in violations(SPLIT, 20)


def forget_contradictions(patch: pytest.MonkeyPatch) -> None:
    """Never ask for more evidence than usual."""
    patch.setattr(ContradictionMemory, "requirement", lambda *_: contradictions.USUAL)


def test_forgotten_contradictions_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_contradictions(monkeypatch)
    deletion = replace(LACKING, events=(Event(90.0, EventKind.DELETE, 0),))
    assert Check.EVIDENCE in violations(deletion, 3)


@pytest.mark.slow
def test_forgotten_contradictions_lead_to_false_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """About one world in forty has one, so at least one of a thousand certainly does."""
    forget_contradictions(monkeypatch)
    reports = (run_world(replace(LACKING, seed=seed)) for seed in range(1000))
    checks = (violation.check for report in reports for violation in report.violations)
    assert Check.FALSE_GONE in checks


def test_belief_in_older_responses_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CycleHistory, "is_older", lambda *_: False)
    assert Check.FALSE_CHANGE in violations(STALE, 10)
