"""Capabilities of an endpoint, and how a client learns which parameters of lists are refused."""

from collections.abc import Iterator

import pytest

from exporter.auth.static_token import StaticTokenAuthenticator
from exporter.glance.capabilities import LIST_MEMORY, PARAMETER_MEMORY, Capabilities, parameters
from exporter.glance.client import ImageClient
from exporter.glance.discovery_listing import fetch_images
from exporter.model.discovery import DiscoveryRule
from exporter.model.outcome import Failed
from exporter.model.replies import Batch
from exporter.simulator import Release, SimulatedImage, SimulatedImageService
from exporter.simulator.image import OWNER
from exporter.transport.tls_files import ClientTls
from tests.glance.clients import FakeAuthenticator, image_client, soon

OTHER = "f" * 32
IMAGES = (
    SimulatedImage("own", tags=("golden",)),
    SimulatedImage("public", visibility="public", owner=OTHER),
    SimulatedImage("community", visibility="community", owner=OTHER, tags=("golden",)),
    SimulatedImage("pending", visibility="shared", owner=OTHER, members={OWNER: "pending"}),
    SimulatedImage("hidden", hidden=True),
)
IDS = tuple(image.id for image in IMAGES)
ALL = "visibility=all"
COMMUNITY = "visibility=community"
LISTED = {"own", "public", "community"}
"""The images that discovery lists, also if the service refuses parameters."""


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    with SimulatedImageService(IMAGES) as running:
        yield running


@pytest.fixture
def client(service: SimulatedImageService) -> Iterator[ImageClient]:
    with image_client(StaticTokenAuthenticator(service.url, None, ClientTls()), "v2") as client:
        client.choose_version(soon())
        yield client


def discovered_ids(client: ImageClient, *rules: DiscoveryRule) -> set[str]:
    images = fetch_images(client, rules or (DiscoveryRule(),), soon(), frozenset()).images
    assert not isinstance(images, Failed)
    return {image.id for image in images}


def batch_ids(client: ImageClient, *, second: bool = False) -> set[str]:
    reply = client.batch(IDS, soon(), second=second, page=None)
    assert isinstance(reply.batch, Batch)
    return set(reply.batch.results)


@pytest.mark.parametrize(
    ("refused", "pending"),
    [
        ((ALL,), {"pending"}),
        (("member_status",), set()),
        ((ALL, "member_status"), set()),
        ((ALL, "member_status", "os_hidden"), set()),
    ],
)
def test_discovery_and_batches_do_without_refused_parameters(
    service: SimulatedImageService,
    client: ImageClient,
    refused: tuple[str, ...],
    pending: set[str],
) -> None:
    service.faults.set("refused_parameters", on="list", parameters=refused)
    assert discovered_ids(client) == LISTED | pending
    assert LISTED | pending <= batch_ids(client) | batch_ids(client, second=True)
    assert client.capabilities.refused <= set(refused)


def test_refused_parameters_are_remembered(
    service: SimulatedImageService, client: ImageClient
) -> None:
    refused = (ALL, "member_status", "os_hidden")
    service.faults.set("refused_parameters", on="list", parameters=refused)
    batch_ids(client)
    batch_ids(client, second=True)
    discovered_ids(client)
    service.log.clear()
    client.start_cycle()
    batch_ids(client)
    batch_ids(client, second=True)
    discovered_ids(client)
    assert service.log.count(status=400) == 0
    # Two batches, and a list without a filter on both sides of the community images.
    assert service.log.requests == 2 + 3


def test_refused_second_lists_leave_out_only_hidden_images(
    service: SimulatedImageService, client: ImageClient
) -> None:
    service.faults.set("refused_parameters", on="list", parameters=["os_hidden"])
    assert batch_ids(client) == LISTED | {"pending"}
    assert batch_ids(client, second=True) == LISTED | {"pending"}
    assert client.capabilities.refused == {"os_hidden"}


@pytest.mark.parametrize(
    "rule",
    [
        DiscoveryRule(tags=("golden",)),
        DiscoveryRule(tags=("golden",), statuses=("active",)),
    ],
)
@pytest.mark.parametrize("refused", ["tag", "status", "member_status"])
def test_criterion_that_lists_refuse_is_applied_to_all_images(
    service: SimulatedImageService, client: ImageClient, rule: DiscoveryRule, refused: str
) -> None:
    service.faults.set("refused_parameters", on="list", parameters=[refused])
    ids = discovered_ids(client, rule)
    assert ids >= {"own", "community"}
    assert client.capabilities.refused <= {refused}


def test_list_that_is_refused_without_parameters_blames_none(
    service: SimulatedImageService, client: ImageClient
) -> None:
    """The requests stop with the first list that has nothing to blame, until the next cycle."""
    service.faults.set("status", on="list", code=400)
    for _ in range(3):
        assert isinstance(client.batch(IDS, soon(), second=False, page=None).batch, Failed)
    assert service.log.requests == 3 + 1
    assert client.capabilities == Capabilities()
    client.start_cycle()
    client.batch(IDS, soon(), second=False, page=None)
    assert service.log.requests == 3 + 1 + 2


def test_list_that_is_refused_for_its_length_blames_no_parameter(
    service: SimulatedImageService, client: ImageClient
) -> None:
    """The parameters are tried once, and not for every list that is too long."""
    service.faults.set("refused_parameters", on="list", parameters=["id=in:own,public"])
    for _ in range(3):
        assert isinstance(client.batch(IDS, soon(), second=False, page=None).batch, Failed)
    assert client.capabilities.refused == frozenset()
    assert service.log.requests == 3 + 1 + len({ALL, "member_status"})


def test_capabilities_are_forgotten_when_the_endpoint_changes(
    service: SimulatedImageService,
) -> None:
    authenticator = FakeAuthenticator(service.url)
    with SimulatedImageService(IMAGES) as other, image_client(authenticator, "v2") as client:
        client.choose_version(soon())
        service.faults.set("refused_parameters", on="list", parameters=[ALL])
        batch_ids(client)
        for _ in range(2):
            client.start_cycle()
            assert client.capabilities.refused == {ALL}
        authenticator.endpoint = other.url
        client.image("own", soon())
        client.start_cycle()
        assert client.capabilities == Capabilities()


def test_glance_15_refuses_only_visibility_all() -> None:
    with SimulatedImageService(IMAGES, release=Release.GLANCE_15) as service:
        authenticator = StaticTokenAuthenticator(service.url, None, ClientTls())
        with image_client(authenticator, "v2") as client:
            client.choose_version(soon())
            assert discovered_ids(client) == LISTED | {"pending", "hidden"}
            assert discovered_ids(client, DiscoveryRule(tags=("golden",))) == {"own", "community"}
            assert client.capabilities.refused == {ALL}


def test_each_fact_is_forgotten_after_its_time() -> None:
    known = (
        Capabilities()
        .with_refused(ALL, 100.0)
        .with_accepted("tag", 100.0)
        .with_max_id_bytes(1850, 100.0)
        .with_lists_refused("403", 100.0)
    )
    assert known.at(100.0 + LIST_MEMORY) == known
    later = known.at(101.0 + LIST_MEMORY)
    assert (later.lists_refused, later.max_id_bytes) == ("", 1850)
    assert later.refused == {ALL}
    assert known.at(100.0 + PARAMETER_MEMORY).refused == {ALL}
    forgotten = known.at(101.0 + PARAMETER_MEMORY)
    assert (forgotten.refused, forgotten.accepted) == (frozenset(), frozenset())
    assert forgotten.max_id_bytes is None


def test_summary_names_what_is_refused() -> None:
    assert Capabilities().with_accepted("tag", 0.0).summary == ""
    refused = Capabilities().with_lists_refused("403", 0.0)
    assert refused.summary == "lists: refused with 403, polling images one by one"
    both = Capabilities().with_max_id_bytes(1850, 0.0).with_refused(ALL, 0.0).with_refused("x", 0.0)
    assert both.summary == (
        "lists: refused if they name more than 1,850 bytes of IDs; "
        "refused with the parameters visibility=all, x"
    )


def test_parameters_of_a_path_are_those_that_a_list_can_do_without() -> None:
    path = "/v2/images?limit=1000&visibility=all&member_status=all&tag=a&tag=b&id=in:x&marker=y"
    assert list(parameters(path)) == [
        (ALL, ALL),
        ("member_status", "member_status=all"),
        ("tag", "tag=a"),
        ("tag", "tag=b"),
    ]
    known = Capabilities().with_refused("tag", 0.0).with_refused(ALL, 0.0)
    assert known.untried(path) == (("member_status", "member_status=all"),)
    assert known.accepted_path(path) == (
        "/v2/images?limit=1000&visibility=all&member_status=all&id=in:x&marker=y"
    )
    assert known.refused_visibilities == {"all"}
