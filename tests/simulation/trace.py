"""A readable trace of a world: events, faults, requests, responses and outcomes by time."""

from collections.abc import Collection
from dataclasses import dataclass, field

from exporter.model.contradiction import Contradiction
from exporter.model.observation import Observation
from exporter.model.outcome import Failed, Found, Gone, NotFound, Outcome
from exporter.model.replies import (
    BatchReply,
    ControlResult,
    ImageReply,
    Listed,
    PollReply,
    ProbeReply,
)
from exporter.model.target import Target
from exporter.polling.engine.types import PollRequest
from tests.simulation.oracle import Oracle
from tests.simulation.process import CycleReport
from tests.simulation.servers import backend_of, version_of
from tests.simulation.service import Exchange
from tests.simulation.statistics import Violation
from tests.simulation.timeline import ALL, image_id
from tests.simulation.world import EVERY_BACKEND, World


@dataclass(slots=True)
class Trace:
    """Lines of one world, each with its time."""

    world: World
    lines: list[tuple[float, str]] = field(default_factory=list)

    def add(self, at: float, text: str) -> None:
        """Add a line."""
        self.lines.append((at, text))

    def text(self, violations: list[Violation], last: int = 200) -> str:
        """Return the world and its last lines, with the violations among them."""
        lines = [
            *self.lines,
            *self._facts(),
            *((violation.at, f"VIOLATION {violation}") for violation in violations),
        ]
        lines.sort(key=lambda line: line[0])
        shown = [f"{at:9.3f}  {text}" for at, text in lines[-last:]]
        return "\n".join([repr(self.world), "", *shown])

    def _facts(self) -> list[tuple[float, str]]:
        facts = [
            (event.at, f"EVENT {event.kind.value}: {_image(event.image)}")
            for event in self.world.events
        ]
        for fault in self.world.faults:
            backend = "every backend" if fault.backend == EVERY_BACKEND else f"b{fault.backend}"
            facts.append((fault.start, f"FAULT begins at {backend}: {fault.kind.value}"))
            facts.append((fault.end, f"FAULT ends at {backend}: {fault.kind.value}"))
        return [fact for fact in facts if fact[0] < self.world.duration]


class TracedObserver:
    """Passes everything to an oracle, and writes it to a trace."""

    def __init__(self, oracle: Oracle, trace: Trace) -> None:
        self._oracle = oracle
        self._trace = trace

    def on_cycle_start(self, at: float) -> None:
        """See ``Observer``."""
        self._trace.add(at, "CYCLE starts")
        self._oracle.on_cycle_start(at)

    def on_request(self, request: PollRequest, at: float) -> None:
        """See ``Observer``."""
        self._oracle.on_request(request, at)

    def on_exchange(self, request: PollRequest, exchange: Exchange, at: float) -> None:
        """See ``Observer``."""
        targets = ",".join(target.image_id for target in request.targets[:3])
        sent_at = exchange.reply.facts.sent_at
        text = f"{request.kind.value} {targets} of {sent_at:.3f}: {_reply_text(exchange.reply)}"
        if request.control is not None:
            text += f" (control {request.control})"
        self._trace.add(at, text)
        self._oracle.on_exchange(request, exchange, at)

    def on_outcome(
        self, target: Target, outcome: Outcome, before: Observation, after: Observation, at: float
    ) -> None:
        """See ``Observer``."""
        changes = "".join(
            f" [{change.what}: {change.old} -> {change.new}]" for change in after.new_changes
        )
        text = f"OUTCOME {target.image_id}: {_outcome_text(outcome)}{changes}"
        self._trace.add(at, text)
        self._oracle.on_outcome(target, outcome, before, after, at)

    def on_contradiction(self, contradiction: Contradiction, at: float) -> None:
        """See ``Observer``."""
        kind, ids = contradiction.kind.value, contradiction.request_ids
        self._trace.add(at, f"CONTRADICTION {contradiction.image_id}: {kind} {ids}")
        self._oracle.on_contradiction(contradiction, at)

    def on_reload(self) -> None:
        """See ``Observer``."""
        self._trace.add(self._trace.lines[-1][0], "RELOAD")
        self._oracle.on_reload()

    def on_restart(self) -> None:
        """See ``Observer``."""
        self._trace.add(self._trace.lines[-1][0], "RESTART")
        self._oracle.on_restart()

    def on_watch_change(self, added: Collection[str], removed: Collection[str], at: float) -> None:
        """See ``Observer``."""
        self._trace.add(at, f"WATCH also {sorted(added)}, not {sorted(removed)}")
        self._oracle.on_watch_change(added, removed, at)

    def on_cycle_end(self, report: CycleReport) -> None:
        """See ``Observer``."""
        ended = "ends" if report.is_complete else "is interrupted"
        self._trace.add(report.end, f"CYCLE {ended}, {report.requests} requests")
        self._oracle.on_cycle_end(report)


def _image(index: int) -> str:
    return "all images" if index == ALL else image_id(index)


def _outcome_text(outcome: Outcome) -> str:
    match outcome:
        case Found():
            return f"found, version {version_of(outcome.request_id)}"
        case Gone():
            return "GONE"
        case Failed(reason, detail):
            return f"{reason}: {detail}"


def _result_text(result: ControlResult | None) -> str:
    match result:
        case None:
            return "-"
        case Found():
            return f"200 {result.request_id}"
        case NotFound():
            return f"404 {backend_of(result.request_id)}"
        case Listed(image_ids):
            return f"list of {len(image_ids)} {backend_of(result.request_id)}"
        case Failed(reason, detail):
            return f"{reason} {detail}"


def _reply_text(reply: PollReply) -> str:
    match reply:
        case ImageReply():
            return _result_text(reply.result)
        case ProbeReply():
            results = (reply.before, reply.suspect, reply.after)
            return ", ".join(_result_text(result) for result in results)
        case BatchReply():
            if isinstance(reply.batch, Failed):
                return _result_text(reply.batch)
            sources = {result.request_id for result in reply.batch.results.values()}
            return f"{len(reply.batch.results)} images, {' '.join(sorted(sources)[:3])}"
        case _:
            return "list" if reply.failure is None else _result_text(reply.failure)
