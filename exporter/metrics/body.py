"""The body of a response in pieces."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


class Piece(Protocol):
    """A piece of a body: bytes, or something that makes parts of them when they are sent."""

    def __getitem__(self, part: slice, /) -> bytes:
        """Return a part of the bytes, shorter at their end."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body of a known size in pieces, which may be made while they are sent.

    Attributes:
        size: Bytes of all pieces.
        pieces: The pieces; they can be iterated several times.
    """

    size: int
    pieces: Iterable[Piece]

    @classmethod
    def of(cls, pieces: Sequence[bytes]) -> "Body":
        """Return the body of these pieces."""
        return cls(sum(map(len, pieces)), pieces)

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the bytes of the pieces."""
        return (piece[:] for piece in self.pieces)
