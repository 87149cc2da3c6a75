"""The metrics as bytes: what is of images is rendered when it changes, not when it is scraped.

A scrape joins what is kept and adds the exporter's own registry, rendered fresh. It equals, byte
for byte, what prometheus_client makes of ``ImageCollector`` and then that registry.
"""

import threading
import zlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics_format

from exporter.metrics import gzip_stream
from exporter.metrics.block import SIZE, RenderedChunk
from exporter.metrics.image_metrics import FAMILIES, Seen, seen
from exporter.metrics.render import introduction, lines
from exporter.model.expectations.checks import is_timed, next_change
from exporter.model.instant import Instant
from exporter.model.target import Key, Target
from exporter.store import Store

CLOCK_STEP = 1.0
"""Seconds by which the clocks may drift apart unnoticed; more, and the wall clock was set."""


@dataclass(frozen=True, slots=True)
class Body:
    """An answer's body in pieces, which are shared with other answers, and its size in bytes."""

    pieces: Sequence[bytes]
    size: int


@dataclass(frozen=True, slots=True)
class _Images:
    """The image part in one format and encoding; checksum and plain size are of its plain text."""

    pieces: tuple[bytes, ...]
    size: int
    checksum: int
    plain_size: int


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
        self._targets: list[Target] = []
        self._places: dict[Key, int] = {}
        self._blocks: list[list[RenderedChunk]] = []
        self._joined: dict[tuple[bool, bool], _Images] = {}
        self._pending: set[Key] = set()
        self._expired: set[Key] = set()
        self._valid_until = inf
        self._verdicts_until = array("d")
        self._clocks_apart = 0.0

    def body(self, *, openmetrics: bool, compressed: bool) -> Body:
        """All metrics at this moment."""
        with self._store.whole:
            images = self._images(openmetrics, compressed)
            own = _rendered(self._registry, openmetrics)
        if not compressed:
            return Body((*images.pieces, own), images.size + len(own))
        last = gzip_stream.last_part(own)
        end = gzip_stream.trailer(zlib.crc32(own, images.checksum), images.plain_size + len(own))
        size = len(gzip_stream.HEADER) + images.size + len(last) + len(end)
        return Body((gzip_stream.HEADER, *images.pieces, last, end), size)

    def _images(self, openmetrics: bool, compressed: bool) -> _Images:
        with self._lock:
            self._refresh()
            key = (openmetrics, compressed)
            if key not in self._joined:
                self._joined[key] = self._join(openmetrics, compressed)
            return self._joined[key]

    def _refresh(self) -> None:
        """Renders what has changed since the last time, by an answer or by time alone."""
        now = self._now()
        layout, changed = self._store.take_changes()
        # Kept until it is rendered: a change must not be lost to an error on the way.
        self._pending |= changed
        if layout != self._layout:
            self._lay_out(now)
            self._layout = layout
        if abs(now.wall - now.steady - self._clocks_apart) > CLOCK_STEP:
            self._clocks_apart = now.wall - now.steady
            self._pending.update(target.key for target in self._targets if is_timed(target.expect))
        self._pending |= {key for key in self._expired if self._is_valid(key, now)}
        if now.steady > self._valid_until:
            self._pending |= self._passed(now)
        if self._pending:
            self._render(self._pending, now)
            self._pending = set()

    def _lay_out(self, now: Instant) -> None:
        """Makes room for what is watched now, all of it to be rendered."""
        self._targets = list(self._store.targets().values())
        self._places = {target.key: place for place, target in enumerate(self._targets)}
        self._blocks = [
            [RenderedChunk([b""] * len(chunk)) for chunk in _chunks(self._targets)]
            for _ in FAMILIES
        ]
        self._joined.clear()
        self._pending = set(self._places)
        self._expired = set()
        self._valid_until = inf
        self._verdicts_until = array("d", [inf]) * len(self._targets)
        self._clocks_apart = now.wall - now.steady

    def _passed(self, now: Instant) -> set[Key]:
        """The targets whose series time alone has changed; looks when the next such time is."""
        passed = set()
        self._valid_until = inf
        for target, verdict_until in zip(self._targets, self._verdicts_until, strict=True):
            key = target.key
            until = min(self._store.observation(key).valid_until, verdict_until)
            if now.steady <= until:
                self._valid_until = min(self._valid_until, until)
            elif key not in self._expired:
                passed.add(key)
        return passed

    def _is_valid(self, key: Key, now: Instant) -> bool:
        return now.steady <= self._store.observation(key).valid_until

    def _render(self, changed: Iterable[Key], now: Instant) -> None:
        by_block: dict[int, dict[int, Seen]] = defaultdict(dict)
        for key in changed:
            place = self._places[key]
            target, observation = self._targets[place], self._store.observation(key)
            view = seen(target, observation, now)
            by_block[place // SIZE][place % SIZE] = view
            verdict_until = next_change(target.expect, view.image, now)
            self._verdicts_until[place] = verdict_until
            if view.observation is observation:
                self._expired.discard(key)
                self._valid_until = min(self._valid_until, observation.valid_until, verdict_until)
            else:
                self._expired.add(key)
        for number, views in by_block.items():
            for family, blocks in zip(FAMILIES, self._blocks, strict=True):
                texts = lines(family, list(views.values()))
                if blocks[number].replace(dict(zip(views, texts, strict=True))):
                    self._joined.clear()

    def _join(self, openmetrics: bool, compressed: bool) -> _Images:
        plain = self._joined.get((openmetrics, False))
        if plain is None:
            pieces: list[bytes] = []
            for family, blocks in zip(FAMILIES, self._blocks, strict=True):
                pieces += (introduction(family, openmetrics), *(block.plain for block in blocks))
            plain = _measured(pieces)
            self._joined[openmetrics, False] = plain
        if not compressed:
            return plain
        packed: list[bytes] = []
        for family, blocks in zip(FAMILIES, self._blocks, strict=True):
            packed.append(gzip_stream.part(introduction(family, openmetrics)))
            packed += (block.compressed for block in blocks)
        checksum = 0
        for piece in plain.pieces:
            checksum = zlib.crc32(piece, checksum)
        size = sum(map(len, packed))
        return _Images(tuple(filter(None, packed)), size, checksum, plain.size)


def _measured(pieces: Iterable[bytes]) -> _Images:
    kept = tuple(filter(None, pieces))
    size = sum(map(len, kept))
    return _Images(kept, size, 0, size)


def _chunks(targets: Sequence[Target]) -> Iterable[Sequence[Target]]:
    return (targets[start : start + SIZE] for start in range(0, len(targets), SIZE))


def _rendered(registry: CollectorRegistry, openmetrics: bool) -> bytes:
    if openmetrics:
        return bytes(openmetrics_format.generate_latest(registry))  # type: ignore[no-untyped-call]  # it has no annotations
    return generate_latest(registry)
