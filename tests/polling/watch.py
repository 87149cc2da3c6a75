"""A poller on real sockets, as the program builds it, with what a test wants to look at."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from exporter.auth.base import Authenticator
from exporter.auth.static_token import StaticTokenAuthenticator
from exporter.clock import steady
from exporter.glance.client import ImageClient
from exporter.glance.request_sender import RequestSender
from exporter.model.cloud import CloudState
from exporter.model.observation import Observation
from exporter.model.target import Target, TargetKey
from exporter.polling.engine.pacing import CyclePacing
from exporter.polling.poller import Poller
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.store import Store
from exporter.transport.proxies import ProxySettings
from exporter.transport.rate_limiter import RateLimiter
from exporter.transport.tls_files import ClientTls

DIRECT = ProxySettings(proxy=None, verify=True, cert=None)
CLOUD = "lab"
GENEROUS = 10.0
"""Seconds after which a test gives up waiting for what should take none."""


@dataclass(frozen=True)
class Request:
    """One measured request."""

    method: str
    code: str
    seconds: float
    request_id: str


@dataclass
class Watch:
    """A poller, its store, and every request it made."""

    poller: Poller
    store: Store
    requests: list[Request] = field(default_factory=list)

    def cycle(self) -> None:
        """Runs one cycle."""
        self.poller.run_cycle()

    def seen(self, image_id: str) -> Observation:
        """What is known of an image."""
        return self.store.observation(TargetKey(CLOUD, image_id))

    def reason(self, image_id: str) -> str:
        """Why the last poll of it failed; empty where it did not."""
        failure = self.seen(image_id).failure
        return failure.reason if failure else ""

    def reasons(self) -> dict[str, str]:
        """The same for every image."""
        return {target.image_id: self.reason(target.image_id) for target in self.poller.targets}

    def exists(self) -> dict[str, bool | None]:
        """Whether each image exists."""
        return {target.image_id: seen.exists for target, seen in self.store.observations()}

    @property
    def cloud(self) -> CloudState:
        """What is known of the cloud."""
        return self.store.cloud(CLOUD)


def threads() -> list[str]:
    """The names of the polling threads alive."""
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name == "poll" or thread.name.startswith("resolve-")
    ]


@contextlib.contextmanager
def watching(
    url: str,
    image_ids: Sequence[str],
    *,
    interval: float = 1.0,
    timeout: float = 0.3,
    concurrency: int = 4,
    rate: float | None = None,
    route: ProxySettings = DIRECT,
    signin: Authenticator | None = None,
    random: float = 0.0,
    api: str = "v1",
) -> Iterator[Watch]:
    """Watches these images at this endpoint; backoff takes no time unless ``random`` says so."""
    store = Store()
    targets = [Target(CLOUD, image_id, image_id) for image_id in image_ids]
    store.add_cloud(CloudState(CLOUD, interval), targets)
    requests: list[Request] = []
    stop = threading.Event()
    sender = RequestSender(
        authenticator=signin or StaticTokenAuthenticator(url, None, ClientTls()),
        proxy_settings_for=lambda _: route,
        user_agent="test",
        timeout=timeout,
        limiter=RateLimiter(rate, steady, stop),
        observe_request=lambda *request: requests.append(Request(*request)),
    )
    client = ImageClient(sender, properties=frozenset(), requested_version=api)
    pace = CyclePacing(interval, timeout, concurrency)
    poller = Poller(CLOUD, client, targets, pace, 900.0, store, lambda: random)
    try:
        yield Watch(poller, store, requests)
    finally:
        stop.set()
        poller.stop()


@contextlib.contextmanager
def serving(image_ids: Sequence[str]) -> Iterator[SimulatedImageService]:
    """A simulated service that has these images."""
    with SimulatedImageService([SimulatedImage(image_id) for image_id in image_ids]) as service:
        yield service
