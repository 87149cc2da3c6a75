"""All metrics as the body of a scrape response.

The metrics of images are rendered at the start, then when they change, in small pieces by a thread
(see ``render_thread``), and what is left by a scrape. A scrape joins their text and renders the
registry (clouds and exporter). The result equals, byte for byte, what prometheus_client renders
from a plain collector of the images and then from that registry; the tests have such a collector in
``tests/support/reference_collector.py``.
"""

import threading
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from prometheus_client import CollectorRegistry

from exporter.metrics import gzip_stream
from exporter.metrics.body import Body, Piece
from exporter.metrics.checksum import Checksum
from exporter.metrics.cloud_collector import SelectedClouds
from exporter.metrics.family import render_registry
from exporter.metrics.render_cache import RenderCache, RenderedImages
from exporter.metrics.selection.families import EVERYTHING, SelectedRegistry, Selection
from exporter.model.instant import Instant
from exporter.store import Store

CLOCK_STEP = 1.0
"""Seconds by which wall clock and monotonic clock may drift apart. More means it was set."""

DECOMPRESSED_PIECES = 8
"""Plain pieces that stay decompressed, so that a quick client gets all parts of one at once."""


class UnknownCloudError(Exception):
    """A scrape asked for a cloud that is not in the settings."""

    def __init__(self, cloud: str, known: Sequence[str]) -> None:
        super().__init__(f"unknown cloud {cloud!r}; accepted: {', '.join(known)}")


RecordBody = Callable[[int, int | None], None]
"""Records the plain size of a body, and its compressed size if it is compressed."""


def _ignore_body(plain_bytes: int, gzip_bytes: int | None) -> None:
    """Record nothing."""


class Exposition:
    """Renders a store and a registry; thread-safe.

    ``record_body`` is called with the size of each body, so that the next one can report it.
    """

    def __init__(
        self,
        store: Store,
        registry: CollectorRegistry,
        now: Callable[[], Instant],
        selection: Callable[[], Selection] = lambda: EVERYTHING,
        record_body: RecordBody = _ignore_body,
    ) -> None:
        self._store = store
        self._whole_registry = self._registry = registry
        self._now = now
        self._current_selection = selection
        self._selection = EVERYTHING
        self._record_body = record_body
        self._lock = threading.Lock()
        self._layout = -1  # nothing is rendered yet
        self._clock_offset = _clock_offset(now())
        self._cache = RenderCache(store)
        # No scrape waits for the images that are there at the start.
        started = self._mark_changes()
        self._cache.render(self._cache.dirty_groups(), started)

    def body(self, *, openmetrics: bool, compressed: bool, clouds: Collection[str] = ()) -> Body:
        """Return the metrics as they are now, in pieces; other responses share them.

        Args:
            openmetrics: True for OpenMetrics.
            compressed: True for gzip.
            clouds: The clouds to return, all if empty.

        Raises:
            UnknownCloudError: A cloud is not in the settings.
        """
        with self._store.transaction_lock:
            self._check_clouds(clouds)
            with self._lock:
                now = self._mark_changes()
                self._cache.render(self._cache.dirty_groups(), now)
                images, checksum = self._images(clouds, openmetrics)
                selected = SelectedClouds(self._registry, clouds) if clouds else self._registry
            registry = render_registry(selected, openmetrics)
        plain_size = checksum.size + len(registry)
        if compressed:
            body = _gzip_member(images, checksum, registry)
        else:
            body = Body(plain_size, _PlainPieces(images, registry))
        if not clouds:
            self._record_body(plain_size, body.size if compressed else None)
        return body

    def render_group(self) -> bool:
        """Render one group of images that have changed, and return true if there are more."""
        with self._store.transaction_lock, self._lock:
            now = self._mark_changes()
            groups = self._cache.dirty_groups()
            self._cache.render(groups[:1], now)
            return len(groups) > 1

    def _check_clouds(self, clouds: Collection[str]) -> None:
        known = [cloud.name for cloud in self._store.clouds()] if clouds else []
        for cloud in clouds:
            if cloud not in known:
                raise UnknownCloudError(cloud, known)

    def _images(self, clouds: Collection[str], openmetrics: bool) -> RenderedImages:
        if clouds:
            return self._cache.of_clouds(frozenset(clouds), openmetrics=openmetrics)
        return RenderedImages(
            self._cache.compressed_pieces(openmetrics=openmetrics),
            self._cache.checksum(openmetrics=openmetrics),
        )

    def _mark_changes(self) -> Instant:
        """Mark what has changed because of polls or of time, and return the time."""
        now = self._now()
        self._select_families()
        layout, changes = self._store.take_changes(now.monotonic)
        if layout != self._layout:
            self._cache.set_targets(self._store.targets())
            self._layout = layout
        self._cache.mark_changed(changes)
        offset = _clock_offset(now)
        is_clock_set = abs(offset - self._clock_offset) > CLOCK_STEP
        if is_clock_set:
            self._clock_offset = offset
        self._cache.mark_by_time(now, is_clock_set=is_clock_set)
        return now

    def _select_families(self) -> None:
        """Serve other families from now on if a reload has changed the selection."""
        selection = self._current_selection()
        if selection == self._selection:
            return
        self._selection = selection
        self._registry = SelectedRegistry(self._whole_registry, selection)
        self._cache.set_families(selection.image_families())


def _clock_offset(now: Instant) -> float:
    return now.wall - now.monotonic


@dataclass(frozen=True, slots=True)
class _PlainPieces:
    """Plain pieces: those of the images, of which the text is large, and the registry."""

    images: Sequence[bytes]
    registry: bytes

    def __iter__(self) -> Iterator[Piece]:
        yield from map(_PlainPiece, self.images)
        yield self.registry


@dataclass(frozen=True, slots=True)
class _PlainPiece:
    """A plain piece, decompressed for each part that is sent: slow clients keep no text of it."""

    compressed: bytes

    def __getitem__(self, part: slice) -> bytes:
        return _decompressed(self.compressed)[part]


@lru_cache(DECOMPRESSED_PIECES)
def _decompressed(compressed: bytes) -> bytes:
    return gzip_stream.decompress_chunk(compressed)


def _gzip_member(images: Sequence[bytes], plain_checksum: Checksum, registry: bytes) -> Body:
    """Return the compressed images and the registry, with the checksum of the plain images."""
    last_chunk = gzip_stream.compress_last_chunk(registry)
    crc32 = zlib.crc32(registry, plain_checksum.crc32)
    trailer = gzip_stream.trailer(crc32, plain_checksum.size + len(registry))
    return Body.of((gzip_stream.HEADER, *images, last_chunk, trailer))
