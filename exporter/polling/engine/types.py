"""What a cycle says is to be done next."""

from enum import Enum
from typing import NamedTuple

from exporter.model.outcome import Failed
from exporter.model.target import Target


class RequestKind(Enum):
    """What a question is for."""

    POLL = "poll"
    BATCH = "batch"
    CONFIRM = "confirm"
    WITNESS = "witness"
    LIST = "list"


POLLING = frozenset({RequestKind.POLL, RequestKind.BATCH})
"""The questions that decide what their images end as, when they fail for good."""


class PollRequest(NamedTuple):
    """One question about these targets: one, several for a batch, none for the list.

    ``attempt`` counts from 0, ``failure`` is how the attempt before ended. A batch is asked first
    for images that are not hidden, then for ``hidden`` ones; ``page`` is the path of a further
    page, the ``pages``-th. ``rest`` are targets that wait for the answer, to be asked for then.
    """

    kind: RequestKind
    targets: tuple[Target, ...] = ()
    attempt: int = 0
    failure: Failed | None = None
    hidden: bool = False
    page: str | None = None
    pages: int = 0
    rest: tuple[Target, ...] = ()

    @property
    def target(self) -> Target | None:
        """The target of a question about one; ``None`` of any other."""
        return self.targets[0] if len(self.targets) == 1 else None

    @property
    def decides(self) -> tuple[Target, ...]:
        """The targets that have failed when the question fails for good."""
        return (*(self.targets if self.kind in POLLING else ()), *self.rest)


class Wait(NamedTuple):
    """Nothing to ask before ``until``, unless an answer changes that."""

    until: float


class Done(NamedTuple):
    """Every image has its outcome."""
