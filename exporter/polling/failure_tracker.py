"""Detection of new failures, so that the log shows each cause once and is not flooded.

The detail of a failure may contain a number, an address or a request ID that differs in every
response. Two failures have the same cause if their reasons are equal and their details are equal
after such varying words are masked.
"""

import re
from typing import NamedTuple

from exporter.model.outcome import Failed, Reason

MAX_CAUSE_CHANGES = 3
"""Changes of the cause that are logged while the reason stays the same, until a success.

Without a limit, a cause that alternates, for example between a refused and a reset connection,
would be logged forever.
"""

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_VARYING_WORD = re.compile(r".*\d|\W*[a-fA-F]{8,}\W*$")


class Cause(NamedTuple):
    """The parts of a failure that are equal for all failures of one cause."""

    reason: Reason
    detail: str

    @classmethod
    def of(cls, failed: Failed) -> "Cause":
        """Return the cause of a failure."""
        return cls(failed.reason, _masked(failed.detail))


class FailureTracker:
    """The failures of one repeated operation: the poll of an image, discovery, authentication."""

    def __init__(self) -> None:
        self._last: Cause | None = None
        self._cause_changes = 0

    @property
    def reason(self) -> Reason | None:
        """Return the reason of the last failure, ``None`` after a success."""
        return None if self._last is None else self._last.reason

    def record_failure(self, cause: Cause) -> bool:
        """Record a failure; return True if it should be logged."""
        last, self._last = self._last, cause
        if last is None or last.reason != cause.reason:
            self._cause_changes = 0
            return True
        if last == cause:
            return False
        self._cause_changes += 1
        return self._cause_changes <= MAX_CAUSE_CHANGES

    def record_success(self) -> bool:
        """Record a success; return True if there was a failure before."""
        had_failed, self._last = self._last is not None, None
        self._cause_changes = 0
        return had_failed


def _masked(detail: str) -> str:
    """Return a detail without quoted text, words with digits and hexadecimal words."""
    words = _QUOTED.sub("''", detail).split()
    return " ".join("#" if _VARYING_WORD.match(word) else word for word in words)
