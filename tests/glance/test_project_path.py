"""Endpoints whose URL in the catalog ends in the ID of the project, after the version."""

from collections.abc import Iterator

import pytest

from exporter.auth.factory import build_authenticator
from exporter.glance.client import ImageClient
from exporter.glance.discovery_listing import fetch_images
from exporter.model.api_traits import RequestedVersion
from exporter.model.discovery import DiscoveryRule
from exporter.model.outcome import Failed, Found, NotFound
from exporter.model.replies import Batch
from exporter.simulator import SimulatedImage, SimulatedImageService
from tests.glance.clients import FakeAuthenticator, image_client, result_names, soon

IDS = ("a", "b", "c")
PREFIX = "/image"
UNKNOWN_PREFIX_LENGTH = 512


@pytest.fixture
def gateway() -> Iterator[SimulatedImageService]:
    """Run a gateway that serves the URL of the catalog, and nothing else."""
    images = [SimulatedImage(image_id) for image_id in IDS]
    with SimulatedImageService(images, path_prefix=PREFIX, page_limit=2) as service:
        service.api.project_segment = "/p1"
        yield service


def signed_in(gateway: SimulatedImageService, version: str = "v2") -> FakeAuthenticator:
    """Return an authenticator with the URL of the catalog."""
    return FakeAuthenticator(f"{gateway.url}{PREFIX}/{version}/p1", "p1")


@pytest.mark.parametrize("api", ["auto", "v2"])
def test_every_request_is_below_the_url_of_the_catalog(
    gateway: SimulatedImageService, api: RequestedVersion
) -> None:
    with image_client(signed_in(gateway), api) as client:
        client.choose_version(soon())
        assert client.version == "v2"
        gateway.log.clear()
        assert isinstance(client.image("a", soon()).result, Found)
        assert isinstance(client.image("gone", soon()).result, NotFound)
        assert client.list(soon()).accepted
        batch = client.batch(IDS[:2], soon(), second=False, page=None).batch
        assert isinstance(batch, Batch)
        assert set(batch.results) == set(IDS[:2])
        assert result_names(client.probe("gone", "a", soon())) == ["Found", "NotFound", "Found"]
        assert _listed(client) == set(IDS)
    targets = {record.request.target for record in gateway.log.records}
    assert {target.partition("images")[0] for target in targets} == {f"{PREFIX}/v2/p1/"}


def _listed(client: ImageClient) -> set[str]:
    """Return the IDs of a listing of several pages."""
    images = fetch_images(client, [DiscoveryRule()], soon(), frozenset()).images
    assert not isinstance(images, Failed)
    return {image.id for image in images}


def test_v1_is_requested_below_the_url_of_the_catalog(gateway: SimulatedImageService) -> None:
    with image_client(signed_in(gateway, "v1"), "v1") as client:
        client.choose_version(soon())
        assert isinstance(client.image("a", soon()).result, Found)
        assert gateway.log.records[-1].request.target == f"{PREFIX}/v1/p1/images/a"


def test_project_counts_towards_the_length_of_a_request(gateway: SimulatedImageService) -> None:
    with image_client(signed_in(gateway), "v2") as client:
        assert client.sender.prefix_length == UNKNOWN_PREFIX_LENGTH
        client.image("a", soon())
        assert client.sender.prefix_length == len(f"{PREFIX}/p1")


def test_configured_endpoint_with_a_project_is_used_as_it_stands(
    gateway: SimulatedImageService,
) -> None:
    """Without Keystone, a segment in the format of its project IDs is a project."""
    project = "0123456789abcdef" * 2
    gateway.api.project_segment = f"/{project}"
    authenticator = build_authenticator(
        "lab", endpoint=f"{gateway.url}{PREFIX}/v2/{project}/", timeout=10.0
    )
    with image_client(authenticator, "v2") as client:
        assert isinstance(client.image("a", soon()).result, Found)


def test_endpoint_without_a_project_is_unchanged() -> None:
    with (
        SimulatedImageService([SimulatedImage("a")], path_prefix="/v2/image") as service,
        image_client(FakeAuthenticator(f"{service.url}/v2/image", "p1"), "v2") as client,
    ):
        assert isinstance(client.image("a", soon()).result, Found)
