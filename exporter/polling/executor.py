"""The threads that carry out one cycle.

Each takes a question from the cycle, asks it, and gives the answer back. Of those that have
nothing to ask, one, the leader, waits for the next question's time. Another, the deputy, looks a
moment later, and steps in where the leader is still busy; the others rest. So a service that
answers at once is asked by one thread, without handing over, which costs more than asking, and a
slow one by as many as it takes. There are never more threads than requests may be in flight.
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
"""Seconds that a question may be overdue before another thread sees to it."""


class Waiter:
    """A place for one thread that waits for a time; used with the lock held."""

    def __init__(self, lock: threading.Lock, clock: Callable[[], float]) -> None:
        self._called = threading.Condition(lock)
        self._clock = clock
        self.taken = False
        self.until = inf

    def keep(self, until: float) -> None:
        """Waits until that time, or until somebody calls."""
        self.taken, self.until = True, until
        self._called.wait(None if until == inf else max(0.0, until - self._clock()))
        self.taken, self.until = False, inf

    def call(self) -> None:
        """Wakes the thread that waits here, if there is one."""
        self._called.notify()


class CycleExecutor:
    """Runs one cycle with at most ``size`` threads.

    ``perform`` asks one question and returns its reply; ``publish`` is called with the lock held,
    whenever the cycle may have new verdicts.
    """

    def __init__(
        self,
        cycle: Cycle,
        perform: Callable[[PollRequest], PollReply],
        publish: Callable[[], None],
        clock: Callable[[], float],
        size: int,
    ) -> None:
        self._cycle = cycle
        self._perform = perform
        self._publish = publish
        self._clock = clock
        self._size = size
        self._lock = threading.Lock()
        self._leader = Waiter(self._lock, clock)
        self._deputy = Waiter(self._lock, clock)
        self._others = threading.Condition(self._lock)
        self._threads = 0
        self._resting = 0
        self._over = False
        self._finished = threading.Event()

    def run(self, end: float) -> None:
        """Carries the cycle out; returns when it is done, at ``end`` at the latest."""
        with self._lock:
            self._start_thread()
        self._finished.wait(max(0.0, end - self._clock()))
        self.stop()

    def stop(self) -> None:
        """Ends the cycle now; answers that are still to come are of no use any more."""
        with self._lock:
            if not self._over:
                self._over = True
                self._cycle.close()
                self._publish()
            self._release()

    def add(self, groups: Sequence[Group]) -> bool:
        """Has images asked for at once; says whether the cycle goes on for long enough."""
        with self._lock:
            if self._over or not self._cycle.add(groups, self._clock()):
                return False
            if self._threads:
                self._hand_over()
            return True

    def retract(self, image_id: str) -> None:
        """Takes an image's outcome back, see ``Cycle.retract``."""
        with self._lock:
            self._cycle.retract(image_id)
            self._publish()

    def _start_thread(self) -> None:
        self._threads += 1
        threading.Thread(target=self._work, name="poll", daemon=True).start()

    def _work(self) -> None:
        with self._lock:
            try:
                while not self._over:
                    step = self._cycle.next(self._clock())
                    self._publish()
                    match step:
                        case Done():
                            self._release()
                            return
                        case Wait(until):
                            self._wait(until)
                        case PollRequest():
                            self._ask(step)
            except Exception:
                log.exception("bug: a polling thread failed")
                self._over = True
                self._cycle.close()
                self._publish()
                self._release()
            finally:
                self._threads -= 1

    def _ask(self, ask: PollRequest) -> None:
        """Asks with the lock released, after making sure that somebody sees to what is next."""
        self._hand_over()
        self._lock.release()
        asked_at = self._clock()
        try:
            reply = self._perform(ask)
        except Exception:
            log.exception("bug: a poll failed")
            failed = Failed("internal", "a bug of the exporter: its log has the traceback")
            reply = failed_reply(ask.kind, failed, RequestFacts(asked_at, self._clock()))
        finally:
            self._lock.acquire()
        if not self._over:
            self._cycle.heard(ask, reply, self._clock())
            self._publish()

    def _hand_over(self) -> None:
        """Sees to it that somebody looks for the next question soon enough."""
        if min(self._leader.until, self._deputy.until) <= self._clock() + HANDOFF_DELAY:
            return
        if self._leader.taken:
            self._leader.call()
        elif self._deputy.taken:
            self._deputy.call()
        elif self._resting:
            self._others.notify()
        elif self._threads < self._size:
            self._start_thread()

    def _wait(self, until: float) -> None:
        if not self._leader.taken:
            self._leader.keep(until)
            return
        if until < self._leader.until:
            self._leader.call()
        if not self._deputy.taken:
            self._deputy.keep(until + HANDOFF_DELAY)
            return
        self._resting += 1
        self._others.wait()
        self._resting -= 1

    def _release(self) -> None:
        self._over = True
        self._finished.set()
        self._leader.call()
        self._deputy.call()
        self._others.notify_all()
