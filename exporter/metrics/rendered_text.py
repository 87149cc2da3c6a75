"""Sample lines of neighbouring targets, in memory once and compressed."""

from array import array
from collections.abc import Mapping

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

    __slots__ = ("_lengths", "checksum", "compressed")

    def __init__(self, target_count: int) -> None:
        self._lengths = array("I", [0]) * target_count
        self.compressed = b""
        self.checksum = EMPTY

    @property
    def plain(self) -> bytes:
        """The plain text."""
        return gzip_stream.decompress_chunk(self.compressed)

    def replace(self, texts: Mapping[int, bytes]) -> bool:
        """Replace the texts of targets, by their index, and return true if any is different."""
        if not self.checksum.size and not any(texts.values()):
            return False
        if len(texts) == len(self._lengths):
            replaced = b"".join(text for _, text in sorted(texts.items()))
            is_different = len(replaced) != self.checksum.size or replaced != self.plain
        else:
            plain = self.plain
            replaced = self._joined(plain, texts)
            is_different = replaced != plain
        if is_different:
            self.compressed = gzip_stream.compress_chunk(replaced) if replaced else b""
            self.checksum = Checksum.of(replaced)
        for index, text in texts.items():
            self._lengths[index] = len(text)
        return is_different

    def _joined(self, plain: bytes, texts: Mapping[int, bytes]) -> bytes:
        """Return the plain text with the texts of some targets replaced."""
        pieces: list[bytes] = []
        start = copied = 0
        for index, length in enumerate(self._lengths):
            if index in texts:
                pieces += (plain[copied:start], texts[index])
                copied = start + length
            start += length
        return b"".join((*pieces, plain[copied:]))
