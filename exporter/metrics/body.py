"""The body of a response in pieces."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Body:
    """A body of a known size in pieces, which may be made while they are sent.

    Attributes:
        size: Bytes of all pieces.
        pieces: The pieces; they can be iterated several times.
    """

    size: int
    pieces: Iterable[bytes]

    @classmethod
    def of(cls, pieces: Sequence[bytes]) -> "Body":
        """Return the body of these pieces."""
        return cls(sum(map(len, pieces)), pieces)

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the pieces."""
        return iter(self.pieces)
