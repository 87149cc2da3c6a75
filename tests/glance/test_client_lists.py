"""Lists of the client against each release of Glance, whose filters differ."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from exporter.auth.static_token import StaticTokenAuthenticator
from exporter.glance.capabilities import Capabilities
from exporter.glance.client import ImageClient
from exporter.glance.discovery_listing import fetch_images
from exporter.glance.list_filters import ListFilters
from exporter.model.discovery import DiscoveryRule
from exporter.model.outcome import Failed
from exporter.model.replies import Batch, BatchReply, Deadline, PageReply
from exporter.simulator import Release, SimulatedImage, SimulatedImageService
from exporter.simulator.image import OWNER
from exporter.simulator.release import TRAITS
from exporter.transport.tls_files import ClientTls
from tests.glance.clients import image_client, soon

OTHER = "f" * 32
IMAGES = (
    SimulatedImage("own"),
    SimulatedImage("own-community", visibility="community"),
    SimulatedImage("public", visibility="public", owner=OTHER),
    SimulatedImage("community", visibility="community", owner=OTHER),
    SimulatedImage("pending", visibility="shared", owner=OTHER, members={OWNER: "pending"}),
    SimulatedImage("hidden", hidden=True),
    SimulatedImage("killed", status="killed"),
    SimulatedImage("others", owner=OTHER),
)
IDS = tuple(image.id for image in IMAGES)

OF_EVERY_RELEASE = {"own", "own-community", "public", "pending"}
FIRST_LIST = {
    Release.GLANCE_15: OF_EVERY_RELEASE | {"hidden"},
    Release.GLANCE_33: OF_EVERY_RELEASE | {"community"},
}
"""The images in the first list of a batch; Glance 15 knows no hidden images."""

SECOND_LIST = {
    Release.GLANCE_15: {"community", "own-community"},
    Release.GLANCE_33: {"hidden"},
}
"""The images in the second list of a batch."""

DISCOVERED = {
    Release.GLANCE_15: OF_EVERY_RELEASE | {"community", "hidden"},
    Release.GLANCE_33: OF_EVERY_RELEASE | {"community"},
}
"""The images that discovery lists."""

REFUSALS = {Release.GLANCE_15: 1, Release.GLANCE_33: 0}
"""Requests that are refused before the filters of the release are known."""


@pytest.fixture
def service(release: Release) -> Iterator[SimulatedImageService]:
    """Run a service that has one image of each kind."""
    with SimulatedImageService(IMAGES, release=release) as running:
        yield running


@contextmanager
def client_of(service: SimulatedImageService) -> Iterator[ImageClient]:
    """Yield a client of API v2 that needs no token."""
    authenticator = StaticTokenAuthenticator(service.url, None, ClientTls())
    with image_client(authenticator, "v2") as client:
        client.choose_version(soon())
        yield client


def request_batch(client: ImageClient, *, second: bool = False) -> BatchReply:
    return client.batch(IDS, soon(), second=second, page=None)


def batch_ids(client: ImageClient, *, second: bool = False) -> set[str]:
    """Return the IDs in a batch."""
    reply = request_batch(client, second=second)
    assert isinstance(reply.batch, Batch)
    assert reply.accepted
    return set(reply.batch.results)


def discovered_ids(client: ImageClient, *rules: DiscoveryRule) -> set[str] | Failed:
    """Return the IDs of the images that discovery lists, or why it fails."""
    images = fetch_images(client, rules or (DiscoveryRule(),), soon(), frozenset()).images
    return images if isinstance(images, Failed) else {image.id for image in images}


@pytest.fixture
def before_community(monkeypatch: pytest.MonkeyPatch) -> Release:
    """Return a release that refuses ``visibility=community`` as well as ``visibility=all``."""
    old = Release.GLANCE_15
    visibilities = frozenset({"public", "private", "shared"})
    traits = {**TRAITS, old: replace(old.traits, visibilities=visibilities)}
    monkeypatch.setattr("exporter.simulator.release.TRAITS", traits)
    return old


def test_two_lists_have_the_images_of_a_batch(
    service: SimulatedImageService, release: Release
) -> None:
    """Killed images, and private ones of others, are in no list."""
    with client_of(service) as client:
        assert batch_ids(client) == FIRST_LIST[release]
        assert batch_ids(client, second=True) == SECOND_LIST[release]


def test_filters_are_refused_once(service: SimulatedImageService, release: Release) -> None:
    with client_of(service) as client:
        for _ in range(3):
            batch_ids(client)
        discovered_ids(client)
    assert service.log.count(status=400) == REFUSALS[release]
    assert (
        service.log.count(path="visibility=all")
        == {
            Release.GLANCE_15: 1,
            Release.GLANCE_33: 4,
        }[release]
    )


def test_discovery_lists_images_of_every_visibility(
    service: SimulatedImageService, release: Release
) -> None:
    with client_of(service) as client:
        assert discovered_ids(client) == DISCOVERED[release]
    assert service.log.count(status=400) == REFUSALS[release]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (DiscoveryRule(visibility="public"), {"public"}),
        (DiscoveryRule(visibility="community"), {"own-community", "community"}),
        (DiscoveryRule(visibility="community", owner=OWNER), {"own-community"}),
        (DiscoveryRule(visibility="shared", tags=("x",)), set()),
    ],
)
def test_rule_with_a_visibility_is_listed_with_one_request_by_every_release(
    service: SimulatedImageService, rule: DiscoveryRule, expected: set[str]
) -> None:
    with client_of(service) as client:
        assert discovered_ids(client, rule) == expected
    assert service.log.requests == 1


def test_pages_of_every_listing_are_followed(
    service: SimulatedImageService, release: Release
) -> None:
    service.api.page_limit = 2
    with client_of(service) as client:
        assert discovered_ids(client) == DISCOVERED[release]
        assert service.log.count(path="marker=") > 1


def test_release_without_community_images(before_community: Release) -> None:
    """Every value of the filter is refused once, and no list fails for good."""
    plain = FIRST_LIST[Release.GLANCE_15]
    with SimulatedImageService(IMAGES, release=before_community) as service:
        with client_of(service) as client:
            assert batch_ids(client) == plain
            assert batch_ids(client, second=True) == plain
            assert discovered_ids(client) == plain
        assert service.log.count(status=400) == 2
        service.log.clear()
        with client_of(service) as client:
            assert discovered_ids(client) == plain
        assert service.log.count(status=400) == 2


def test_refused_visibility_of_a_rule_fails_the_discovery(before_community: Release) -> None:
    """The rule cannot match anything, and no other listing would mend that."""
    with SimulatedImageService(IMAGES, release=before_community) as service:
        with client_of(service) as client:
            failed = discovered_ids(client, DiscoveryRule(visibility="community"))
            assert isinstance(failed, Failed)
            assert failed.reason == "rejected"
        assert service.log.requests == 1


def test_another_400_does_not_change_the_filters(release: Release) -> None:
    with SimulatedImageService(IMAGES, release=release) as service, client_of(service) as client:
        service.faults.set("status", on="list", code=400)
        before = client.list_filters
        reply = request_batch(client)
        assert isinstance(reply.batch, Failed)
        assert reply.splittable
        assert (client.list_filters, service.log.requests) == (before, 2)


def test_filters_are_tried_again_with_another_version() -> None:
    """After an upgrade v1 is refused, and lists may have filters that they had not before."""
    with (
        SimulatedImageService(IMAGES, release=Release.GLANCE_15) as service,
        image_client(StaticTokenAuthenticator(service.url, None, ClientTls())) as client,
    ):
        client.choose_version(soon())
        versions = [client.version]
        assert discovered_ids(client) == DISCOVERED[Release.GLANCE_15]
        service.api.release, service.api.v1_enabled = Release.GLANCE_33, False
        client.image("own", soon())
        client.choose_version(soon())
        versions.append(client.version)
        assert versions == ["v1", "v2"]
        assert batch_ids(client) == FIRST_LIST[Release.GLANCE_33]
        assert discovered_ids(client) == DISCOVERED[Release.GLANCE_33]


def test_filters_are_tried_again_after_an_upgrade_without_another_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        SimulatedImageService(IMAGES, release=Release.GLANCE_15) as service,
        client_of(service) as client,
    ):
        assert batch_ids(client) == FIRST_LIST[Release.GLANCE_15]
        service.api.release = Release.GLANCE_33
        client.start_cycle()
        assert batch_ids(client) == OF_EVERY_RELEASE
        monkeypatch.setattr("exporter.glance.capabilities.PARAMETER_MEMORY", -1.0)
        client.start_cycle()
        assert batch_ids(client) == FIRST_LIST[Release.GLANCE_33]


class ClientDuringAChange:
    """Publishes an image after each page until none is left to publish."""

    def __init__(self, client: ImageClient, service: SimulatedImageService, ids: list[str]) -> None:
        self.client = client
        self.service = service
        self.ids = ids

    @property
    def capabilities(self) -> Capabilities:
        return self.client.capabilities

    @property
    def list_filters(self) -> ListFilters:
        return self.client.list_filters

    def page(self, path: str, deadline: Deadline, properties: frozenset[str]) -> PageReply:
        reply = self.client.page(path, deadline, properties)
        if self.ids and not isinstance(reply.page, Failed):
            self.service.images.change(self.ids.pop(), visibility="public")
        return reply


def test_image_that_is_published_between_two_listings_is_discovered(release: Release) -> None:
    """It is in neither of them: the list without a filter came too early."""
    with SimulatedImageService(IMAGES, release=release) as service, client_of(service) as client:
        changing = ClientDuringAChange(client, service, ["community"])
        listed = fetch_images(changing, (DiscoveryRule(),), soon(), frozenset())
        assert not isinstance(listed.images, Failed)
        assert {image.id for image in listed.images} == DISCOVERED[release]
