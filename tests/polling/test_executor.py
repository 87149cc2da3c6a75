import threading
from collections.abc import Callable

import pytest

from exporter.clock import steady
from exporter.model.outcome import Failed, Outcome
from exporter.model.replies import PollReply
from exporter.model.target import Target
from exporter.polling.engine.cycle import Cycle
from exporter.polling.engine.pacing import CyclePacing
from exporter.polling.engine.types import CycleHistory, PollRequest
from exporter.polling.executor import CycleExecutor
from tests.support.polled_cloud import GENEROUS, threads
from tests.support.simulated_cycle import FakeReply, found, image_id_of, targets
from tests.support.wait import wait_until

IDS = [f"image-{number}" for number in range(30)]


class ExecutorRun:
    """An executor of a cycle, and the results it published."""

    def __init__(
        self,
        perform: Callable[[PollRequest], PollReply],
        *,
        size: int = 4,
        interval: float = GENEROUS,
        new: bool = True,
        publish: Callable[[], None] = lambda: None,
    ) -> None:
        pacing = CyclePacing(interval, interval, size)
        history = (
            CycleHistory(immediate=frozenset(IDS)) if new else CycleHistory(existing=frozenset(IDS))
        )
        self.start = steady()
        self.interval = interval
        self.cycle = Cycle(targets(*IDS), history, pacing, self.start, lambda: 0.0)
        self.results: list[tuple[Target, Outcome]] = []
        self.retracted: list[tuple[Target, Failed]] = []

        def collect() -> None:
            publish()
            self.results += self.cycle.results.take_outcomes()
            self.retracted += self.cycle.results.take_retracted()

        self.executor = CycleExecutor(self.cycle, perform, collect, steady, size)

    def run(self) -> list[tuple[Target, Outcome]]:
        """Run the cycle to its end."""
        self.executor.run(self.start + self.interval)
        return self.results


def reply_found(request: PollRequest) -> PollReply:
    """Reply that the image exists."""
    return FakeReply(found(image_id_of(request)), seconds=0.0).reply(request.kind, steady())


def ids_with_outcome(results: list[tuple[Target, Outcome]]) -> list[str]:
    """Return the IDs that have an outcome, sorted."""
    return sorted(target.image_id for target, _ in results)


def test_every_image_is_polled_and_all_threads_end() -> None:
    run = ExecutorRun(reply_found)
    assert ids_with_outcome(run.run()) == sorted(IDS)
    assert steady() - run.start < GENEROUS / 2
    wait_until(lambda: not threads())


@pytest.mark.parametrize("size", [1, 2, 7])
def test_as_many_requests_as_allowed_are_in_flight(size: int) -> None:
    lock, full = threading.Lock(), threading.Event()
    flying, most = 0, 0

    def perform(request: PollRequest) -> PollReply:
        nonlocal flying, most
        with lock:
            flying += 1
            most = max(most, flying)
            if flying == size:
                full.set()
        full.wait(GENEROUS)
        with lock:
            flying -= 1
        return reply_found(request)

    run = ExecutorRun(perform, size=size)
    assert ids_with_outcome(run.run()) == sorted(IDS)
    assert most == size


def test_spread_requests_are_sent_on_time_by_few_threads() -> None:
    times: list[float] = []
    names: set[int] = set()

    def perform(request: PollRequest) -> PollReply:
        times.append(steady())
        names.add(threading.get_ident())
        return reply_found(request)

    run = ExecutorRun(perform, interval=0.6, new=False)
    assert ids_with_outcome(run.run()) == sorted(IDS)
    gap = 0.8 * 0.6 / len(IDS)
    assert all(time >= run.start + place * gap - 0.001 for place, time in enumerate(sorted(times)))
    assert len(names) <= 4


def test_crash_of_one_poll_is_internal_and_others_continue(
    caplog: pytest.LogCaptureFixture,
) -> None:

    def perform(request: PollRequest) -> PollReply:
        if image_id_of(request) == IDS[3]:
            raise ZeroDivisionError("as the test has it")
        return reply_found(request)

    outcomes = {target.image_id: outcome for target, outcome in ExecutorRun(perform).run()}
    assert outcomes[IDS[3]] == Failed(
        "internal", "internal error: the log of the exporter has the traceback"
    )
    assert [image_id for image_id in IDS if isinstance(outcomes[image_id], Failed)] == [IDS[3]]
    assert "ZeroDivisionError: as the test has it" in caplog.text


def test_crash_of_the_cycle_ends_it_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    broken = [True]

    def publish() -> None:
        if broken and run.cycle.stats.polls > 3:
            broken.clear()
            raise ZeroDivisionError("as the test has it")

    run = ExecutorRun(reply_found, publish=publish)
    assert ids_with_outcome(run.run()) == sorted(IDS)
    assert steady() - run.start < GENEROUS / 2
    assert "polling thread crashed" in caplog.text
    wait_until(lambda: not threads())


def test_hanging_requests_time_out_at_the_end() -> None:
    go_on = threading.Event()

    def perform(request: PollRequest) -> PollReply:
        go_on.wait(GENEROUS)
        return reply_found(request)

    run = ExecutorRun(perform, interval=0.2)
    results = run.run()
    assert steady() - run.start < 2.0
    assert ids_with_outcome(results) == sorted(IDS)
    reasons = [outcome.reason for _, outcome in results if isinstance(outcome, Failed)]
    assert (reasons.count("timeout"), reasons.count("not_polled")) == (4, 26)
    go_on.set()
    wait_until(lambda: not threads())
    assert len(run.results) == len(IDS)


def test_stop_ends_the_cycle_at_once() -> None:
    go_on, begun = threading.Event(), threading.Event()

    def perform(request: PollRequest) -> PollReply:
        begun.set()
        go_on.wait(GENEROUS)
        return reply_found(request)

    run = ExecutorRun(perform)
    running = threading.Thread(target=run.run)
    running.start()
    assert begun.wait(GENEROUS)
    run.executor.stop()
    running.join(1.0)
    assert not running.is_alive()
    assert ids_with_outcome(run.results) == sorted(IDS)
    go_on.set()
    wait_until(lambda: not threads())


def test_retraction_is_published() -> None:
    run = ExecutorRun(reply_found)
    run.run()
    run.executor.retract(IDS[0])
    assert [target.image_id for target, _ in run.retracted] == [IDS[0]]
