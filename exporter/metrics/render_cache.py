"""Rendered metrics of images as bytes, kept until an image changes."""

import zlib
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from exporter.metrics import gzip_stream
from exporter.metrics.image_metrics import IMAGE_FAMILIES, ImageView
from exporter.metrics.render import render_metadata, render_samples

TARGETS_PER_CHUNK = 256
"""Enough targets to compress well, few enough for a chunk to be replaced cheaply."""


class RenderedChunk:
    """The samples of one metric family for neighbouring targets.

    The text is one bytes object, so that it is in memory once; the lengths locate the text of each
    target in it.
    """

    __slots__ = ("_compressed", "_lengths", "plain")

    def __init__(self, texts: Sequence[bytes]) -> None:
        self.plain = b"".join(texts)
        self._lengths = array("I", map(len, texts))
        self._compressed: bytes | None = None

    @property
    def compressed(self) -> bytes:
        """Return the text as a chunk of a gzip stream, compressing it on first use."""
        if self._compressed is None:
            self._compressed = gzip_stream.compress_chunk(self.plain) if self.plain else b""
        return self._compressed

    def replace(self, texts: Mapping[int, bytes]) -> bool:
        """Replace the texts of targets, by their index, and return true if any is different."""
        pieces: list[bytes] = []
        start = copied = 0
        for index, length in enumerate(self._lengths):
            end = start + length
            text = texts.get(index)
            if text is not None and self.plain[start:end] != text:
                pieces += (self.plain[copied:start], text)
                copied = end
                self._lengths[index] = len(text)
            start = end
        if not pieces:
            return False
        self.plain = b"".join((*pieces, self.plain[copied:]))
        self._compressed = None
        return True


@dataclass(frozen=True, slots=True)
class RenderedImages:
    """The metrics of all images in one format and encoding.

    Attributes:
        pieces: The bytes, shared with the cache and with other responses.
        size: Number of bytes in all pieces.
        plain_crc32: CRC-32 of the uncompressed text; 0 if the pieces are not compressed.
        plain_size: Size of the uncompressed text in bytes.
    """

    pieces: tuple[bytes, ...]
    size: int
    plain_crc32: int
    plain_size: int


class RenderCache:
    """The rendered metrics of a fixed sequence of targets; not thread-safe.

    Samples are the same in both formats, so they are kept once. Compressed chunks and joined
    results are made on demand and dropped when a text changes.
    """

    def __init__(self, target_count: int) -> None:
        sizes = [
            min(TARGETS_PER_CHUNK, target_count - start)
            for start in range(0, target_count, TARGETS_PER_CHUNK)
        ]
        self._chunks = [[RenderedChunk([b""] * size) for size in sizes] for _ in IMAGE_FAMILIES]
        self._results: dict[tuple[bool, bool], RenderedImages] = {}

    def update(self, views: Mapping[int, ImageView]) -> None:
        """Render these targets, by their index, and replace their text."""
        views_by_chunk: dict[int, dict[int, ImageView]] = defaultdict(dict)
        for index, view in views.items():
            chunk_index, index_in_chunk = divmod(index, TARGETS_PER_CHUNK)
            views_by_chunk[chunk_index][index_in_chunk] = view
        for chunk_index, chunk_views in views_by_chunk.items():
            for family, chunks in zip(IMAGE_FAMILIES, self._chunks, strict=True):
                texts = render_samples(family, list(chunk_views.values()))
                if chunks[chunk_index].replace(dict(zip(chunk_views, texts, strict=True))):
                    self._results.clear()

    def result(self, *, openmetrics: bool, compressed: bool) -> RenderedImages:
        """Return the metrics of all images in one format and encoding."""
        key = (openmetrics, compressed)
        if key not in self._results:
            join = self._join_compressed if compressed else self._join_plain
            self._results[key] = join(openmetrics)
        return self._results[key]

    def _join_plain(self, openmetrics: bool) -> RenderedImages:
        pieces: list[bytes] = []
        for family, chunks in zip(IMAGE_FAMILIES, self._chunks, strict=True):
            pieces.append(render_metadata(family, openmetrics))
            pieces += (chunk.plain for chunk in chunks)
        size = _total_size(pieces)
        return RenderedImages(tuple(filter(None, pieces)), size, plain_crc32=0, plain_size=size)

    def _join_compressed(self, openmetrics: bool) -> RenderedImages:
        pieces: list[bytes] = []
        for family, chunks in zip(IMAGE_FAMILIES, self._chunks, strict=True):
            pieces.append(gzip_stream.compress_chunk(render_metadata(family, openmetrics)))
            pieces += (chunk.compressed for chunk in chunks)
        plain = self.result(openmetrics=openmetrics, compressed=False)
        crc32 = 0
        for piece in plain.pieces:
            crc32 = zlib.crc32(piece, crc32)
        return RenderedImages(tuple(filter(None, pieces)), _total_size(pieces), crc32, plain.size)


def _total_size(pieces: Iterable[bytes]) -> int:
    return sum(map(len, pieces))
