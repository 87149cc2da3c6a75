"""Sample lines of neighbouring targets, in memory once and compressed."""

from array import array
from collections.abc import Sequence

from exporter.metrics import gzip_stream
from exporter.metrics.checksum import EMPTY, Checksum


class RenderedText:
    """The samples of one metric family for neighbouring targets.

    The plain text takes seven times the memory of the compressed one, so it is made when needed.
    The lengths locate the text of each target in it.

    Attributes:
        compressed: The text as a chunk of a gzip stream.
        checksum: The checksum of the plain text.
    """

    __slots__ = ("_lengths", "_target_count", "checksum", "compressed")

    def __init__(self, target_count: int) -> None:
        self._target_count = target_count
        self._lengths = _NO_LENGTHS
        self.compressed = b""
        self.checksum = EMPTY

    @property
    def plain(self) -> bytes:
        """The plain text."""
        return gzip_stream.decompress_chunk(self.compressed) if self.compressed else b""

    def part(self, start: int, end: int) -> bytes:
        """Return the plain text of the targets from index ``start`` to ``end``, exclusively."""
        first = sum(self._lengths[:start])
        return self.plain[first : first + sum(self._lengths[start:end])]

    def replace(self, indexes: Sequence[int], texts: Sequence[str]) -> bool:
        """Replace the texts of targets, and return true if any is different.

        Args:
            indexes: The indexes of the targets, in ascending order.
            texts: The text of each of these targets.
        """
        is_empty = not any(texts)
        if is_empty and not self.checksum.size:
            return False
        if len(texts) == self._target_count:
            if is_empty:
                self._drop_all()
                return True
            return self._replace_all(texts)
        plain = self.plain
        pieces = self._split(plain)
        for index, text in zip(indexes, texts, strict=True):
            pieces[index] = text.encode()
        replaced = b"".join(pieces)
        if replaced != plain:
            self._set(replaced, Checksum.of(replaced))
        self._set_lengths(list(map(len, pieces)))
        return replaced != plain

    def _drop_all(self) -> None:
        """Drop the texts of all targets, whose values often expire together."""
        self._lengths = _NO_LENGTHS
        self._set(b"", EMPTY)

    def _replace_all(self, texts: Sequence[str]) -> bool:
        """Replace the texts of all targets."""
        joined = "".join(texts)
        replaced = joined.encode()
        is_ascii = len(replaced) == len(joined)
        encoded = texts if is_ascii else [text.encode() for text in texts]
        self._set_lengths(list(map(len, encoded)))
        checksum = Checksum.of(replaced)
        # Equal checksums are almost proof, and spare to decompress a text that is different.
        if checksum == self.checksum and replaced == self.plain:
            return False
        self._set(replaced, checksum)
        return True

    def _set(self, plain: bytes, checksum: Checksum) -> None:
        self.compressed = gzip_stream.compress_chunk(plain) if plain else b""
        self.checksum = checksum

    def _set_lengths(self, lengths: Sequence[int]) -> None:
        longest = max(lengths)
        self._lengths = (
            array("I" if longest > MAX_SHORT else "H", lengths) if longest else _NO_LENGTHS
        )

    def _split(self, plain: bytes) -> list[bytes]:
        """Return the part of each target in the plain text."""
        pieces = []
        start = 0
        for length in self._lengths or [0] * self._target_count:
            pieces.append(plain[start : start + length])
            start += length
        return pieces


MAX_SHORT = 2**16 - 1
"""The longest text whose length fits into two bytes."""

_NO_LENGTHS = array("H")
"""The lengths if no target has a text."""
