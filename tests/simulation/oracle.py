"""The oracle: knows the truth, and compares it with everything that the exporter reports."""

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass, fields
from math import inf

from exporter.model.changes import ChangeCounts
from exporter.model.cloud import CloudState
from exporter.model.contradiction import Contradiction
from exporter.model.observation import Observation
from exporter.model.outcome import Failed, Found, Gone, NotFound, Outcome
from exporter.model.replies import ImageReply, Listed, ProbeReply
from exporter.model.target import Target
from exporter.polling.engine.types import PollRequest, RequestKind
from tests.simulation import bounds
from tests.simulation.bounds import Excluded
from tests.simulation.process import CycleReport
from tests.simulation.servers import Servers, version_of
from tests.simulation.service import Exchange
from tests.simulation.statistics import Check, Statistics, Violation
from tests.simulation.timeline import ImageState, Timeline
from tests.simulation.world import FaultKind, World

CLOCK_ERROR = 1e-6


@dataclass(slots=True)
class ImageRecord:
    """Reports of the exporter about one image.

    Attributes:
        version: The latest version that was reported, -1 for none.
        is_gone: The image was gone according to the last report.
        probes: Conclusive probes since the image was last found.
        first_404_in: Number of the cycle with the first 404 since then, 0 for none.
        known_gone_in: Number of the cycle in which it was removed while it was gone, and added
            again. If that cycle still polls it, it needs no new evidence; 0 for none.
        late_cycles: Complete cycles in a row whose result was older than their start.
        is_excused: The last report was wrong for a reason that excludes it, or is a violation
            already, so the report that corrects it is not a second one.
        is_new: It is watched since the current cycle, which may end before its poll.
    """

    timeline: Timeline
    version: int = -1
    is_gone: bool = False
    probes: int = 0
    first_404_in: int = 0
    known_gone_in: int = 0
    late_cycles: int = 0
    outcomes: int = 0
    is_excused: bool = False
    is_new: bool = False


class Oracle:
    """Checks one world while it runs; see ``process.Observer``."""

    def __init__(self, world: World, servers: Servers) -> None:
        self._world = world
        self._images = {
            timeline_id: ImageRecord(timeline)
            for timeline_id, timeline in zip(
                (f"image-{index}" for index in range(len(world.initial))),
                servers.timelines,
                strict=True,
            )
        }
        self._bad_share = world.worst_bad_share()
        self._lies = [fault for fault in world.faults if fault.kind.lies]
        self._troubles = [fault for fault in world.faults if not fault.kind.lies]
        self._removed: dict[str, ImageRecord] = {}
        self._expected_polls = 0
        self._cycle_starts: list[float] = []
        self._suspects: set[str] = set()
        self._existing: list[ImageRecord] = []
        self._blocked_until = -inf
        self._contradicted_at = -inf
        self._probes_in_cycle = self._probes_before = 0
        self._is_any_found = self._was_troubled = False
        self._found_since_start = False
        self._state: CloudState | None = None
        self.violations: list[Violation] = []
        self.statistics = Statistics(worlds=1)
        self._start_of_cycle = 0.0

    # Events

    def on_request(self, request: PollRequest, at: float) -> None:
        """See ``Observer.on_request``."""
        if request.kind is RequestKind.RECHECK or request.kind is RequestKind.PROBE:
            self._suspects.add(request.targets[0].image_id)
        if at < self._blocked_until - CLOCK_ERROR:
            left = self._blocked_until - at
            self._report(Check.RETRY_AFTER, at, "", f"{left:.3f} seconds too early")

    def on_exchange(self, request: PollRequest, exchange: Exchange, at: float) -> None:
        """See ``Observer.on_exchange``."""
        reply = exchange.reply
        if reply.facts.retry_after is not None:
            self._blocked_until = max(self._blocked_until, at + reply.facts.retry_after)
        match reply:
            case ImageReply(result=NotFound()):
                record = self._record_of(request.targets[0].image_id)
                if record is not None:
                    record.first_404_in = record.first_404_in or len(self._cycle_starts)
            case ProbeReply(
                before=Found() | Listed(), suspect=NotFound(), after=Found() | Listed()
            ):
                self._probes_in_cycle += 1
                record = self._record_of(request.targets[0].image_id)
                if record is not None:
                    record.probes += 1

    def on_cycle_start(self, at: float) -> None:
        """See ``Observer.on_cycle_start``."""
        self._start_of_cycle = at
        self._cycle_starts.append(at)
        self._suspects.clear()
        self._probes_before = (
            0 if self._is_any_found else self._probes_before + self._probes_in_cycle
        )
        self._probes_in_cycle = 0
        self._is_any_found = False
        self._existing = [
            record
            for record in self._images.values()
            if record.version >= 0 and record.timeline.states[record.version].exists
        ]
        self._expected_polls = len(self._images)
        for record in self._images.values():
            record.outcomes, record.is_new = 0, False

    def on_outcome(
        self, target: Target, outcome: Outcome, before: Observation, after: Observation, at: float
    ) -> None:
        """See ``Observer.on_outcome``."""
        image_id = target.image_id
        record = self._images[image_id]
        record.outcomes += 1
        if after.change_counts is not before.change_counts:
            self._check_counts(image_id, before.change_counts, after.change_counts, at)
        record.is_gone = after.change_baseline.exists is False
        match outcome:
            case Failed():
                return
            case Found():
                record.probes, record.first_404_in, self._is_any_found = 0, 0, True
                self._found_since_start = True
                is_real = self._check_found(image_id, record, outcome, after, at)
            case Gone():
                is_known = record.known_gone_in == len(self._cycle_starts)
                if before.change_baseline.exists is not False and not is_known:
                    self._check_evidence(image_id, record, at)
                is_real = self._check_gone(image_id, record, before, after, at)
        if is_real:
            record.is_excused = False

    def on_contradiction(self, contradiction: Contradiction, at: float) -> None:
        """See ``Observer.on_contradiction``."""
        self.statistics.contradictions += 1
        self._contradicted_at = at
        record = self._record_of(contradiction.image_id)
        # The contradicting responses may be those of two consecutive cycles.
        since = self._cycle_starts[-2] if len(self._cycle_starts) > 1 else 0.0
        has_changed = record is not None and record.timeline.version(
            since
        ) != record.timeline.version(at)
        if not (self._lies or has_changed):
            detail = f"{contradiction.kind.value} {contradiction.request_ids}"
            self._report(Check.FALSE_CONTRADICTION, at, contradiction.image_id, detail)

    def on_reload(self) -> None:
        """See ``Observer.on_reload``."""
        for record in self._images.values():
            record.late_cycles = 0

    def on_restart(self) -> None:
        """See ``Observer.on_restart``."""
        self._blocked_until = -inf
        self._state = None
        self._found_since_start = False
        for record in self._images.values():
            record.version, record.late_cycles, record.is_excused = -1, 0, False
            record.is_gone = False
            record.probes = record.first_404_in = 0
        self._contradicted_at = -inf

    def on_watch_change(self, added: Collection[str], removed: Collection[str], _: float) -> None:
        """See ``Observer.on_watch_change``."""
        for image_id in removed:
            record = self._removed[image_id] = self._images.pop(image_id)
            record.known_gone_in = len(self._cycle_starts) if record.is_gone else 0
        for image_id in added:
            # Nothing was reported about it, but a request in flight may still be its evidence.
            record = self._removed.pop(image_id)
            self._images[image_id] = ImageRecord(
                record.timeline,
                probes=record.probes,
                first_404_in=record.first_404_in,
                known_gone_in=record.known_gone_in,
                is_new=True,
            )
        self._expected_polls += len(added)

    def on_cycle_end(self, report: CycleReport) -> None:
        """See ``Observer.on_cycle_end``."""
        statistics, images = self.statistics, len(self._images)
        statistics.cycles += 1
        statistics.image_cycles += images
        statistics.requests += report.requests
        lies = any(lie.start < report.end and report.start < lie.end for lie in self._lies)
        statistics.bad_image_cycles += images if lies else 0
        self._check_outcomes(report)
        self._check_costs(report)
        if not report.is_complete:
            return
        self._check_state(report)
        self._check_missed(report, troubled=self._is_troubled(report))

    # Checks

    def _record_of(self, image_id: str) -> ImageRecord | None:
        """Return the record of an image that is or was watched."""
        return self._images.get(image_id) or self._removed.get(image_id)

    def _check_found(
        self, image_id: str, record: ImageRecord, found: Found, after: Observation, at: float
    ) -> bool:
        """Return True if a counted change to a version really happened."""
        version = version_of(found.request_id)
        changes = after.new_changes
        if version > record.version:
            self._accept(record, version)
            self.statistics.changes += len(changes)
            return True
        if not changes:
            return not record.is_excused
        if record.is_excused:
            return True
        was_gone = not record.timeline.states[record.version].exists
        excluded = Excluded.STALE_SERVES_DELETED if was_gone and version < record.version else None
        detail = f"{changes}: version {version} after {record.version}"
        self._report(Check.FALSE_CHANGE, at, image_id, detail, excluded)
        record.is_excused = True
        return False

    def _check_gone(
        self,
        image_id: str,
        record: ImageRecord,
        before: Observation,
        after: Observation,
        at: float,
    ) -> bool:
        """Return True if an image that was reported as gone did not exist in this cycle."""
        timeline = record.timeline
        first, last = timeline.version(self._start_of_cycle), timeline.version(at)
        for version in range(last, first - 1, -1):
            if timeline.states[version].exists:
                continue
            if timeline.states[version].image is not None:
                # An administrator still sees the deleted image, which this 404 is not about.
                return not record.is_excused
            if version > record.version:
                self._accept(record, version)
                self.statistics.changes += len(after.new_changes)
            elif after.new_changes and not record.is_excused:
                detail = f"{after.new_changes}: reported before"
                self._report(Check.FALSE_CHANGE, at, image_id, detail)
            return True
        if before.change_baseline.exists is not False:
            self._report(Check.FALSE_GONE, at, image_id, f"version {last} exists")
            record.is_excused = True
            return False
        return not record.is_excused

    def _check_evidence(self, image_id: str, record: ImageRecord, at: float) -> None:
        """Check the evidence for an image that was not known to be gone."""
        # If no image at all is found, all suspects share the evidence, also that of earlier cycles
        # in which they were 404.
        is_first_cycle = record.first_404_in == len(self._cycle_starts)
        shared = self._probes_in_cycle + (0 if is_first_cycle else self._probes_before)
        probes = record.probes if self._is_any_found else shared
        if max(probes, record.probes) < bounds.MIN_PROBES:
            self._report(Check.EVIDENCE, at, image_id, f"{probes} conclusive probes")
        if is_first_cycle and at < self._contradicted_at + bounds.CONTRADICTION_MEMORY:
            self._report(Check.EVIDENCE, at, image_id, "one cycle, in spite of contradictions")

    def _accept(self, record: ImageRecord, version: int) -> None:
        """Record that a newer version was reported, and the delay of a deletion."""
        states = record.timeline.states
        if record.version >= 0 and not states[version].exists and states[version - 1].exists:
            cycle_of_change = bisect_right(self._cycle_starts, states[version].at)
            delay = len(self._cycle_starts) - cycle_of_change
            self.statistics.deletion_delays[delay] += 1
            if self._bad_share == 1 / 3:
                self.statistics.third_delays[delay] += 1
        record.version = version

    def _check_counts(
        self, image_id: str, before: ChangeCounts, after: ChangeCounts, at: float
    ) -> None:
        for of in fields(ChangeCounts):
            if getattr(after, of.name) < getattr(before, of.name):
                self._report(Check.COUNTER_FELL, at, image_id, of.name)

    def _check_outcomes(self, report: CycleReport) -> None:
        for image_id, record in self._images.items():
            may_lack_one = record.is_new or not report.is_complete
            is_right = record.outcomes == 1 or (record.outcomes == 0 and may_lack_one)
            if not is_right:
                self._report(Check.OUTCOMES, report.end, image_id, f"{record.outcomes} outcomes")

    def _check_costs(self, report: CycleReport) -> None:
        world = self._world
        if report.most_in_flight > world.concurrency:
            self._report(Check.CONCURRENCY, report.end, "", f"{report.most_in_flight} in flight")
        is_simple = not (world.faults or self._contradicted_at > -inf)
        evidence = bounds.EVIDENCE_REQUESTS if is_simple else bounds.MAX_EVIDENCE_REQUESTS
        allowed = (
            bounds.FIXED_REQUESTS
            + bounds.REQUESTS_PER_IMAGE * self._expected_polls
            + evidence * len(self._suspects)
        )
        if report.requests > allowed:
            detail = f"{report.requests} requests, {allowed} allowed"
            self._report(Check.REQUESTS, report.end, "", detail)

    def _check_state(self, report: CycleReport) -> None:
        old, new = self._state, report.state
        self._state = new
        if old is None:
            return
        fell = [
            name
            for name in ("polls", "retries", "rate_limit_wait", "contradictions")
            if getattr(new, name) < getattr(old, name)
        ] + [
            reason for reason, count in old.failures.items() if new.failures.get(reason, 0) < count
        ]
        if fell:
            self._report(Check.COUNTER_FELL, report.end, "", ", ".join(fell))

    def _is_troubled(self, report: CycleReport) -> bool:
        """Return True if a cycle could not request everything: no bound holds in it."""
        return (
            report.end >= report.start + self._world.pacing.sending_time
            or self._blocked_until > report.start
            or any(
                fault.start < report.end and report.start < fault.end for fault in self._troubles
            )
        )

    def _check_missed(self, report: CycleReport, *, troubled: bool) -> None:
        """Count the cycles whose result is older than the start of the cycle."""
        has_lost_control = self._has_lost_control(report)
        have_vanished = self._have_vanished(report)
        begins_again = have_vanished and self._was_troubled
        self._was_troubled = troubled
        allowed = self._allowed_cycles() + have_vanished * bounds.VANISH_CYCLES
        for image_id, record in self._images.items():
            if record.is_new:
                continue
            timeline, version = record.timeline, record.version
            first = timeline.version(report.start)
            is_gone = record.is_gone and not timeline.states[first].exists
            is_reported = version >= first or is_gone or self._is_unprovable(record, first)
            if has_lost_control or is_reported or self._looks_current(record, first, report.end):
                record.late_cycles = 0
            elif not troubled and first == timeline.version(report.end):
                # Evidence that is gathered while the image changes contradicts itself.
                record.late_cycles = 1 if begins_again else record.late_cycles + 1
                if record.late_cycles > allowed:
                    detail = f"version {version} after {record.late_cycles} cycles, not {first}"
                    excluded = self._excluded_miss(record, timeline.states[first])
                    self._report(Check.MISSED_CHANGE, report.end, image_id, detail, excluded)
                    record.late_cycles = 0

    def _looks_current(self, record: ImageRecord, first: int, end: float) -> bool:
        """Return True if the reported version looks like one that was current in the cycle."""
        if record.version < 0:
            return False
        states = record.timeline.states
        last = record.timeline.version(end)
        reported = states[record.version].signature
        return any(state.signature == reported for state in states[first : last + 1])

    def _is_unprovable(self, record: ImageRecord, version: int) -> bool:
        """Return True if an image is missing as all images of a wrong project are."""
        is_list_empty = self._world.unwatched == 0 and not self._found_since_start
        return is_list_empty and not record.timeline.states[version].exists

    def _has_lost_control(self, report: CycleReport) -> bool:
        """Return True if images existed when the cycle began, and none until it ended."""
        timelines = [record.timeline for record in self._images.values()]
        return (
            self._world.unwatched == 0
            and any(of.states[of.version(report.start)].exists for of in timelines)
            and not any(of.existed_throughout(report.start, report.end) for of in timelines)
        )

    def _have_vanished(self, report: CycleReport) -> bool:
        """Return True if all images that existed vanished at once: a second cycle has to agree."""
        return len(self._existing) >= bounds.MASS_IMAGES and not any(
            record.timeline.existed_throughout(report.start, report.end)
            for record in self._existing
        )

    def _allowed_cycles(self) -> int:
        """Return the complete cycles that may pass before a change is reported."""
        allowed = bounds.cycles_to_report(self._bad_share)
        if self._contradicted_at > -inf:
            allowed = max(allowed, bounds.EVIDENCE_CYCLES - 1)
        return allowed

    def _is_shared_again(self, record: ImageRecord, current: ImageState) -> bool:
        """Return True if an image is back exactly as it was before it was reported as gone."""
        earlier = record.timeline.states[: record.version]
        is_back = record.is_gone and current.exists
        return is_back and any(state.image == current.image for state in earlier)

    def _excluded_miss(self, record: ImageRecord, current: ImageState) -> Excluded | None:
        world = self._world
        is_stale = any(lie.kind is FaultKind.STALE for lie in self._lies)
        if is_stale and not current.exists and record.timeline.states[record.version].exists:
            return Excluded.STALE_SERVES_DELETED
        if self._lies and self._is_shared_again(record, current):
            return Excluded.SHARED_UNCHANGED
        is_pinned = world.keep_alive > 0 and not world.balancing.is_per_request
        if is_pinned and is_stale:
            return Excluded.PINNED_TO_STALE
        if self._lies and not (world.balancing.is_random or world.background):
            return Excluded.RESONANCE
        return None

    def _report(
        self,
        check: Check,
        at: float,
        image_id: str,
        detail: str,
        excluded: Excluded | None = None,
    ) -> None:
        about_truth = check in {Check.FALSE_GONE, Check.FALSE_CHANGE, Check.MISSED_CHANGE}
        if about_truth and self._bad_share > bounds.MAX_BAD_SHARE:
            excluded = Excluded.MAJORITY_LIES
        if excluded is not None:
            self.statistics.excluded[excluded] += 1
            return
        self.statistics.violations[check] += 1
        self.violations.append(Violation(check, at, image_id, detail))
