"""Retries of the pages of a discovery listing."""

import threading
from collections.abc import Iterator

import pytest

from exporter.clock import steady
from exporter.glance.client import ImageClient
from exporter.glance.discovery_listing import ListedImages, fetch_images
from exporter.model.discovery import DiscoveryRule
from exporter.model.outcome import Failed, Reason
from exporter.model.replies import Deadline
from exporter.polling.engine.pacing import MAX_RETRIES
from exporter.polling.page_retries import RetryingPageClient
from exporter.simulator import SimulatedImage, SimulatedImageService
from tests.glance.clients import FakeAuthenticator, image_client
from tests.support.wait import DEADLINE

PATIENT = 60.0


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """Run a service with one image."""
    with SimulatedImageService([SimulatedImage("a")]) as running:
        yield running


@pytest.fixture
def client(service: SimulatedImageService) -> Iterator[ImageClient]:
    """Return a client of the service."""
    with image_client(FakeAuthenticator(service.url), "v2") as image_api:
        yield image_api


def listing(
    client: ImageClient,
    *,
    seconds: float = PATIENT,
    random: float = 0.0,
    stopped: threading.Event | None = None,
) -> ListedImages:
    """List all images, with retries."""
    pages = RetryingPageClient(client, lambda: random, stopped or threading.Event())
    end = steady() + seconds
    return fetch_images(pages, [DiscoveryRule()], Deadline(end, end), frozenset())


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("status", {"code": 500}),
        ("status", {"code": 503, "headers": {"Retry-After": "0.01"}}),
        ("status", {"code": 429}),
        ("error_page", {"code": 502}),
        ("reset", {}),
        ("truncate", {}),
    ],
)
@pytest.mark.parametrize("times", range(1, MAX_RETRIES + 1))
def test_listing_succeeds_after_transient_failures(
    service: SimulatedImageService,
    client: ImageClient,
    fault: str,
    options: dict[str, object],
    times: int,
) -> None:
    service.faults.set(fault, on="list", times=times, **options)  # type: ignore[arg-type]  # each its own
    images = listing(client).images
    assert not isinstance(images, Failed)
    assert [image.id for image in images] == ["a"]
    assert service.log.requests == 1 + times


@pytest.mark.parametrize(
    ("code", "reason", "requests"),
    [
        (500, "server_error", 1 + MAX_RETRIES),
        (429, "rate_limited", 1 + MAX_RETRIES),
        (403, "forbidden", 1),
        # The second request is the list without parameters that could be to blame.
        (400, "rejected", 2),
        (300, "api_version", 1),
    ],
)
def test_only_transient_failures_are_retried_and_only_twice(
    service: SimulatedImageService, client: ImageClient, code: int, reason: Reason, requests: int
) -> None:
    service.faults.set("status", on="list", code=code)
    images = listing(client).images
    assert isinstance(images, Failed)
    assert (images.reason, service.log.requests) == (reason, requests)


def test_no_retry_after_the_deadline(service: SimulatedImageService, client: ImageClient) -> None:
    """The failure keeps its own reason and its Retry-After."""
    service.faults.set("status", on="list", code=503, headers={"Retry-After": "200"})
    listed = listing(client)
    assert isinstance(listed.images, Failed)
    assert (listed.images.reason, service.log.requests) == ("server_error", 1)
    assert listed.retry_at is not None
    assert listed.retry_at > steady() + PATIENT


def test_retry_after_delays_the_retry(service: SimulatedImageService, client: ImageClient) -> None:
    headers = {"Retry-After": "0.5"}
    service.faults.set("status", on="list", code=429, headers=headers, times=1)
    started = steady()
    assert not isinstance(listing(client).images, Failed)
    assert steady() - started >= 0.5


def test_stopping_ends_the_wait(service: SimulatedImageService, client: ImageClient) -> None:
    headers = {"Retry-After": "30"}
    service.faults.set("status", on="list", code=429, headers=headers)
    stopped = threading.Event()
    stopped.set()
    started = steady()
    assert isinstance(listing(client, stopped=stopped).images, Failed)
    assert steady() - started < DEADLINE
    assert service.log.requests == 1
