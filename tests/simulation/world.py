"""A simulated world: a cloud, its faults, the life of its images, and the exporter's settings.

A world is plain data. ``repr`` of a world is the Python expression that creates it again.
"""

from dataclasses import dataclass
from typing import NamedTuple

from exporter.model.api_traits import ApiName
from exporter.polling.engine.pacing import CyclePacing
from tests.simulation.timeline import Event, ReprEnum

EVERY_BACKEND = -1
"""The backend of a fault that concerns all backends."""


class FaultKind(ReprEnum):
    """Faults of an API server."""

    NOT_FOUND = "404 to everything"
    EMPTY = "404 for images, empty lists with 200"
    STALE = "answers from an old copy of the database"
    WRONG_REGION = "knows only the images of another region"
    PARTIAL = "lacks some images"
    SLOW = "slow"
    SERVER_ERROR = "500"
    CLOSING = "closes connections"
    RATE_LIMITED = "429 with Retry-After"
    MAINTENANCE = "503 with Retry-After"

    @property
    def lies(self) -> bool:
        """True if the responses look valid and are wrong."""
        return self in LIES


LIES = frozenset(
    {
        FaultKind.NOT_FOUND,
        FaultKind.EMPTY,
        FaultKind.STALE,
        FaultKind.WRONG_REGION,
        FaultKind.PARTIAL,
    }
)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one backend, from ``start`` until ``end``.

    Attributes:
        share: Share of the requests that a fault concerns that does not lie.
        images: The images that a ``PARTIAL`` backend lacks.
        as_of: Time of the copy that a ``STALE`` backend has.
        retry_after: Seconds that the server requires with ``Retry-After``.
    """

    backend: int
    kind: FaultKind
    start: float
    end: float
    share: float = 1.0
    images: frozenset[int] = frozenset()
    as_of: float = 0.0
    retry_after: float = 0.0


class Balancing(ReprEnum):
    """How the load balancer selects a backend: by the name, for each connection or request."""

    RANDOM_CONNECTION = "random, per connection"
    RANDOM_REQUEST = "random, per request"
    ROBIN_CONNECTION = "round robin, per connection"
    ROBIN_REQUEST = "round robin, per request"

    @property
    def is_per_request(self) -> bool:
        """True if requests of one connection reach several backends."""
        return self in {Balancing.RANDOM_REQUEST, Balancing.ROBIN_REQUEST}

    @property
    def is_random(self) -> bool:
        """True if backends are selected at random, otherwise in turn."""
        return self in {Balancing.RANDOM_CONNECTION, Balancing.RANDOM_REQUEST}


class Interruption(NamedTuple):
    """The exporter reloads its configuration, or restarts and loses its memory."""

    at: float
    restarts: bool


class WatchChange(NamedTuple):
    """The list of watched images is replaced, by a reload or by discovery.

    Attributes:
        watched: The images that are watched from now on.
        at_once: New images are polled in the current cycle, as after a reload. Otherwise it is the
            next one, as after a listing of discovery.
    """

    at: float
    watched: frozenset[int]
    at_once: bool


@dataclass(frozen=True, slots=True)
class World:
    """A world; times are seconds since the start of the simulation.

    Attributes:
        seed: Seed of latencies, of the balancer and of the exporter's jitter.
        api: The API version in use.
        backends: Number of API servers.
        background: Requests of other clients per request of the exporter, which also take turns.
        keep_alive: Seconds for which servers keep an idle connection; 0 closes after a response.
        initial: Existence of each image at the start; all of them are watched until a change.
        unwatched: Number of further images of the service.
        latency: Typical seconds from a request to its response.
        page_limit: Largest number of images on a page of a list.
        batch_limit: Largest number of images that the exporter requests by one list.
        rate: Requests per second that the exporter may send, or None.
        shows_deleted: The credentials are those of an administrator, who sees deleted images.
    """

    seed: int
    api: ApiName = "v1"
    backends: int = 1
    balancing: Balancing = Balancing.RANDOM_CONNECTION
    background: float = 0.0
    keep_alive: float = 0.0
    initial: tuple[bool, ...] = (True,)
    unwatched: int = 1
    cycles: int = 8
    interval: float = 60.0
    timeout: float = 10.0
    concurrency: int = 4
    rate: float | None = None
    latency: float = 0.05
    page_limit: int = 1000
    batch_limit: int = 100
    shows_deleted: bool = False
    events: tuple[Event, ...] = ()
    faults: tuple[Fault, ...] = ()
    interruptions: tuple[Interruption, ...] = ()
    watch_changes: tuple[WatchChange, ...] = ()

    @property
    def pacing(self) -> CyclePacing:
        """The exporter's pacing."""
        return CyclePacing(self.interval, self.timeout, self.concurrency)

    @property
    def duration(self) -> float:
        """Seconds from the start to the end."""
        return self.cycles * self.interval

    @property
    def has_bad_backends(self) -> bool:
        """True if a backend lies at some time."""
        return any(fault.kind.lies for fault in self.faults)

    def worst_bad_share(self) -> float:
        """Return the largest share of backends that lie at the same time."""
        lies = [fault for fault in self.faults if fault.kind.lies]
        moments = {fault.start for fault in lies}
        return max(
            (
                len({lie.backend for lie in lies if lie.start <= moment < lie.end}) / self.backends
                for moment in moments
            ),
            default=0.0,
        )
