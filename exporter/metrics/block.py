"""The lines of one family for some neighbouring targets."""

from array import array
from collections.abc import Mapping, Sequence

from exporter.metrics.gzip_stream import part

SIZE = 256
"""Targets in a block: enough to compress well, few enough to be cheap to replace."""


class RenderedChunk:
    """Rendered text in one piece, so that nothing is kept twice, with the place of each target."""

    __slots__ = ("_compressed", "_lengths", "plain")

    def __init__(self, texts: Sequence[bytes]) -> None:
        self.plain = b"".join(texts)
        self._lengths = array("I", map(len, texts))
        self._compressed: bytes | None = None

    @property
    def compressed(self) -> bytes:
        """The text as a part of a gzip member; made once."""
        if self._compressed is None:
            self._compressed = part(self.plain) if self.plain else b""
        return self._compressed

    def replace(self, texts: Mapping[int, bytes]) -> bool:
        """Puts in the new texts of targets, by their place; says whether that changes anything."""
        pieces: list[bytes] = []
        start = kept = 0
        for place, length in enumerate(self._lengths):
            end = start + length
            text = texts.get(place)
            if text is not None and self.plain[start:end] != text:
                pieces += (self.plain[kept:start], text)
                kept = end
                self._lengths[place] = len(text)
            start = end
        if not pieces:
            return False
        self.plain = b"".join((*pieces, self.plain[kept:]))
        self._compressed = None
        return True
