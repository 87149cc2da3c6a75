"""The oracle finds what is wrong: it gets outcomes that no exporter should report."""

from dataclasses import replace

import pytest

from exporter.model.changes import ChangeCounts
from exporter.model.cloud import CloudState
from exporter.model.contradiction import Contradiction, ContradictionKind
from exporter.model.image import Image
from exporter.model.instant import Instant
from exporter.model.observation import NEVER_POLLED, Observation
from exporter.model.outcome import Failed, Found, Gone, NotFound, Outcome
from exporter.model.replies import ImageReply, ListReply, ProbeReply, RequestFacts
from exporter.model.target import Target
from exporter.polling.engine.types import PollRequest, RequestKind
from tests.simulation.bounds import Excluded
from tests.simulation.oracle import Oracle
from tests.simulation.process import CycleReport
from tests.simulation.servers import Servers
from tests.simulation.service import Exchange
from tests.simulation.statistics import Check
from tests.simulation.timeline import Event, EventKind
from tests.simulation.world import Fault, FaultKind, World

TARGET = Target("lab", "image-0", "image-0")
GONE = Gone("b0-v-1")


class Reports:
    """Reports of an exporter about the only image of a world, a cycle per call."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.servers = Servers(world)
        self.oracle = Oracle(world, self.servers)
        self.observation = NEVER_POLLED
        self.cycles = 0

    def found(self, version: int) -> Outcome:
        """Return the outcome of a poll that found a version of the image; the first is 1."""
        starts = self.servers.timelines[0].starts
        outcome = self.servers.image(0, starts[version], "image-0")
        assert not isinstance(outcome, NotFound)
        return outcome

    def cycle(
        self, *outcomes: Outcome, probes: int = 3, requests: int = 1, most_in_flight: int = 1
    ) -> None:
        """Report a cycle with these outcomes, one second after its start.

        ``probes`` is the number of conclusive probes before an outcome that is ``Gone``.
        """
        start = self.cycles * self.world.interval
        self.cycles += 1
        self.oracle.on_cycle_start(start)
        for outcome in outcomes:
            if isinstance(outcome, Gone):
                self._evidence(probes, start + 1.0)
            self._outcome(outcome, start + 1.0)
        self.oracle.on_cycle_end(self.report(start, requests, most_in_flight))

    def report(self, start: float, requests: int = 1, most_in_flight: int = 1) -> CycleReport:
        """Return the report of a complete cycle."""
        return CycleReport(
            number=self.cycles,
            start=start,
            end=start + 1.0,
            requests=requests,
            most_in_flight=most_in_flight,
            is_complete=True,
            first_of_memory=self.cycles == 1,
            state=CloudState("lab", self.world.interval),
        )

    def _evidence(self, probes: int, at: float) -> None:
        facts, control = RequestFacts(at, at), Found(Image("v1", "control", "active"))
        missing = NotFound()
        poll = PollRequest(RequestKind.POLL, (TARGET,))
        self.oracle.on_exchange(poll, Exchange(ImageReply(facts, missing), 1, None), at)
        for _ in range(probes):
            request = PollRequest(RequestKind.PROBE, (TARGET,))
            reply = ProbeReply(facts, control, missing, control)
            self.oracle.on_exchange(request, Exchange(reply, 3, None), at)

    def _outcome(self, outcome: Outcome, at: float) -> None:
        before = self.observation
        self.observation = before.with_outcome(outcome, Instant(at, at), 600.0)
        self.oracle.on_outcome(TARGET, outcome, before, self.observation, at)

    @property
    def checks(self) -> list[Check]:
        """The properties that were violated."""
        return [violation.check for violation in self.oracle.violations]


def world(*events: Event, **settings: object) -> World:
    return replace(World(seed=0, events=events), **settings)  # type: ignore[arg-type]


RENAMED = Event(70.0, EventKind.RENAME, 0)
DELETED = Event(70.0, EventKind.DELETE, 0)
RECREATED = Event(130.0, EventKind.RECREATE, 0)
STALE = Fault(1, FaultKind.STALE, 0.0, 1000.0)


def test_existing_image_is_not_gone() -> None:
    reports = Reports(world())
    reports.cycle(reports.found(1))
    reports.cycle(GONE)
    assert reports.checks == [Check.FALSE_GONE]


def test_image_that_never_existed_is_gone() -> None:
    reports = Reports(world(initial=(False,)))
    reports.cycle(GONE)
    assert reports.checks == []


def test_deleted_image_is_gone_once() -> None:
    reports = Reports(world(DELETED))
    reports.cycle(reports.found(1))
    reports.cycle(reports.found(1))
    reports.cycle(GONE)
    reports.cycle(GONE)
    assert reports.checks == []
    assert reports.oracle.statistics.deletion_delays == {1: 1}


def test_image_is_not_gone_on_two_probes() -> None:
    reports = Reports(world(DELETED))
    reports.cycle(reports.found(1))
    reports.cycle(reports.found(1))
    reports.cycle(GONE, probes=2)
    assert reports.checks == [Check.EVIDENCE]


def test_image_is_gone_only_in_a_second_cycle_after_a_contradiction() -> None:
    reports = Reports(world(DELETED, backends=2, faults=(STALE,)))
    reports.cycle(reports.found(1))
    kind = ContradictionKind.NOT_FOUND
    reports.oracle.on_contradiction(Contradiction("image-0", kind, ("", "")), 30.0)
    reports.cycle(reports.found(1))
    reports.cycle(GONE)
    assert reports.checks == [Check.EVIDENCE]


def test_healthy_servers_do_not_contradict_each_other() -> None:
    reports = Reports(world(RENAMED))
    reports.cycle(reports.found(1))
    contradiction = Contradiction("image-0", ContradictionKind.OLDER, ("", ""))
    reports.oracle.on_contradiction(contradiction, 30.0)
    assert reports.checks == [Check.FALSE_CONTRADICTION]
    reports.cycle(reports.found(1))
    reports.oracle.on_contradiction(contradiction, 100.0)
    assert reports.checks == [Check.FALSE_CONTRADICTION], "the image has changed"


def test_old_name_after_the_new_one_is_a_false_change() -> None:
    reports = Reports(world(RENAMED, backends=2))
    reports.cycle(reports.found(1))
    reports.cycle(reports.found(1))
    reports.cycle(reports.found(2))
    reports.cycle(reports.found(1))
    assert reports.checks == [Check.FALSE_CHANGE]
    reports.cycle(reports.found(2))
    assert reports.checks == [Check.FALSE_CHANGE], "the correction is not a second false change"


def test_image_that_a_stale_server_still_has_is_excluded_by_name() -> None:
    reports = Reports(world(DELETED, backends=2, faults=(STALE,)))
    reports.cycle(reports.found(1))
    reports.cycle(reports.found(1))
    reports.cycle(GONE)
    reports.cycle(reports.found(1))
    reports.cycle(GONE)
    assert reports.checks == []
    assert reports.oracle.statistics.excluded == {Excluded.STALE_SERVES_DELETED: 1}


@pytest.mark.parametrize("event", [RENAMED, DELETED])
def test_change_is_reported_by_the_next_complete_cycle(event: Event) -> None:
    reports = Reports(world(event))
    reports.cycle(reports.found(1))
    reports.cycle(reports.found(1))
    assert reports.checks == []
    reports.cycle(reports.found(1))
    assert reports.checks == [Check.MISSED_CHANGE]


def test_change_during_an_outage_may_be_reported_later() -> None:
    outage = Fault(0, FaultKind.SERVER_ERROR, 100.0, 200.0)
    reports = Reports(world(RENAMED, faults=(outage,)))
    reports.cycle(reports.found(1))
    reports.cycle(reports.found(1))
    reports.cycle(Failed("server_error"))
    reports.cycle(Failed("server_error"))
    assert reports.checks == []
    reports.cycle(Failed("server_error"))
    assert reports.checks == [Check.MISSED_CHANGE]


def test_recreated_image_may_still_be_known_as_gone_but_not_for_long() -> None:
    reports = Reports(world(DELETED, RECREATED))
    reports.cycle(reports.found(1))
    reports.cycle(reports.found(1))
    reports.cycle(GONE)
    reports.cycle(GONE)
    assert reports.checks == [Check.MISSED_CHANGE]


@pytest.mark.parametrize(("faults", "is_late"), [((), True), ((STALE,), False)])
def test_image_shared_again_unchanged_may_stay_gone_only_while_a_server_lies(
    faults: tuple[Fault, ...], is_late: bool
) -> None:
    events = (Event(70.0, EventKind.REVOKE_SHARE, 0), Event(130.0, EventKind.SHARE, 0))
    reports = Reports(world(*events, backends=5, faults=faults))
    reports.cycle(reports.found(1))
    reports.cycle(reports.found(1))
    for _ in range(14):
        reports.cycle(GONE)
    assert (Check.MISSED_CHANGE in reports.checks) is is_late
    assert (reports.oracle.statistics.excluded[Excluded.SHARED_UNCHANGED] > 0) is not is_late


@pytest.mark.parametrize(("cycles_between", "violations"), [(0, 0), (1, 1)])
def test_image_added_again_needs_no_evidence_only_in_the_cycle_that_knew_it_as_gone(
    cycles_between: int, violations: int
) -> None:
    reports = Reports(world(DELETED))
    reports.cycle(reports.found(1))
    reports.cycle(reports.found(1))
    reports.cycle(GONE, probes=0)
    assert reports.checks == [Check.EVIDENCE]
    reports.oracle.violations.clear()
    reports.oracle.on_watch_change((), (TARGET.image_id,), 150.0)
    for _ in range(cycles_between):
        reports.cycle()
    reports.oracle.on_watch_change((TARGET.image_id,), (), 200.0)
    reports.oracle.on_outcome(
        TARGET,
        GONE,
        NEVER_POLLED,
        NEVER_POLLED.with_outcome(GONE, Instant(201.0, 201.0), 600.0),
        201.0,
    )
    assert reports.checks == [Check.EVIDENCE] * violations


def test_wrong_majority_is_excluded_by_name() -> None:
    reports = Reports(world(backends=1, faults=(Fault(0, FaultKind.EMPTY, 0.0, 1000.0),)))
    reports.cycle(reports.found(1))
    reports.cycle(GONE)
    assert reports.checks == []
    assert reports.oracle.statistics.excluded == {Excluded.MAJORITY_LIES: 1}


def test_image_has_one_outcome_per_cycle() -> None:
    reports = Reports(world())
    reports.cycle()
    reports.cycle(reports.found(1), reports.found(1))
    assert reports.checks.count(Check.OUTCOMES) == 2


def test_counts_do_not_fall() -> None:
    reports = Reports(world())
    reports.cycle(reports.found(1))
    before = replace(reports.observation, change_counts=ChangeCounts(name=1))
    after: Observation = replace(reports.observation, change_counts=ChangeCounts())
    reports.oracle.on_outcome(TARGET, reports.found(1), before, after, 1.0)
    assert reports.checks == [Check.COUNTER_FELL]


def test_counters_of_the_cloud_do_not_fall() -> None:
    reports = Reports(world())
    for polls in (2, 1):
        reports.oracle.on_cycle_start(0.0)
        reports.oracle.on_outcome(TARGET, reports.found(1), NEVER_POLLED, NEVER_POLLED, 0.0)
        state = CloudState("lab", 60.0, polls=polls)
        reports.oracle.on_cycle_end(reports.report(0.0)._replace(state=state))
    assert reports.checks == [Check.COUNTER_FELL]


def test_requests_have_a_limit() -> None:
    reports = Reports(world())
    reports.cycle(reports.found(1), requests=100)
    reports.cycle(reports.found(1), most_in_flight=5)
    assert reports.checks == [Check.REQUESTS, Check.CONCURRENCY]


def test_no_request_is_sent_before_retry_after() -> None:
    reports = Reports(world())
    request = PollRequest(RequestKind.LIST)
    reply = ListReply(RequestFacts(0.0, 1.0, retry_after=10.0), Failed("rate_limited"))
    reports.oracle.on_exchange(request, Exchange(reply, 1, None), 1.0)
    reports.oracle.on_request(request, 11.0)
    assert reports.checks == []
    reports.oracle.on_request(request, 10.9)
    assert reports.checks == [Check.RETRY_AFTER]
