import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from exporter.auth.static_token import StaticTokenAuthenticator
from exporter.glance.client import ImageClient
from exporter.glance.request_sender import UNKNOWN_PREFIX_LENGTH
from exporter.model.api_traits import RequestedVersion
from exporter.model.outcome import Failed, Found, NotFound
from exporter.model.replies import Batch, BatchReply
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.transport.tls_files import ClientTls
from tests.glance.clients import image_client, soon

IDS = tuple(f"image-{number}" for number in range(4))


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """Return a service with both versions and a few images."""
    images = [SimulatedImage(image_id) for image_id in IDS]
    with SimulatedImageService(images) as running:
        yield running


@contextmanager
def client_of(url: str, api: RequestedVersion = "auto") -> Iterator[ImageClient]:
    """Yield a client that needs no token, after its first choice of a version."""
    with image_client(StaticTokenAuthenticator(url, None, ClientTls()), api) as client:
        client.choose_version(soon())
        yield client


def request_batch(
    client: ImageClient,
    image_ids: tuple[str, ...] = IDS,
    *,
    second: bool = False,
    page: str | None = None,
) -> BatchReply:
    return client.batch(image_ids, soon(), second=second, page=page)


def listed_ids(reply: BatchReply) -> set[str]:
    assert isinstance(reply.batch, Batch)
    return set(reply.batch.results)


def paths(service: SimulatedImageService) -> list[str]:
    """Return the paths of the requests so far."""
    return [record.path for record in service.log.records]


# Choice of a version


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_configured_version_needs_no_request(
    service: SimulatedImageService, api: RequestedVersion
) -> None:
    with client_of(service.url, api) as client:
        assert client.choose_version(soon()) is None
        assert client.version == api
    assert service.log.requests == 0


def test_v1_is_preferred_and_the_choice_is_remembered(service: SimulatedImageService) -> None:
    with client_of(service.url) as client:
        for _ in range(2):
            client.choose_version(soon())
            assert client.version == "v1"
    assert paths(service) == ["/"]


@pytest.mark.parametrize(
    ("missing", "expected"),
    [(1, ["/", "/versions"]), (2, ["/", "/versions", "/v2/images?limit=1"])],
)
def test_version_document_is_looked_for_at_two_paths_and_then_v2s_list(
    service: SimulatedImageService, missing: int, expected: list[str]
) -> None:
    service.api.v1_enabled = False
    service.faults.set("status", code=404, times=missing)
    with client_of(service.url) as client:
        assert client.version == "v2"
    assert paths(service) == expected


def test_no_response_chooses_no_version_until_the_next_try(service: SimulatedImageService) -> None:
    """The other paths would get no response either."""
    service.faults.set("reset")
    with client_of(service.url) as client:
        assert client.version is None
        assert paths(service) == ["/"]
        service.faults.clear()
        client.choose_version(soon())
        assert client.version == "v1"


def test_retry_after_ends_the_search_for_a_version(service: SimulatedImageService) -> None:
    with image_client(StaticTokenAuthenticator(service.url, None, ClientTls())) as client:
        service.faults.set("status", code=429, headers={"Retry-After": "7"})
        request = client.choose_version(soon())
        assert request is not None
        assert (request.retry_after, client.version) == (7.0, None)
    assert paths(service) == ["/"]


def test_version_that_describes_an_image_is_chosen_without_a_document(
    service: SimulatedImageService,
) -> None:
    """v1 is tried first. A 404 does not show that it is the right one."""
    service.faults.set("status", code=404, times=3)
    with client_of(service.url) as client:
        assert isinstance(client.image("unknown", soon()).result, NotFound)
        versions = [client.version]
        assert isinstance(client.image(IDS[0], soon()).result, Found)
        versions.append(client.version)
        assert versions == [None, "v1"]
        assert client.choose_version(soon()) is None


@pytest.mark.parametrize("code", [300, 405, 410, 501])
def test_refused_version_is_chosen_again_once(service: SimulatedImageService, code: int) -> None:
    """The response to an image counts, and that to a batch."""
    with client_of(service.url) as client:
        service.faults.set("status", code=code, times=1)
        client.image(IDS[0], soon())
        service.api.v1_enabled = False
        client.choose_version(soon())
        versions = [client.version]
        service.faults.set("status", code=code, times=1)
        request_batch(client)
        service.api.v1_enabled = True
        client.choose_version(soon())
        versions.append(client.version)
        service.log.clear()
        client.choose_version(soon())
    assert versions == ["v2", "v1"]
    assert paths(service) == []


@pytest.mark.parametrize("code", [400, 401, 403, 404, 429, 500, 503])
def test_other_failures_keep_the_version(service: SimulatedImageService, code: int) -> None:
    with client_of(service.url) as client:
        service.faults.set("status", code=code, times=2)
        client.image(IDS[0], soon())
        service.faults.clear()
        service.log.clear()
        client.choose_version(soon())
    assert paths(service) == []


def test_refused_version_is_kept_until_the_service_offers_another(
    service: SimulatedImageService,
) -> None:
    with client_of(service.url) as client:
        service.faults.set("status", code=300)
        client.image(IDS[0], soon())
        service.faults.set("reset")
        client.choose_version(soon())
        assert client.version == "v1"
        service.faults.clear()
        service.log.clear()
        client.choose_version(soon())
        assert paths(service) == ["/"]


def test_document_without_a_known_version_chooses_none(service: SimulatedImageService) -> None:
    """v2's list is requested as well, and is not there."""
    body = json.dumps({"versions": [{"id": "v3.0", "status": "CURRENT"}]}).encode()
    service.faults.set("other_body", body=body)
    with client_of(service.url) as client:
        assert client.version is None


# Batches


def test_batch_has_the_images_that_are_listed(service: SimulatedImageService) -> None:
    service.images.change(IDS[1], hidden=True)
    service.images.delete(IDS[2])
    with client_of(service.url, "v2") as client:
        visible = request_batch(client)
        hidden = request_batch(client, second=True)
    assert listed_ids(visible) == {IDS[0], IDS[3]}
    assert listed_ids(hidden) == {IDS[1]}
    assert (visible.accepted, visible.splittable) == (True, False)


@pytest.mark.parametrize(
    ("code", "reason", "splittable"),
    [
        (400, "rejected", True),
        (414, "rejected", True),
        (431, "rejected", True),
        (404, "unconfirmed", False),
        (403, "forbidden", False),
        (429, "rate_limited", False),
        (500, "server_error", False),
    ],
)
def test_failed_batch_has_a_reason_and_may_be_splittable(
    service: SimulatedImageService, code: int, reason: str, splittable: bool
) -> None:
    """A 404 for a list says as little about its images as an unconfirmed 404 for each of them."""
    service.faults.set("status", on="list", code=code)
    with client_of(service.url, "v2") as client:
        reply = request_batch(client)
    assert isinstance(reply.batch, Failed)
    assert (reply.batch.reason, reply.splittable) == (reason, splittable)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"images": 1}', b'{"images": [1]}'])
def test_batch_that_is_not_a_list_is_malformed_and_splittable(
    service: SimulatedImageService, body: bytes
) -> None:
    service.faults.set("other_body", on="list", body=body)
    with client_of(service.url, "v2") as client:
        reply = request_batch(client)
    assert isinstance(reply.batch, Failed)
    assert (reply.batch.reason, reply.splittable) == ("malformed", True)
    assert not reply.accepted


def test_further_page_is_requested_by_the_path_that_the_previous_page_names(
    service: SimulatedImageService,
) -> None:
    service.api.page_limit = 3
    with client_of(service.url, "v2") as client:
        first = request_batch(client)
        assert isinstance(first.batch, Batch)
        assert first.batch.next_path is not None
        remaining = set(IDS) - listed_ids(first)
        second = request_batch(client, tuple(remaining), page=first.batch.next_path)
        assert listed_ids(second) == remaining


@pytest.mark.parametrize("prefix", ["", "/image", "/" + "deep/" * 60 + "image"])
def test_batches_leave_room_for_the_path_of_the_endpoint(prefix: str) -> None:
    """The limit holds even before a token has named the endpoint."""
    ids = [f"{number:036}" for number in range(300)]
    images = [SimulatedImage(image_id) for image_id in ids]
    assert len(prefix) < UNKNOWN_PREFIX_LENGTH
    with (
        SimulatedImageService(images, path_prefix=prefix) as service,
        client_of(service.url + prefix, "v2") as client,
    ):
        for _ in range(2):
            batches = client.split_into_batches(ids)
            assert [image_id for batch in batches for image_id in batch] == ids
            for batch in batches:
                assert listed_ids(request_batch(client, batch)) == set(batch)
        assert max(len(record.request.line) for record in service.log.records) <= 4000


def test_v1_has_no_batches(service: SimulatedImageService) -> None:
    with client_of(service.url, "v1") as client:
        assert client.split_into_batches(IDS) == ()
        reply = request_batch(client)
    assert isinstance(reply.batch, Failed)
    assert reply.batch.reason == "api_version"
    assert service.log.requests == 0
