"""A cloud that is polled through real sockets, as the program does it."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from unittest import mock

from exporter.auth.base import Authenticator
from exporter.auth.static_token import StaticTokenAuthenticator
from exporter.clock import steady
from exporter.glance.client import ImageClient
from exporter.glance.request_sender import RequestSender
from exporter.model.api_traits import RequestedVersion
from exporter.model.cloud import CloudState
from exporter.model.observation import Observation
from exporter.model.target import Target, TargetKey
from exporter.polling.engine import pacing
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
"""Seconds after which a test fails that waits for something immediate."""

PATIENT = 30.0
"""Interval and timeout in seconds of a poller on a machine that may be busy."""

QUICK_SPREAD = 0.2
"""Seconds in which the polls of a quick cycle start."""


@dataclass(frozen=True)
class MeasuredRequest:
    """One measured request."""

    method: str
    code: str
    seconds: float
    request_id: str


@dataclass
class PolledCloud:
    """A poller on real sockets with its store, and every request it sent."""

    poller: Poller
    store: Store
    requests: list[MeasuredRequest] = field(default_factory=list)

    def cycle(self) -> None:
        """Run one cycle."""
        self.poller.run_cycle()

    def observation(self, image_id: str) -> Observation:
        """Return the observation of an image."""
        return self.store.observation(TargetKey(CLOUD, image_id))

    def reason(self, image_id: str) -> str:
        """Return why the last poll of an image failed, or an empty string."""
        failure = self.observation(image_id).failure
        return failure.reason if failure else ""

    def reasons(self) -> dict[str, str]:
        """Return why the last poll of each image failed."""
        return {target.image_id: self.reason(target.image_id) for target in self.poller.targets}

    def exists(self) -> dict[str, bool | None]:
        """Return for each image if it exists."""
        return {target.image_id: seen.exists for target, seen in self.store.observations()}

    @property
    def state(self) -> CloudState:
        """The state of the cloud."""
        return self.store.cloud(CLOUD)


def threads() -> list[str]:
    """Return the names of the polling threads that are alive."""
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name == "poll" or thread.name.startswith("resolve-")
    ]


@contextlib.contextmanager
def quick_cycles() -> Iterator[float]:
    """Let polls start quickly in a long interval, which is yielded.

    A short interval would do the same, but end before a busy machine has polled every image.
    """
    with mock.patch.object(pacing, "SPREAD_FRACTION", QUICK_SPREAD / PATIENT):
        yield PATIENT


@contextlib.contextmanager
def polled_cloud(
    url: str,
    image_ids: Sequence[str],
    *,
    interval: float | None = None,
    timeout: float = PATIENT,
    concurrency: int = 4,
    rate: float | None = None,
    route: ProxySettings = DIRECT,
    signin: Authenticator | None = None,
    random: float = 0.0,
    api: RequestedVersion = "v1",
    store: Store | None = None,
) -> Iterator[PolledCloud]:
    """Poll these images at this endpoint; backoff takes no time unless ``random`` is set.

    Without an ``interval``, cycles are quick and as long as they need to be. A ``store`` is that of
    a poller that is replaced.
    """
    with contextlib.ExitStack() as stack:
        if interval is None:
            interval = stack.enter_context(quick_cycles())
        targets = [Target(CLOUD, image_id, image_id) for image_id in image_ids]
        if store is None:
            store = Store()
            store.add_cloud(CloudState(CLOUD, interval), targets)
        requests: list[MeasuredRequest] = []
        stop = threading.Event()
        sender = RequestSender(
            authenticator=signin or StaticTokenAuthenticator(url, None, ClientTls()),
            proxy_settings_for=lambda _: route,
            user_agent="test",
            timeout=timeout,
            limiter=RateLimiter(rate, steady, stop),
            observe_request=lambda *request: requests.append(MeasuredRequest(*request)),
        )
        client = ImageClient(sender, properties=frozenset(), requested_version=api)
        cycle_pacing = CyclePacing(interval, timeout, concurrency)
        poller = Poller(CLOUD, client, targets, cycle_pacing, 900.0, store, lambda: random)
        try:
            yield PolledCloud(poller, store, requests)
        finally:
            stop.set()
            poller.stop()


@contextlib.contextmanager
def image_service(image_ids: Sequence[str]) -> Iterator[SimulatedImageService]:
    """Run a simulated service that has these images."""
    with SimulatedImageService([SimulatedImage(image_id) for image_id in image_ids]) as service:
        yield service
