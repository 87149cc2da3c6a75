import threading
from collections.abc import Callable, Iterator

import pytest

from exporter.auth.base import AuthError
from exporter.clock import steady
from exporter.glance.client import ImageClient
from exporter.model.outcome import Found, NotFound
from exporter.model.replies import Deadline, ImageReply, ListReply
from exporter.simulator import SimulatedImage, SimulatedImageService
from tests.glance.clients import TIMEOUT, FakeAuthenticator, ObservedRequest, image_client, soon
from tests.support.wait import wait_until

ID = "87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """Return a service with one image that accepts the first token."""
    with SimulatedImageService([SimulatedImage(ID)], token="token-1") as running:
        yield running


@pytest.fixture
def authenticator(service: SimulatedImageService) -> FakeAuthenticator:
    return FakeAuthenticator(service.url)


@pytest.fixture
def observed() -> list[ObservedRequest]:
    return []


@pytest.fixture
def client(
    authenticator: FakeAuthenticator, observed: list[ObservedRequest]
) -> Iterator[ImageClient]:
    with image_client(
        authenticator,
        observe_request=lambda *request: observed.append(ObservedRequest(*request)),
    ) as client:
        yield client


def request_image(client: ImageClient, image_id: str = ID) -> ImageReply:
    return client.image(image_id, soon())


def reason(reply: ImageReply | ListReply) -> str:
    assert reply.failure is not None
    return reply.failure.reason


def test_image_is_found_with_the_token(
    service: SimulatedImageService, client: ImageClient, observed: list[ObservedRequest]
) -> None:
    reply = request_image(client)
    assert isinstance(reply.result, Found)
    assert reply.accepted
    assert service.log.records[0].request.headers["x-auth-token"] == "token-1"
    [(method, code, seconds, request_id)] = observed
    assert (method, code, request_id) == ("HEAD", "200", reply.result.request_id)
    assert 0 < seconds < TIMEOUT


def test_404_does_not_prove_that_the_credentials_were_accepted(client: ImageClient) -> None:
    """Any server may send one."""
    reply = request_image(client, "unknown")
    assert isinstance(reply.result, NotFound)
    assert not reply.accepted


def test_list_is_a_proof_or_a_failure(service: SimulatedImageService, client: ImageClient) -> None:
    reply = client.list(soon())
    assert (reply.accepted, reply.failure) == (True, None)
    service.faults.set("status", on="list", code=403)
    reply = client.list(soon())
    assert (reply.accepted, reason(reply)) == (False, "forbidden")


@pytest.mark.parametrize(
    ("code", "accepted"), [(400, True), (429, True), (401, False), (403, False), (500, False)]
)
def test_only_400_and_429_show_that_the_credentials_were_accepted(
    service: SimulatedImageService, client: ImageClient, code: int, accepted: bool
) -> None:
    """The service sends both after it has checked the credentials; others may come earlier."""
    service.faults.set("status", code=code)
    assert request_image(client).accepted is accepted


# Tokens


def test_revoked_token_is_renewed_once_for_all_threads_and_no_poll_is_lost(
    service: SimulatedImageService, client: ImageClient, authenticator: FakeAuthenticator
) -> None:
    request_image(client)
    service.revoke("token-1")
    service.accept("token-2")
    replies: list[ImageReply] = []
    threads = [
        threading.Thread(target=lambda: replies.append(request_image(client))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(reply.result) for reply in replies] == [Found] * 8
    assert authenticator.renewals == 1


def test_401_with_a_page_renews_the_token(
    service: SimulatedImageService, client: ImageClient, authenticator: FakeAuthenticator
) -> None:
    """HAProxy up to 2.1 and firewalls send a page also in response to HEAD."""
    request_image(client)
    service.accept("token-2")
    service.faults.set("error_page", code=401, times=1)
    assert isinstance(request_image(client).result, Found)
    assert authenticator.renewals == 1


def test_401_for_the_renewed_token_is_unauthorized(
    service: SimulatedImageService, client: ImageClient
) -> None:
    service.revoke("token-1")
    assert reason(request_image(client)) == "unauthorized"
    assert service.log.requests == 2


def test_first_request_with_a_new_token_is_sent_alone(
    service: SimulatedImageService, client: ImageClient
) -> None:
    hang = service.faults.set("hang", times=1)
    threads = [threading.Thread(target=request_image, args=(client,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    wait_until(lambda: hang.fired == 1)
    assert service.log.max_in_flight == 1
    service.faults.clear()
    for thread in threads:
        thread.join()
    assert service.log.requests == 6


def test_failed_authentication_is_the_reason_of_the_poll(
    service: SimulatedImageService, client: ImageClient, authenticator: FakeAuthenticator
) -> None:
    authenticator.failure = AuthError("connection", "Keystone is down")
    reply = request_image(client)
    assert reason(reply) == "connection"
    assert "sign-in: Keystone is down" in str(reply.result)
    assert reply.facts.failed_at_authentication
    assert service.log.requests == 0


# Endpoints


def test_new_endpoint_of_the_catalog_is_followed(
    client: ImageClient, authenticator: FakeAuthenticator
) -> None:
    """The connections to the old endpoint are closed."""
    request_image(client)
    with SimulatedImageService([SimulatedImage(ID)]) as other:
        authenticator.endpoint = other.url
        assert isinstance(request_image(client).result, Found)
        assert other.log.requests == 1
        assert client.sender.connections == 1


def test_endpoint_that_is_not_a_url_is_a_connection_failure(
    client: ImageClient, authenticator: FakeAuthenticator
) -> None:
    authenticator.endpoint = "gopher://127.0.0.1"
    assert reason(request_image(client)) == "connection"


# Redirects


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("https://images.example.com/v1/images/x?key=s3cret", "https://images.example.com"),
        ("http://user:s3cret@cloud:9292/", "http://cloud:9292"),
        ("https://cloud:443/v2", "https://cloud:443"),
        ("/login", "another path"),
        ("//elsewhere/", "//elsewhere"),
        ("https://\x7f/", "an unusable URL"),
    ],
)
def test_redirect_is_not_followed_and_the_detail_says_where_to(
    service: SimulatedImageService, client: ImageClient, code: int, location: str, where: str
) -> None:
    service.faults.set("redirect", location=location, code=code)
    failure = request_image(client).failure
    assert failure is not None
    assert failure.reason == "rejected"
    assert failure.detail == f"HTTP {code}, a redirect to {where}"
    assert service.log.requests == 1


def test_other_codes_do_not_name_a_location(
    service: SimulatedImageService, client: ImageClient
) -> None:
    service.faults.set("redirect", location="https://elsewhere/", code=503)
    failure = request_image(client).failure
    assert failure is not None
    assert failure.detail == "HTTP 503"


# Retry-After and clock skew


@pytest.mark.parametrize(
    ("code", "value", "retry_after", "usable"),
    [
        (429, "7", 7.0, True),
        (503, "7", 7.0, True),
        (413, "7", 7.0, True),
        (429, "0.5", 0.5, True),
        (503, "1.0", 1.0, True),
        (413, "1.5", 1.5, True),
        (503, "Wed, 21 Oct 2015 07:28:00 GMT", 0.0, True),
        (429, "9999", 300.0, False),
        (429, "-1", 300.0, False),
        (403, "7", None, True),
        (200, "7", None, True),
    ],
)
def test_retry_after_counts_on_413_429_and_503_and_is_capped(
    service: SimulatedImageService,
    client: ImageClient,
    code: int,
    value: str,
    retry_after: float | None,
    usable: bool,
) -> None:
    service.faults.set("status", code=code, headers={"Retry-After": value})
    facts = request_image(client).facts
    assert (facts.retry_after, facts.retry_after_usable) == (retry_after, usable)


def test_retry_after_counts_also_with_a_page(
    service: SimulatedImageService, client: ImageClient
) -> None:
    request_image(client)
    service.faults.set("error_page", code=503, headers={"Retry-After": "7"})
    reply = request_image(client)
    assert (reason(reply), reply.facts.retry_after) == ("server_error", 7.0)


def test_retry_after_as_a_date_is_relative_to_the_clock_of_the_server(
    service: SimulatedImageService, client: ImageClient
) -> None:
    """The server's clock may be years off."""
    service.replay(
        ID,
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
        b"Retry-After: Tue, 01 Jan 2030 00:00:20 GMT\r\n"
        b"Date: Tue, 01 Jan 2030 00:00:00 GMT\r\n\r\n",
    )
    assert request_image(client).facts.retry_after == 20.0
    assert client.sender.clock_skew is not None
    assert abs(client.sender.clock_skew) > 86400


def test_clocks_are_compared_once_per_cycle(
    service: SimulatedImageService, client: ImageClient
) -> None:
    request_image(client)
    first = client.sender.clock_skew
    assert first is not None
    request_image(client)
    assert client.sender.clock_skew == first
    service.replay(
        ID,
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n"
        b"Date: Tue, 01 Jan 2030 00:00:00 GMT\r\n\r\n",
    )
    client.start_cycle()
    request_image(client)
    assert client.sender.clock_skew != first


def test_response_with_two_dates_is_not_used_to_compare_the_clocks(
    service: SimulatedImageService, client: ImageClient
) -> None:
    """An image name with a line break may have added one."""
    service.faults.set("status", code=500, headers={"Date": "Tue, 01 Jan 2030 00:00:00 GMT"})
    request_image(client)
    assert client.sender.clock_skew is None


# Deadlines and close


@pytest.mark.parametrize(
    "deadline",
    [lambda: Deadline(steady() - 1, steady() + 1), lambda: Deadline(steady() - 2, steady() - 1)],
    ids=["too late to start", "over"],
)
def test_request_that_cannot_start_in_time_is_not_sent(
    service: SimulatedImageService,
    client: ImageClient,
    observed: list[ObservedRequest],
    deadline: Callable[[], Deadline],
) -> None:
    assert reason(client.image(ID, deadline())) == "not_polled"
    assert (service.log.requests, observed) == (0, [])


def test_request_without_a_response_is_observed_as_error(
    service: SimulatedImageService, client: ImageClient, observed: list[ObservedRequest]
) -> None:
    service.faults.set("hang")
    start = steady()
    reply = client.image(ID, Deadline(start + 1, start + 0.1))
    assert reason(reply) == "timeout"
    [request] = observed
    assert (request.method, request.code) == ("HEAD", "error")
    assert request.seconds < 30.0, "it would never end by itself"


def test_closed_client_sends_nothing(
    service: SimulatedImageService, client: ImageClient, authenticator: FakeAuthenticator
) -> None:
    client.end_cycle(0.0)
    client.close()
    assert reason(request_image(client)) == "connection"
    assert service.log.requests == 0
    assert authenticator.closed
    assert client.sender.connections == 0
