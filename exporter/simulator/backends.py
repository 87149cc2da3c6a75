"""API servers behind one address, each of which may have a fault, and the load balancer.

A fault is a way in which one server of a deployment is out of step with the others. To add one,
add a member of ``BackendFault``, and a function and a row of ``BACKEND_FAULTS``.
"""

import dataclasses
import enum
import itertools
import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from exporter.simulator.api import ImageApi
from exporter.simulator.faults import Faults
from exporter.simulator.image import ImageSource, SimulatedImage, SimulatedImages
from exporter.simulator.request import ReceivedRequest
from exporter.simulator.response import SimulatedResponse

OTHER_REGION = (SimulatedImage("0dd0e610-0000-4000-8000-000000000001", "other region"),)
"""Images of a region that is not the one of the service."""


class BackendFault(enum.Enum):
    """A fault of one of several API servers."""

    NOT_FOUND = "404 to everything, as from a server without the Image service"
    EMPTY_DATABASE = "404 to every image, and empty lists with 200"
    STALE_REPLICA = "the images as they were when the fault was set, or at an earlier time"
    IMAGES_MISSING = "404 to some images, all others are served"
    OTHER_REGION = "the images of another region"
    SERVER_ERROR = "5xx to everything"
    SLOW = "correct responses, but late"
    CLOSES_CONNECTIONS = "connections closed without a response"


class Backend:
    """One API server: it shows images, either those of the service or those of its fault.

    Args:
        api: the API of the service, with the settings and images that its servers share.
        faults: the faults of the responses of this server.

    Attributes:
        faults: likewise.
        fault: the fault of this server, None if it is healthy.
    """

    def __init__(self, api: ImageApi, faults: Faults) -> None:
        self.faults = faults
        self.fault: BackendFault | None = None
        self._api = api
        self._images: ImageSource | None = None

    def fail(self, fault: BackendFault, **options: Any) -> None:  # those of the fault's function
        """Set the fault of this server, replacing the one it has.

        Raises:
            TypeError: an option does not exist or is missing.
        """
        self.recover()
        BACKEND_FAULTS[fault](self, **options)
        self.fault = fault

    def recover(self) -> None:
        """End the fault of this server, and all faults of its responses."""
        self.fault = None
        self._images = None
        self.faults.clear()

    def show(self, images: ImageSource) -> None:
        """Show these images instead of those of the service."""
        self._images = images

    @property
    def images(self) -> ImageSource:
        """Return the images of the service, which this server shows if it is healthy."""
        return self._api.images

    def respond(self, request: ReceivedRequest) -> SimulatedResponse:
        """Return the response of this server, without the faults of its responses."""
        images = self._images
        api = self._api if images is None else dataclasses.replace(self._api, images=images)
        return api.respond(request)


class ImagesExcept:
    """The images of a source except some; changes of the source are visible at once."""

    def __init__(self, source: ImageSource, missing: Collection[str]) -> None:
        self._source = source
        self._missing = frozenset(missing)

    def get(self, image_id: str) -> SimulatedImage | None:
        """Return the image with this ID, None if it is unknown or missing."""
        return None if image_id in self._missing else self._source.get(image_id)

    def all(self) -> tuple[SimulatedImage, ...]:
        """Return all images that are not missing."""
        return tuple(image for image in self._source.all() if image.id not in self._missing)


def _not_found(backend: Backend) -> None:
    backend.faults.set("status", code=404)


def _empty_database(backend: Backend) -> None:
    backend.show(SimulatedImages())


def _stale_replica(backend: Backend, images: Iterable[SimulatedImage] | None = None) -> None:
    backend.show(SimulatedImages(backend.images.all() if images is None else images))


def _images_missing(backend: Backend, missing: Collection[str]) -> None:
    backend.show(ImagesExcept(backend.images, missing))


def _other_region(backend: Backend, images: Iterable[SimulatedImage] = OTHER_REGION) -> None:
    backend.show(SimulatedImages(images))


def _server_error(backend: Backend, code: int = 500) -> None:
    backend.faults.set("status", code=code)


def _slow(backend: Backend, seconds: float = 1.0) -> None:
    backend.faults.set("latency", seconds=seconds)


def _closes_connections(backend: Backend) -> None:
    backend.faults.set("close")


BACKEND_FAULTS: Mapping[BackendFault, Callable[..., None]] = MappingProxyType(
    {
        BackendFault.NOT_FOUND: _not_found,
        BackendFault.EMPTY_DATABASE: _empty_database,
        BackendFault.STALE_REPLICA: _stale_replica,
        BackendFault.IMAGES_MISSING: _images_missing,
        BackendFault.OTHER_REGION: _other_region,
        BackendFault.SERVER_ERROR: _server_error,
        BackendFault.SLOW: _slow,
        BackendFault.CLOSES_CONNECTIONS: _closes_connections,
    }
)
"""How each fault changes a server; the keyword arguments are its options."""

assert set(BACKEND_FAULTS) == set(BackendFault)  # noqa: S101  # a fault needs its function


class Unit(enum.Enum):
    """Whatever a load balancer distributes."""

    CONNECTION = "connection"
    REQUEST = "request"


@dataclasses.dataclass(frozen=True, slots=True)
class Balancing:
    """How a load balancer distributes the load.

    Attributes:
        unit: What it distributes: a server serves a whole connection, or a single request.
        seed: Seed of a random choice that is the same in every run; None for round robin.
    """

    unit: Unit = Unit.CONNECTION
    seed: int | None = None


class Balancer:
    """A load balancer in front of API servers; one thread may use it."""

    def __init__(self, backends: Sequence[Backend], balancing: Balancing) -> None:
        self._unit = balancing.unit
        self._next_backend = (
            itertools.cycle(backends).__next__
            if balancing.seed is None
            else _random_choice(backends, balancing.seed)
        )

    def backend(self, current: Backend | None) -> Backend:
        """Return the server of the next request of a connection.

        ``current`` is the server of its previous request, None before its first one.
        """
        if current is None or self._unit is Unit.REQUEST:
            return self._next_backend()
        return current


def _random_choice(backends: Sequence[Backend], seed: int) -> Callable[[], Backend]:
    source = random.Random(seed)  # noqa: S311 - repeatable, not secret
    return lambda: source.choice(backends)
