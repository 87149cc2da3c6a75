"""Refused connections: all are counted, but logged once a minute, as any client causes them."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping

from exporter.metrics.exporter_metrics import Refusal

log = logging.getLogger(__name__)

LOG_INTERVAL = 60.0
"""Seconds between two log lines of the same reason."""

MESSAGES: Mapping[Refusal, str] = {
    Refusal.ADDRESS_LIMIT: "too many connections from one address",
    Refusal.CONNECTION_LIMIT: "too many connections",
    Refusal.CLIENT_CERTIFICATE: "client certificate refused",
}


class Refusals:
    """Counts refused connections by reason, and logs them.

    Args:
        count: Called with the reason of each refusal.
    """

    def __init__(self, count: Callable[[Refusal], object] = lambda _: None) -> None:
        self._count = count
        self._totals: Counter[Refusal] = Counter()
        self._next_log_at: dict[tuple[Refusal, object], float] = {}

    def record(self, reason: Refusal, now: float, fields: Mapping[str, object]) -> None:
        """Count a connection that is refused or closed, and log it once in ``LOG_INTERVAL``.

        Args:
            reason: The reason.
            now: Monotonic time.
            fields: Fields of the log line. Each ``reason`` in them is logged by itself: clients
                without a certificate do not hide that of Prometheus, which has expired.
        """
        self._count(reason)
        self._totals[reason] += 1
        detailed = (reason, fields.get("reason"))
        if now < self._next_log_at.get(detailed, now):
            return
        self._next_log_at[detailed] = now + LOG_INTERVAL
        total = {"closed_since_start": self._totals[reason]}
        log.warning(MESSAGES[reason], extra={"fields": {**fields, **total}})
