import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from exporter.auth.static_token import StaticTokenAuthenticator
from exporter.clock import steady
from exporter.glance.client import UNKNOWN_PREFIX, ImageClient
from exporter.model.outcome import Failed, Found, NotFound
from exporter.model.replies import Batch, Deadline
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.transport.proxies import ProxySettings
from exporter.transport.rate_limiter import RateLimiter
from exporter.transport.tls_files import ClientTls

IDS = tuple(f"image-{number}" for number in range(4))


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """A service with both versions and a few images."""
    with SimulatedImageService([SimulatedImage(each) for each in IDS]) as running:
        yield running


@contextmanager
def asking(url: str, wanted: str = "auto") -> Iterator[ImageClient]:
    """A client of it."""
    client = ImageClient(
        signin=StaticTokenAuthenticator(url, None, ClientTls()),
        route_for=lambda _: ProxySettings(None, True, None),
        user_agent="test",
        timeout=2.0,
        properties=frozenset(),
        limiter=RateLimiter(None, steady, threading.Event()),
        measure=lambda *_: None,
        wanted=wanted,
    )
    yield client
    client.close()


def soon() -> Deadline:
    """A window that is wide open."""
    return Deadline(steady() + 10.0, steady() + 10.0)


def paths(service: SimulatedImageService) -> list[str]:
    """What was asked for so far."""
    return [record.path for record in service.log.records]


@pytest.mark.parametrize("wanted", ["v1", "v2"])
def test_a_version_that_is_wanted_needs_no_question(
    service: SimulatedImageService, wanted: str
) -> None:
    """It is spoken whatever the service offers."""
    with asking(service.url, wanted) as client:
        assert client.choose_version(soon()) is None
        assert client.version == wanted
    assert service.log.requests == 0


def test_v1_comes_first_and_is_remembered(service: SimulatedImageService) -> None:
    """The document is asked for once."""
    with asking(service.url) as client:
        for _ in range(3):
            client.choose_version(soon())
            assert client.version == "v1"
    assert paths(service) == ["/"]


def test_the_document_may_be_at_the_second_place(service: SimulatedImageService) -> None:
    """Where the first gives none, the other is asked, and then v2's list."""
    service.api.v1_enabled = False
    service.faults.set("status", code=404, times=1)
    with asking(service.url) as client:
        client.choose_version(soon())
        assert client.version == "v2"
    assert paths(service) == ["/", "/versions"]
    service.log.clear()
    service.faults.set("status", code=404, times=2)
    with asking(service.url) as client:
        client.choose_version(soon())
        assert client.version == "v2"
    assert paths(service) == ["/", "/versions", "/v2/images?limit=1"]


def test_no_answer_chooses_nothing_and_is_asked_once(service: SimulatedImageService) -> None:
    """Another path would get none either; the next time is another chance."""
    service.faults.set("reset")
    with asking(service.url) as client:
        client.choose_version(soon())
        assert client.version is None
        assert paths(service) == ["/"]
        service.faults.clear()
        client.choose_version(soon())
        assert client.version == "v1"


def test_a_wait_asked_for_is_returned_and_ends_the_questions(
    service: SimulatedImageService,
) -> None:
    """The service wants to be left alone: by other paths too."""
    service.faults.set("status", code=429, headers={"Retry-After": "7"})
    with asking(service.url) as client:
        request = client.choose_version(soon())
        assert request is not None
        assert (request.retry_after, client.version) == (7.0, None)
    assert paths(service) == ["/"]


def test_what_answers_is_what_is_spoken(service: SimulatedImageService) -> None:
    """Without any document v1 is tried, and known to be right when it describes an image."""
    service.faults.set("status", code=404, times=3)
    with asking(service.url) as client:
        client.choose_version(soon())
        assert isinstance(client.image("unknown", soon()).reading, NotFound)
        versions = [client.version]
        assert isinstance(client.image(IDS[0], soon()).reading, Found)
        versions.append(client.version)
        assert versions == [None, "v1"]
        assert client.choose_version(soon()) is None


@pytest.mark.parametrize("code", [300, 405, 410, 501])
def test_a_version_that_is_refused_is_asked_for_again(
    service: SimulatedImageService, code: int
) -> None:
    """Such an answer to an image or to a batch puts the version in doubt, once."""
    with asking(service.url) as client:
        client.choose_version(soon())
        service.faults.set("status", code=code, times=1)
        client.image(IDS[0], soon())
        service.api.v1_enabled = False
        client.choose_version(soon())
        assert client.version == "v2"
        service.faults.set("status", code=code, times=1)
        client.batch(IDS, soon(), hidden=False, page=None)
        service.api.v1_enabled = True
        client.choose_version(soon())
        assert client.version == "v1"
        service.log.clear()
        client.choose_version(soon())
    assert paths(service) == []


@pytest.mark.parametrize("code", [400, 401, 403, 404, 429, 500, 503])
def test_other_answers_leave_the_version_as_it_is(
    service: SimulatedImageService, code: int
) -> None:
    """A failure says nothing of the version."""
    with asking(service.url) as client:
        client.choose_version(soon())
        service.faults.set("status", code=code, times=2)
        client.image(IDS[0], soon())
        service.faults.clear()
        service.log.clear()
        client.choose_version(soon())
    assert paths(service) == []


def test_a_version_in_doubt_stays_while_nobody_says_otherwise(
    service: SimulatedImageService,
) -> None:
    """An endpoint that is down just then does not make it forget."""
    with asking(service.url) as client:
        client.choose_version(soon())
        service.faults.set("status", code=300)
        client.image(IDS[0], soon())
        service.faults.set("reset")
        client.choose_version(soon())
        assert client.version == "v1"
        service.faults.clear()
        service.log.clear()
        client.choose_version(soon())
        assert paths(service) == ["/"]


def test_a_batch_has_each_image_that_was_listed(service: SimulatedImageService) -> None:
    """Those that are not on the list are not in the reply either."""
    service.images.change(IDS[1], hidden=True)
    service.images.delete(IDS[2])
    with asking(service.url, "v2") as client:
        client.choose_version(soon())
        plain = client.batch(IDS, soon(), hidden=False, page=None)
        hidden = client.batch(IDS, soon(), hidden=True, page=None)
    assert isinstance(plain.batch, Batch)
    assert isinstance(hidden.batch, Batch)
    assert (set(plain.batch.readings), set(hidden.batch.readings)) == (
        {IDS[0], IDS[3]},
        {IDS[1]},
    )
    assert (plain.request.accepted, plain.splittable) == (True, False)


@pytest.mark.parametrize(
    ("code", "reason", "splits"),
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
def test_a_batch_that_fails_says_why_and_whether_fewer_may_do(
    service: SimulatedImageService, code: int, reason: str, splits: bool
) -> None:
    """A 404 to the list says of its images what an unproved one of theirs would."""
    service.faults.set("status", on="list", code=code)
    with asking(service.url, "v2") as client:
        client.choose_version(soon())
        reply = client.batch(IDS, soon(), hidden=False, page=None)
    assert isinstance(reply.batch, Failed)
    assert (reply.batch.reason, reply.splittable) == (reason, splits)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"images": 1}', b'{"images": [1]}'])
def test_a_list_that_cannot_be_read_may_do_with_fewer(
    service: SimulatedImageService, body: bytes
) -> None:
    """A 200 that is no list is malformed, not an empty list."""
    service.faults.set("other_body", on="list", body=body)
    with asking(service.url, "v2") as client:
        client.choose_version(soon())
        reply = client.batch(IDS, soon(), hidden=False, page=None)
    assert isinstance(reply.batch, Failed)
    assert (reply.batch.reason, reply.splittable) == ("malformed", True)
    assert not reply.request.accepted


def test_a_page_is_asked_for_by_its_own_path(service: SimulatedImageService) -> None:
    """The path is the one that the page before gave."""
    service.api.page_limit = 3
    with asking(service.url, "v2") as client:
        client.choose_version(soon())
        first = client.batch(IDS, soon(), hidden=False, page=None).batch
        assert isinstance(first, Batch)
        assert first.next_path is not None
        rest = tuple(set(IDS) - set(first.readings))
        second = client.batch(rest, soon(), hidden=False, page=first.next_path).batch
        assert isinstance(second, Batch)
        assert set(second.readings) == set(rest)


@pytest.mark.parametrize("prefix", ["", "/image", "/" + "deep/" * 60 + "image"])
def test_batches_leave_room_for_the_endpoints_path(prefix: str) -> None:
    """Every request line is within what front ends take, before the path is known and after."""
    ids = [f"{number:036}" for number in range(300)]
    images = [SimulatedImage(each) for each in ids]
    assert len(prefix) < UNKNOWN_PREFIX
    with (
        SimulatedImageService(images, path_prefix=prefix) as service,
        asking(service.url + prefix, "v2") as client,
    ):
        client.choose_version(soon())
        for _ in range(2):
            batches = client.batches(ids)
            assert [each for batch in batches for each in batch] == ids
            for batch in batches:
                reply = client.batch(batch, soon(), hidden=False, page=None)
                assert isinstance(reply.batch, Batch)
                assert set(reply.batch.readings) == set(batch)
        assert max(len(record.request.line) for record in service.log.records) <= 4000


def test_v1_knows_no_batches(service: SimulatedImageService) -> None:
    """Each image is asked for by itself."""
    with asking(service.url, "v1") as client:
        client.choose_version(soon())
        assert client.batches(IDS) == ()


def test_a_document_that_offers_nothing_spoken_chooses_nothing(
    service: SimulatedImageService,
) -> None:
    """A version 3 by itself would be news; then v2's list is asked for, which is not there."""
    body = json.dumps({"versions": [{"id": "v3.0", "status": "CURRENT"}]}).encode()
    service.faults.set("other_body", body=body)
    with asking(service.url) as client:
        client.choose_version(soon())
        assert client.version is None
