"""Compressed responses of a gateway, in every kind of request of API v2."""

import gzip
import zlib
from collections.abc import Callable, Iterator

import pytest

from exporter.glance.discovery_listing import fetch_images
from exporter.model.discovery import DiscoveryRule
from exporter.model.outcome import Failed, Found
from exporter.model.replies import Batch
from exporter.simulator import SimulatedImage, SimulatedImageService
from tests.glance.clients import FakeAuthenticator, image_client, soon

IDS = ("a", "b")
DETAIL = "the response is compressed (br)"


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """Run a service with two images."""
    with SimulatedImageService([SimulatedImage(image_id) for image_id in IDS]) as running:
        yield running


@pytest.mark.parametrize(
    ("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_gzip_and_deflate_are_decompressed(
    service: SimulatedImageService, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    service.faults.set("compressed", coding=coding, compress=compress)
    with image_client(FakeAuthenticator(service.url), "v2") as client:
        client.choose_version(soon())
        assert isinstance(client.image("a", soon()).result, Found)
        batch = client.batch(IDS, soon(), second=False, page=None).batch
        assert isinstance(batch, Batch)
        assert set(batch.results) == set(IDS)
        listed = fetch_images(client, [DiscoveryRule()], soon(), frozenset()).images
        assert not isinstance(listed, Failed)
        assert {image.id for image in listed} == set(IDS)


def test_unknown_coding_is_named(service: SimulatedImageService) -> None:
    service.faults.set("compressed", coding="br")
    with image_client(FakeAuthenticator(service.url), "v2") as client:
        client.choose_version(soon())
        reply = client.batch(IDS, soon(), second=False, page=None)
        assert not reply.splittable
        failures = [
            client.image("a", soon()).failure,
            reply.failure,
            client.list(soon()).failure,
            fetch_images(client, [DiscoveryRule()], soon(), frozenset()).images,
        ]
    for failure in failures:
        assert isinstance(failure, Failed)
        assert (failure.reason, failure.detail) == ("malformed", DETAIL)


def test_compressed_version_document_is_read(service: SimulatedImageService) -> None:
    service.faults.set("compressed")
    with image_client(FakeAuthenticator(service.url)) as client:
        client.choose_version(soon())
        assert client.version == "v1"  # as without the fault: HEAD has no body
        assert service.log.requests == 1


def test_version_document_in_an_unknown_coding_never_selects_v1(
    service: SimulatedImageService,
) -> None:
    """Polls by v2 name the coding; v1 would be 404 where it is not served."""
    service.faults.set("compressed", coding="br")
    with image_client(FakeAuthenticator(service.url)) as client:
        client.choose_version(soon())
        assert client.version == "v2"
        failure = client.image("a", soon()).failure
    assert failure is not None
    assert failure.detail == DETAIL
