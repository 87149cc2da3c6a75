"""Rendered metrics of images as bytes, kept until an image changes."""

import zlib
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from exporter.metrics import gzip_stream
from exporter.metrics.family import render_metadata
from exporter.metrics.image_metrics import IMAGE_FAMILIES, IMAGE_LABELS, ImageView
from exporter.metrics.sample_lines import format_labels, render_samples

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


class Checksum(NamedTuple):
    """CRC-32 and size in bytes of a text."""

    crc32: int
    size: int


class RenderCache:
    """The rendered metrics of a fixed sequence of targets; not thread-safe.

    Samples are the same in both formats, so they are kept once. Compressed chunks and joined
    pieces are made on demand and dropped when a text changes.
    """

    def __init__(self, target_count: int) -> None:
        sizes = [
            min(TARGETS_PER_CHUNK, target_count - start)
            for start in range(0, target_count, TARGETS_PER_CHUNK)
        ]
        self._chunks = [[RenderedChunk([b""] * size) for size in sizes] for _ in IMAGE_FAMILIES]
        self._pieces: dict[tuple[bool, bool], tuple[bytes, ...]] = {}
        self._checksums: dict[bool, Checksum] = {}

    def update(self, views: Mapping[int, ImageView]) -> None:
        """Render these targets, by their index, and replace their text."""
        views_by_chunk: dict[int, dict[int, ImageView]] = defaultdict(dict)
        for index, view in views.items():
            chunk_index, index_in_chunk = divmod(index, TARGETS_PER_CHUNK)
            views_by_chunk[chunk_index][index_in_chunk] = view
        for chunk_index, chunk_views in views_by_chunk.items():
            labels = format_labels(IMAGE_LABELS, chunk_views.values())
            for family, chunks in zip(IMAGE_FAMILIES, self._chunks, strict=True):
                texts = render_samples(family, labels, chunk_views.values())
                if chunks[chunk_index].replace(dict(zip(chunk_views, texts, strict=True))):
                    self._pieces.clear()
                    self._checksums.clear()

    def pieces(self, *, openmetrics: bool, compressed: bool) -> tuple[bytes, ...]:
        """Return the metrics of all images in pieces, shared with the cache and other responses.

        Compressed pieces are chunks of a gzip stream.
        """
        key = (openmetrics, compressed)
        if key not in self._pieces:
            join = self._join_compressed if compressed else self._join_plain
            self._pieces[key] = tuple(filter(None, join(openmetrics)))
        return self._pieces[key]

    def checksum(self, *, openmetrics: bool) -> Checksum:
        """Return the checksum of the uncompressed text of all images."""
        if openmetrics not in self._checksums:
            crc32 = size = 0
            for piece in self.pieces(openmetrics=openmetrics, compressed=False):
                crc32 = zlib.crc32(piece, crc32)
                size += len(piece)
            self._checksums[openmetrics] = Checksum(crc32, size)
        return self._checksums[openmetrics]

    def _join_plain(self, openmetrics: bool) -> Iterator[bytes]:
        for family, chunks in zip(IMAGE_FAMILIES, self._chunks, strict=True):
            yield render_metadata(family, openmetrics)
            yield from (chunk.plain for chunk in chunks)

    def _join_compressed(self, openmetrics: bool) -> Iterator[bytes]:
        for family, chunks in zip(IMAGE_FAMILIES, self._chunks, strict=True):
            yield gzip_stream.compress_chunk(render_metadata(family, openmetrics))
            yield from (chunk.compressed for chunk in chunks)
