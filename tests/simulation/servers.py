"""The API servers of a simulated cloud: what each of them responds at a given time.

A response depends on the world and the time only, not on earlier requests.
"""

from collections.abc import Sequence
from typing import NamedTuple

from exporter.model.image import Image
from exporter.model.outcome import Found, ImageResult, NotFound
from tests.simulation.timeline import ImageState, Timeline, build_timelines, image_id
from tests.simulation.world import EVERY_BACKEND, Fault, FaultKind, World

UNKNOWN_TO_BACKEND = frozenset({FaultKind.NOT_FOUND, FaultKind.EMPTY, FaultKind.WRONG_REGION})
"""The faults with which a backend responds 404 for every image of the cloud."""

ABSENT = -1
"""The version in the request ID of a 404."""


class Listing(NamedTuple):
    """A list of images: IDs of watched images that are visible, and of other images."""

    states: dict[str, Found]
    hidden: dict[str, Found]
    others: tuple[str, ...]


def version_of(request_id: str) -> int:
    """Return the version of an image that a response had, from its request ID."""
    return int(request_id.rpartition("-v")[2]) if request_id else ABSENT


def backend_of(request_id: str) -> str:
    """Return the backend that sent a response, from its request ID."""
    return request_id.partition("-v")[0]


class Servers:
    """All backends of one world, which answer requests for images and lists."""

    __slots__ = ("_found", "_index", "_lies", "_not_found", "_others", "_troubles", "timelines")

    def __init__(self, world: World) -> None:
        self.timelines: Sequence[Timeline] = build_timelines(
            world.api, world.initial, world.events, shows_deleted=world.shows_deleted
        )
        self._index = {image_id(index): index for index in range(len(world.initial))}
        self._others = tuple(f"other-{index}" for index in range(world.unwatched))
        self._lies = _by_backend(world, lies=True)
        self._troubles = _by_backend(world, lies=False)
        self._not_found = [NotFound(f"b{backend}-v{ABSENT}") for backend in range(world.backends)]
        self._found: dict[tuple[int, int, int], Found] = {}

    def trouble(self, backend: int, at: float) -> Fault | None:
        """Return the fault that keeps a backend from responding at a time."""
        return _active(self._troubles[backend], at)

    def image(self, backend: int, at: float, requested: str) -> ImageResult:
        """Return the response of a backend about one image, watched or not."""
        lie = _active(self._lies[backend], at)
        index = self._index.get(requested)
        if index is None:
            return self._other(backend, lie, requested)
        if lie is not None:
            if lie.kind in UNKNOWN_TO_BACKEND or index in lie.images:
                return self._not_found[backend]
            if lie.kind is FaultKind.STALE:
                at = lie.as_of
        version = self.timelines[index].version(at)
        state = self.timelines[index].states[version]
        if state.image is None:
            return self._not_found[backend]
        return self._found_of(backend, index, version, state.image)

    def listed(
        self, backend: int, at: float, requested: Sequence[str], *, hidden: bool
    ) -> dict[str, Found] | None:
        """Return those of the requested images that a list has, or None if the list is a 404."""
        lie = _active(self._lies[backend], at)
        if lie is not None:
            if lie.kind is FaultKind.NOT_FOUND:
                return None
            if lie.kind in UNKNOWN_TO_BACKEND:
                return {}
            if lie.kind is FaultKind.STALE:
                at = lie.as_of
        lacking = lie.images if lie is not None else frozenset()
        found: dict[str, Found] = {}
        for requested_id in requested:
            index = self._index[requested_id]
            timeline = self.timelines[index]
            version = timeline.version(at)
            state = timeline.states[version]
            on_list = state.hidden if hidden else state.listed
            if on_list and state.image is not None and index not in lacking:
                found[requested_id] = self._found_of(backend, index, version, state.image)
        return found

    def newest_ids(self, backend: int, at: float, limit: int) -> tuple[str, ...] | None:
        """Return the IDs on the first page of the list of all images, or None for a 404."""
        lie = _active(self._lies[backend], at)
        kind = None if lie is None else lie.kind
        if kind is FaultKind.NOT_FOUND:
            return None
        if kind is FaultKind.EMPTY:
            return ()
        if kind is FaultKind.WRONG_REGION:
            return ("region-0", "region-1")[:limit]
        ids = list(self._others[:limit])
        for watched in self._index:
            if len(ids) >= limit:
                break
            if self.listed(backend, at, (watched,), hidden=False):
                ids.append(watched)
        return tuple(ids)

    def _other(self, backend: int, lie: Fault | None, requested: str) -> ImageResult:
        is_of_region = requested.startswith("region-")
        if lie is not None and lie.kind in UNKNOWN_TO_BACKEND:
            exists = is_of_region and lie.kind is FaultKind.WRONG_REGION
        else:
            exists = requested in self._others
        if not exists:
            return self._not_found[backend]
        return Found(Image("v1", requested, "active"), f"b{backend}-v0")

    def _found_of(self, backend: int, index: int, version: int, image: Image) -> Found:
        key = (backend, index, version)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = Found(image, f"b{backend}-v{version}")
        return found

    def state(self, index: int, version: int) -> ImageState:
        """Return a state of an image."""
        return self.timelines[index].states[version]


def _by_backend(world: World, *, lies: bool) -> list[list[Fault]]:
    """Return the faults of each backend that lie, or those that do not."""
    return [
        [
            fault
            for fault in world.faults
            if fault.kind.lies is lies and fault.backend in {backend, EVERY_BACKEND}
        ]
        for backend in range(world.backends)
    ]


def _active(faults: list[Fault], at: float) -> Fault | None:
    """Return the fault that is active at a time: the last of several."""
    active = None
    for fault in faults:
        if fault.start <= at < fault.end:
            active = fault
    return active
