"""Paths that refuse every token, and the sign-ins that they cost."""

from collections.abc import Iterator

import pytest

from exporter.glance import token_refusals
from exporter.glance.client import ImageClient
from exporter.model.outcome import Failed, Found
from exporter.model.replies import PageReply
from exporter.simulator import SimulatedImage, SimulatedImageService
from tests.glance.clients import FakeAuthenticator, image_client, soon

LIST = "/v2/images?limit=1000"


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    with SimulatedImageService([SimulatedImage("a"), SimulatedImage("b")]) as running:
        yield running


@pytest.fixture
def signin(service: SimulatedImageService) -> FakeAuthenticator:
    return FakeAuthenticator(service.url)


@pytest.fixture
def client(signin: FakeAuthenticator) -> Iterator[ImageClient]:
    with image_client(signin, "v2") as client:
        client.choose_version(soon())
        yield client


def found(client: ImageClient, image_id: str = "a") -> bool:
    return isinstance(client.image(image_id, soon()).result, Found)


def page(client: ImageClient, path: str = LIST) -> PageReply:
    return client.page(path, soon(), frozenset())


def test_refused_list_costs_one_sign_in_while_images_are_found(
    service: SimulatedImageService, client: ImageClient, signin: FakeAuthenticator
) -> None:
    service.faults.set("status", on="list", code=401)
    for path in (LIST, f"{LIST}&tag=x", LIST):
        reply = page(client, path)
        assert isinstance(reply.page, Failed)
        assert reply.page.reason == "unauthorized"
        assert found(client)
    assert client.list(soon()).failure is not None
    assert signin.renewals == 1


def test_image_that_is_refused_alone_costs_one_sign_in(
    service: SimulatedImageService, client: ImageClient, signin: FakeAuthenticator
) -> None:
    service.faults.set("status", on="b", code=401)
    for _ in range(3):
        assert not found(client, "b")
        assert found(client, "a")
    assert signin.renewals == 1


def test_token_is_renewed_if_all_paths_refuse_it(
    service: SimulatedImageService, client: ImageClient, signin: FakeAuthenticator
) -> None:
    service.faults.set("status", code=401)
    for renewals in (1, 2):
        page(client)
        assert signin.renewals == renewals
    service.faults.clear()
    assert found(client)


def test_server_error_does_not_show_that_the_token_is_accepted(
    service: SimulatedImageService, client: ImageClient, signin: FakeAuthenticator
) -> None:
    service.faults.set("status", code=401)
    page(client)
    service.faults.set("status", on="a", code=503)
    found(client)
    page(client)
    assert signin.renewals == 2


def test_version_document_does_not_show_that_the_token_is_accepted(
    service: SimulatedImageService, client: ImageClient, signin: FakeAuthenticator
) -> None:
    service.faults.set("status", on="list", code=401)
    page(client)
    client.sender.get("/versions", soon(), warms_token=False)
    page(client)
    assert signin.renewals == 2


def test_token_that_a_list_accepted_again_is_renewed_after_a_401(
    service: SimulatedImageService, client: ImageClient, signin: FakeAuthenticator
) -> None:
    service.faults.set("status", on="list", code=401)
    page(client)
    found(client)
    service.faults.clear()
    page(client)
    service.faults.set("status", on="list", code=401, times=1)
    assert not isinstance(page(client).page, Failed)
    assert signin.renewals == 2


def test_refused_list_is_requested_with_a_new_token_after_a_while(
    service: SimulatedImageService,
    client: ImageClient,
    signin: FakeAuthenticator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(token_refusals, "MEMORY", -1.0)
    service.faults.set("status", on="list", code=401)
    for _ in range(2):
        page(client)
        found(client)
    assert signin.renewals == 2
