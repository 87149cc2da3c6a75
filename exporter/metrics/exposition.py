"""All metrics as the body of a scrape response.

Metrics of images are rendered when they change, not when they are scraped. A scrape joins the
cached bytes and adds the registry of clouds and exporter, which is rendered every time. The result
equals, byte for byte, what prometheus_client renders from a plain collector of the images and then
from that registry; the tests have such a collector in ``tests/support/reference_collector.py``.
"""

import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from exporter.metrics import gzip_stream
from exporter.metrics.dirty_tracker import DirtyTracker
from exporter.metrics.render import render_registry
from exporter.metrics.render_cache import RenderCache, RenderedImages
from exporter.model.instant import Instant
from exporter.store import Store


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a response in pieces, shared with other responses, and its size in bytes."""

    pieces: Sequence[bytes]
    size: int


class Exposition:
    """Renders a store and a registry; thread-safe."""

    def __init__(
        self, store: Store, registry: CollectorRegistry, now: Callable[[], Instant]
    ) -> None:
        self._store = store
        self._registry = registry
        self._now = now
        self._lock = threading.Lock()
        self._layout = -1
        self._tracker = DirtyTracker((), store, now())
        self._cache = RenderCache(0)

    def body(self, *, openmetrics: bool, compressed: bool) -> Body:
        """Return all metrics as they are now."""
        with self._store.transaction_lock:
            with self._lock:
                self._update_cache()
                images = self._cache.result(openmetrics=openmetrics, compressed=compressed)
            registry = render_registry(self._registry, openmetrics)
        if compressed:
            return _compressed_body(images, registry)
        return Body((*images.pieces, registry), images.size + len(registry))

    def _update_cache(self) -> None:
        """Render what has changed since the last scrape, because of a poll or of time."""
        now = self._now()
        layout, changed = self._store.take_changes()
        if layout == self._layout:
            self._tracker.mark_changed(changed)
        else:
            targets = tuple(self._store.targets().values())
            self._tracker = DirtyTracker(targets, self._store, now)
            self._cache = RenderCache(len(targets))
            self._layout = layout
        if views := self._tracker.dirty_views(now):
            self._cache.update(views)
            self._tracker.mark_rendered()


def _compressed_body(images: RenderedImages, registry: bytes) -> Body:
    """Return a gzip member of the compressed images and the registry."""
    last_chunk = gzip_stream.compress_last_chunk(registry)
    trailer = gzip_stream.trailer(
        zlib.crc32(registry, images.plain_crc32), images.plain_size + len(registry)
    )
    pieces = (gzip_stream.HEADER, *images.pieces, last_chunk, trailer)
    size = len(gzip_stream.HEADER) + images.size + len(last_chunk) + len(trailer)
    return Body(pieces, size)
