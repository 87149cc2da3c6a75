"""What a cycle says is to be done next."""

from enum import Enum
from typing import NamedTuple

from exporter.image.target import Target


class Kind(Enum):
    """What a question is for."""

    POLL = "poll"
    CONFIRM = "confirm"
    WITNESS = "witness"
    LIST = "list"


class Ask(NamedTuple):
    """One question; ``target`` is ``None`` for the list only."""

    kind: Kind
    target: Target | None
    attempt: int = 0


class Wait(NamedTuple):
    """Nothing to ask before ``until``, unless an answer changes that."""

    until: float


class Done(NamedTuple):
    """Every image has its outcome."""
