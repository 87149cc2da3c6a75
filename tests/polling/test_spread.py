"""The start times of a cycle's requests, and the threads that send them."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import steady
from exporter.model.replies import PollReply
from exporter.polling.engine.cycle import Cycle
from exporter.polling.engine.pacing import SPREAD_FRACTION, TICK, CyclePacing, schedule
from exporter.polling.engine.types import CycleHistory, PollRequest
from exporter.polling.executor import CycleExecutor
from tests.support.polled_cloud import GENEROUS, threads
from tests.support.simulated_cycle import START, FakeReply, found, image_id_of, targets
from tests.support.wait import wait_until

IDS = [f"image-{number}" for number in range(30)]


@given(st.integers(1, 3000), st.floats(0.5, 100))
def test_polls_within_a_tick_start_together(count: int, interval: float) -> None:
    watched = targets(*(str(number) for number in range(count)))
    gap = SPREAD_FRACTION * interval / count
    times = [time for time, _ in schedule(watched, frozenset(), START, interval)]
    early = [START + index * gap - time for index, time in enumerate(times)]
    assert all(-1e-9 <= seconds < TICK for seconds in early)
    assert len(set(times)) == count or 2 * gap <= TICK


def test_polls_start_at_once_if_there_is_no_time_to_spread_them() -> None:
    """An example is a breaker that closes at the end of a cycle."""
    times = [time for time, _ in schedule(targets("a", "b"), frozenset(), START, 0.0)]
    assert times == [START, START]


def test_hanging_request_of_the_leader_delays_no_other() -> None:
    others_requested = threading.Event()
    requested: list[str] = []

    def perform(request: PollRequest) -> PollReply:
        image_id = image_id_of(request)
        if image_id == IDS[0]:
            others_requested.wait(GENEROUS)
        else:
            requested.append(image_id)
            if len(requested) == len(IDS) - 1:
                others_requested.set()
        return FakeReply(found(image_id), seconds=0.0).reply(request.kind, steady())

    start = steady()
    pacing = CyclePacing(2.0, GENEROUS, 2)
    cycle = Cycle(targets(*IDS), CycleHistory(existing=frozenset(IDS)), pacing, start, lambda: 0.0)
    executor = CycleExecutor(cycle, perform, lambda: None, steady, pacing.concurrency)
    executor.run(start + GENEROUS)
    assert requested == IDS[1:]
    assert cycle.stats.found == len(IDS)
    wait_until(lambda: not threads())
