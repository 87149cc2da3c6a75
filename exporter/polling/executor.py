"""Threads that send the requests of one cycle.

Each thread takes a request from the cycle, sends it, and passes the reply back. A thread with
nothing to send waits in one of three roles::

                      next() returns a request
            +----------------- WORKING <------------------+
            |  _send: wake or   ^   |                     |
            |  start a thread   |   | next() returns Wait |
            +-------------------+   v                     |
        is there a leader?  -- no --> LEADER: waits until the next request is due
              | yes                                       ^
        is there a deputy?  -- no --> DEPUTY: waits until HANDOFF_DELAY after that
              | yes                                       ^
              +-------------------> RESTING: waits until it is woken by _wake_next

So a single thread polls an API that responds immediately, because handing a request over to another
thread takes longer than sending it. The deputy takes over if the leader is still busy. A slow API
is polled by as many threads as needed, up to the number of requests that may be in flight.

One lock guards all fields. It is released only while waiting or sending.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from math import inf

from exporter.model.outcome import Failed
from exporter.model.replies import PollReply, RequestFacts
from exporter.polling.engine.cycle import Cycle
from exporter.polling.engine.types import Done, Group, PollRequest, Wait, failed_reply

log = logging.getLogger(__name__)

HANDOFF_DELAY = 0.01
"""Seconds for which a request may be overdue before another thread takes it."""


class Waiter:
    """A role that at most one waiting thread has; used with the lock held."""

    def __init__(self, lock: threading.Lock, clock: Callable[[], float]) -> None:
        self._condition = threading.Condition(lock)
        self._clock = clock
        self.occupied = False
        self.until = inf

    def wait(self, until: float) -> None:
        """Wait until that time, or until ``wake``."""
        self.occupied, self.until = True, until
        timeout = None if until == inf else max(0.0, until - self._clock())
        self._condition.wait(timeout)
        self.occupied, self.until = False, inf

    def wake(self) -> None:
        """Wake the thread that waits here, if any."""
        self._condition.notify()


class CycleExecutor:
    """Runs one cycle with at most ``max_threads`` threads.

    ``send`` sends a request and returns its reply. ``publish`` is called with the lock held,
    whenever the cycle may have new results.
    """

    def __init__(
        self,
        cycle: Cycle,
        send: Callable[[PollRequest], PollReply],
        publish: Callable[[], None],
        clock: Callable[[], float],
        max_threads: int,
    ) -> None:
        self._cycle = cycle
        self._send_request = send
        self._publish = publish
        self._clock = clock
        self._max_threads = max_threads
        self._lock = threading.Lock()
        self._leader = Waiter(self._lock, clock)
        self._deputy = Waiter(self._lock, clock)
        self._rest = threading.Condition(self._lock)
        self._threads = 0
        self._resting = 0
        self._stopped = False
        self._finished = threading.Event()

    def run(self, end: float) -> None:
        """Run the cycle; return when it is done, at ``end`` at the latest."""
        with self._lock:
            self._start_thread()
        self._finished.wait(max(0.0, end - self._clock()))
        self.stop()

    def stop(self) -> None:
        """End the cycle now; ignore replies that are still to come."""
        with self._lock:
            if not self._stopped:
                self._close_cycle()
            self._stop_threads()

    def add(self, groups: Sequence[Group]) -> bool:
        """Poll further targets at once; return False if the cycle ends too soon for them."""
        with self._lock:
            if self._stopped or not self._cycle.add(groups, self._clock()):
                return False
            if self._threads:
                self._wake_next()
            return True

    def retract(self, image_id: str) -> None:
        """Replace the outcome of an image by a failure, see ``Cycle.retract``."""
        with self._lock:
            self._cycle.retract(image_id)
            self._publish()

    # The methods below are called with the lock held.

    def _start_thread(self) -> None:
        self._threads += 1
        threading.Thread(target=self._work, name="poll", daemon=True).start()

    def _work(self) -> None:
        with self._lock:
            try:
                self._send_until_done()
            except Exception:
                log.exception("polling thread crashed")
                self._close_cycle()
            finally:
                self._threads -= 1
                if self._stopped:
                    self._stop_threads()

    def _send_until_done(self) -> None:
        while not self._stopped:
            step = self._cycle.next(self._clock())
            self._publish()
            match step:
                case Done():
                    self._stopped = True
                case Wait(until):
                    self._wait(until)
                case PollRequest():
                    self._send(step)

    def _send(self, request: PollRequest) -> None:
        """Send a request with the lock released; another thread takes the next one meanwhile."""
        self._wake_next()
        self._lock.release()
        started_at = self._clock()
        try:
            reply = self._send_request(request)
        except Exception:
            log.exception("poll crashed")
            failed = Failed("internal", "internal error: the log of the exporter has the traceback")
            reply = failed_reply(request, failed, RequestFacts(started_at, self._clock()))
        finally:
            self._lock.acquire()
        if not self._stopped:
            self._cycle.on_reply(request, reply, self._clock())
            self._publish()

    def _wake_next(self) -> None:
        """Make sure that some thread takes the next request from the cycle soon."""
        if min(self._leader.until, self._deputy.until) <= self._clock() + HANDOFF_DELAY:
            return
        if self._leader.occupied:
            self._leader.wake()
        elif self._deputy.occupied:
            self._deputy.wake()
        elif self._resting:
            self._rest.notify()
        elif self._threads < self._max_threads:
            self._start_thread()

    def _wait(self, until: float) -> None:
        """Wait as the leader, as the deputy, or until woken; see the module's docstring."""
        if not self._leader.occupied:
            self._leader.wait(until)
            return
        if until < self._leader.until:
            self._leader.wake()
        if not self._deputy.occupied:
            self._deputy.wait(until + HANDOFF_DELAY)
            return
        self._resting += 1
        self._rest.wait()
        self._resting -= 1

    def _close_cycle(self) -> None:
        self._stopped = True
        self._cycle.close()
        self._publish()

    def _stop_threads(self) -> None:
        self._stopped = True
        self._finished.set()
        self._leader.wake()
        self._deputy.wake()
        self._rest.notify_all()
