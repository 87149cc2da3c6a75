"""All metrics as the body of a scrape response.

A scrape renders only the images that have changed since the last scrape, and joins their text to
the cached text of the others. It adds the registry (clouds and exporter), rendered anew. The result
equals, byte for byte, what prometheus_client renders from a plain collector of the images and then
from that registry; the tests have such a collector in ``tests/support/reference_collector.py``.
"""

import threading
import zlib
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry

from exporter.metrics import gzip_stream
from exporter.metrics.dirty_tracker import DirtyTracker
from exporter.metrics.family import render_registry
from exporter.metrics.image_metrics import view_of
from exporter.metrics.render_cache import Checksum, RenderCache
from exporter.model.instant import Instant
from exporter.store import Store


class Exposition:
    """Renders a store and a registry; thread-safe."""

    def __init__(
        self, store: Store, registry: CollectorRegistry, now: Callable[[], Instant]
    ) -> None:
        self._store = store
        self._registry = registry
        self._now = now
        self._lock = threading.Lock()
        self._layout = -1  # nothing is rendered yet
        self._tracker = DirtyTracker((), store, now())
        self._cache = RenderCache(0)

    def body(self, *, openmetrics: bool, compressed: bool) -> tuple[bytes, ...]:
        """Return all metrics as they are now, in pieces; other responses share them."""
        with self._store.transaction_lock:
            with self._lock:
                self._update_cache()
                images = self._cache.pieces(openmetrics=openmetrics, compressed=compressed)
                plain_checksum = (
                    self._cache.checksum(openmetrics=openmetrics) if compressed else None
                )
            registry = render_registry(self._registry, openmetrics)
        return (
            (*images, registry)
            if plain_checksum is None
            else _gzip_member(images, plain_checksum, registry)
        )

    def _update_cache(self) -> None:
        """Render what has changed since the last scrape, because of polls or of time."""
        now = self._now()
        layout, changed = self._store.take_changes()
        if layout == self._layout:
            self._tracker.mark_changed(changed)
        else:
            targets = tuple(self._store.targets().values())
            self._tracker = DirtyTracker(targets, self._store, now)
            self._cache = RenderCache(len(targets))
            self._layout = layout
        views = {
            index: view_of(target, self._store.observation(target.key), now)
            for index, target in self._tracker.dirty_targets(now).items()
        }
        if views:
            self._cache.update(views)
            self._tracker.mark_rendered(views)


def _gzip_member(
    images: Sequence[bytes], plain_checksum: Checksum, registry: bytes
) -> tuple[bytes, ...]:
    """Return the compressed images and the registry, with the checksum of the plain images."""
    last_chunk = gzip_stream.compress_last_chunk(registry)
    crc32 = zlib.crc32(registry, plain_checksum.crc32)
    trailer = gzip_stream.trailer(crc32, plain_checksum.size + len(registry))
    return (gzip_stream.HEADER, *images, last_chunk, trailer)
