"""Contradictions: responses of one API that cannot all be true."""

from enum import Enum
from typing import NamedTuple


class ContradictionKind(Enum):
    """The kinds of contradictions between two responses about one image."""

    NOT_FOUND = "404 and 200 without a change in between"
    NOT_LISTED = "left out of a list that had it before, but found by its ID"
    OLDER = "an answer that is older than one received before"


class Contradiction(NamedTuple):
    """Two responses about one image that cannot both be true.

    The request IDs name the servers in the logs of the service. One is empty if its response had
    none, or if it was received in an earlier cycle.
    """

    image_id: str
    kind: ContradictionKind
    request_ids: tuple[str, str]
