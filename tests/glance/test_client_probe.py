"""Controlled probes of a client: control, suspect and control on one connection."""

import re
import threading
from collections.abc import Iterator

import pytest

from exporter.auth.base import AuthError
from exporter.clock import steady
from exporter.glance.client import ImageClient
from exporter.model.api_traits import ApiName
from exporter.model.replies import Deadline, Listed, ProbeReply
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.transport.rate_limiter import RateLimiter
from tests.glance.clients import (
    TIMEOUT,
    FakeAuthenticator,
    ObservedRequest,
    image_client,
    result_names,
    soon,
)
from tests.support.wait import wait_until

CONTROL = "87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"
SUSPECT = "5c1b2f3a-0d6e-4b7c-9a8d-1e2f3a4b5c6d"
OTHERS = [f"00000000-0000-4000-8000-{number:012}" for number in range(6)]

METHODS = {"v1": "HEAD", "v2": "GET"}


class CountingLimiter(RateLimiter):
    """A limiter that counts its permits, and refuses further ones after ``available``."""

    def __init__(self, available: int = 100) -> None:
        super().__init__(None, steady, threading.Event())
        self.available = available
        self.granted = 0

    def acquire(self, deadline: float) -> bool:
        if self.granted == self.available or not super().acquire(deadline):
            return False
        self.granted += 1
        return True


@pytest.fixture(params=["v1", "v2"])
def api(request: pytest.FixtureRequest) -> ApiName:
    """Run a test with each version of the API."""
    version: ApiName = request.param
    return version


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """Return a service that has the control and other images, but not the suspect."""
    images = [SimulatedImage(image_id) for image_id in (CONTROL, *OTHERS)]
    with SimulatedImageService(images, token="token-1") as running:
        yield running


@pytest.fixture
def authenticator(service: SimulatedImageService) -> FakeAuthenticator:
    return FakeAuthenticator(service.url)


@pytest.fixture
def observed() -> list[ObservedRequest]:
    return []


@pytest.fixture
def limiter() -> CountingLimiter:
    return CountingLimiter()


@pytest.fixture
def client(
    api: ApiName,
    authenticator: FakeAuthenticator,
    observed: list[ObservedRequest],
    limiter: CountingLimiter,
) -> Iterator[ImageClient]:
    with image_client(
        authenticator,
        api,
        lambda *request: observed.append(ObservedRequest(*request)),
        limiter,
    ) as client:
        client.choose_version(soon())
        yield client


def probe(client: ImageClient, control: str | None = CONTROL) -> ProbeReply:
    return client.probe(SUSPECT, control, soon())


def connections(service: SimulatedImageService) -> list[int]:
    """Return the number of the connection of each request."""
    return [record.connection for record in service.log.records]


CONCLUSIVE = ["Found", "NotFound", "Found"]


def test_control_suspect_and_control_are_requested_on_one_connection(
    service: SimulatedImageService,
    client: ImageClient,
    observed: list[ObservedRequest],
    limiter: CountingLimiter,
    api: ApiName,
) -> None:
    reply = probe(client)
    assert result_names(reply) == CONCLUSIVE
    assert (reply.requests, reply.used_one_connection, reply.accepted) == (3, True, True)
    assert reply.failure is None
    records = service.log.records
    assert [(record.method, record.path) for record in records] == [
        (METHODS[api], f"/{api}/images/{image_id}") for image_id in (CONTROL, SUSPECT, CONTROL)
    ]
    assert connections(service) == [1, 1, 1]
    announcements = [record.request.headers.get("connection") for record in records]
    assert announcements == [None, None, "close"]
    assert [request.code for request in observed] == ["200", "404", "200"]
    assert limiter.granted == 3


def test_connection_of_a_probe_is_named_and_closed(
    service: SimulatedImageService, client: ImageClient
) -> None:
    reply = probe(client)
    local = r"local 127\.0\.0\.1:\d+ to "
    assert re.fullmatch(f"{local}127\\.0\\.0\\.1:{service.port}", reply.connection)
    assert client.sender.connections == 0
    wait_until(lambda: service.log.connections_open == 0)


def test_probe_shares_no_connection_with_other_requests(
    service: SimulatedImageService, client: ImageClient
) -> None:
    client.image(CONTROL, soon())
    probe(client)
    client.image(CONTROL, soon())
    probe(client)
    assert connections(service) == [1, 2, 2, 2, 1, 3, 3, 3]


def test_times_of_a_probe_are_from_the_first_request_to_the_last_response(
    client: ImageClient,
) -> None:
    ends: list[float] = []
    client.sender.observe_request = lambda *_: ends.append(steady())
    facts = probe(client).facts
    assert facts.sent_at < ends[0] < ends[1] < facts.received_at < ends[2]


def test_list_can_be_the_control(
    service: SimulatedImageService, client: ImageClient, api: ApiName
) -> None:
    reply = probe(client, None)
    assert result_names(reply) == ["Listed", "NotFound", "Listed"]
    assert isinstance(reply.before, Listed)
    assert len(set(reply.before.image_ids)) == 5
    assert set(reply.before.image_ids) < {CONTROL, *OTHERS}
    assert reply.before.request_id.startswith("req-")
    records = service.log.records
    list_path = f"/{api}/images?limit=5"
    assert [record.path for record in records] == [list_path, records[1].path, list_path]
    assert connections(service) == [1, 1, 1]
    assert [record.request.headers.get("connection") for record in records] == [None, None, "close"]
    assert reply.accepted


# Probes that end early


@pytest.mark.parametrize(
    ("control", "code", "reason"),
    [(CONTROL, 404, "NotFound"), (CONTROL, 500, "server_error"), (None, 403, "forbidden")],
)
def test_suspect_is_not_requested_unless_the_control_is_found(
    service: SimulatedImageService,
    client: ImageClient,
    control: str | None,
    code: int,
    reason: str,
) -> None:
    service.faults.set("status", code=code)
    reply = probe(client, control)
    assert result_names(reply) == [reason]
    assert (reply.requests, service.log.count(path=SUSPECT)) == (1, 0)
    assert not reply.accepted


def test_suspect_that_is_found_ends_the_probe(
    service: SimulatedImageService, client: ImageClient
) -> None:
    service.images.put(SimulatedImage(SUSPECT))
    reply = probe(client)
    assert result_names(reply) == ["Found", "Found"]
    assert (reply.requests, service.log.requests) == (2, 2)
    assert client.sender.connections == 0


def test_suspect_that_fails_ends_the_probe(
    service: SimulatedImageService, client: ImageClient
) -> None:
    service.faults.set("status", on=SUSPECT, code=500)
    reply = probe(client)
    assert result_names(reply) == ["Found", "server_error"]
    assert reply.failure is reply.suspect
    assert (reply.requests, service.log.requests) == (2, 2)
    assert reply.accepted


@pytest.mark.parametrize(("code", "result"), [(404, "NotFound"), (500, "server_error")])
def test_second_control_can_fail_too(
    service: SimulatedImageService, client: ImageClient, code: int, result: str
) -> None:
    def break_control(*_: object) -> None:
        service.faults.set("status", on=CONTROL, code=code)

    client.sender.observe_request = break_control
    reply = probe(client)
    assert result_names(reply) == ["Found", "NotFound", result]
    assert (reply.requests, reply.used_one_connection, reply.accepted) == (3, True, True)


# Connections that the server closes


def test_probe_without_keep_alive_uses_a_connection_for_each_request(
    service: SimulatedImageService, client: ImageClient, limiter: CountingLimiter
) -> None:
    service.faults.set("http_1_0")
    reply = probe(client)
    assert result_names(reply) == CONCLUSIVE
    assert connections(service) == [1, 2, 3]
    assert (reply.requests, reply.used_one_connection) == (3, False)
    assert limiter.granted == 3
    assert client.sender.connections == 0


@pytest.mark.parametrize("control", [CONTROL, None])
def test_server_may_close_the_connection_after_the_first_response(
    service: SimulatedImageService, client: ImageClient, control: str | None
) -> None:
    """The closed connection may be noticed before the suspect is requested, or afterwards."""
    service.faults.set("close_after", on="list" if control is None else control, times=1)
    reply = probe(client, control)
    assert result_names(reply)[1:] == [CONCLUSIVE[1], "Listed" if control is None else "Found"]
    assert connections(service) == [1, 2, 2]
    assert not reply.used_one_connection


def test_request_on_a_connection_that_ends_is_sent_again_with_its_own_permit(
    service: SimulatedImageService, client: ImageClient, limiter: CountingLimiter
) -> None:
    service.faults.set("close", on=SUSPECT, times=1)
    reply = probe(client)
    assert result_names(reply) == CONCLUSIVE
    assert connections(service) == [1, 1, 2, 2]
    assert (reply.requests, limiter.granted, reply.used_one_connection) == (4, 4, False)


# Tokens


def test_token_is_renewed_once_in_the_middle_of_a_probe(
    service: SimulatedImageService,
    client: ImageClient,
    authenticator: FakeAuthenticator,
    observed: list[ObservedRequest],
    limiter: CountingLimiter,
) -> None:
    service.accept("token-2")
    service.faults.set("status", on=SUSPECT, code=401, times=1)
    reply = probe(client)
    assert result_names(reply) == CONCLUSIVE
    assert connections(service) == [1, 1, 1, 1]
    assert [request.code for request in observed] == ["200", "401", "404", "200"]
    assert (reply.requests, limiter.granted, authenticator.renewals) == (4, 4, 1)
    assert reply.used_one_connection


def test_401_for_the_renewed_token_ends_the_probe(
    service: SimulatedImageService, client: ImageClient
) -> None:
    service.faults.set("status", on=SUSPECT, code=401)
    assert result_names(probe(client)) == ["Found", "unauthorized"]


def test_failed_authentication_in_the_middle_ends_the_probe(
    service: SimulatedImageService, client: ImageClient, authenticator: FakeAuthenticator
) -> None:
    def fail(*_: object) -> None:
        authenticator.failure = AuthError("connection", "Keystone is down")

    client.sender.observe_request = fail
    reply = probe(client)
    assert result_names(reply) == ["Found", "connection"]
    assert reply.facts.failed_at_authentication
    assert (reply.requests, service.log.requests) == (1, 1)


def test_new_endpoint_of_a_renewed_token_is_another_connection(
    service: SimulatedImageService, client: ImageClient, authenticator: FakeAuthenticator
) -> None:
    with SimulatedImageService([SimulatedImage(CONTROL)]) as other:

        def move(*_: object) -> None:
            authenticator.endpoint = other.url

        client.sender.observe_request = move
        reply = probe(client)
        assert result_names(reply) == CONCLUSIVE
        assert (service.log.requests, other.log.requests) == (1, 2)
        assert not reply.used_one_connection


# Rate limit and deadlines


@pytest.mark.parametrize(("code", "reason"), [(503, "server_error"), (429, "rate_limited")])
def test_retry_after_in_the_middle_ends_the_probe_and_blocks_the_cloud(
    service: SimulatedImageService,
    client: ImageClient,
    limiter: CountingLimiter,
    code: int,
    reason: str,
) -> None:
    """The reason distinguishes an unavailable service from a rate limit."""
    service.faults.set("status", on=SUSPECT, code=code, headers={"Retry-After": "7"})
    reply = probe(client)
    assert result_names(reply) == ["Found", reason]
    assert reply.facts.retry_after == 7.0
    assert limiter.blocked_until == reply.facts.retry_at


@pytest.mark.parametrize(("available", "expected"), [(0, []), (1, ["Found"]), (2, CONCLUSIVE[:2])])
def test_probe_ends_when_the_rate_limit_leaves_no_time(
    service: SimulatedImageService,
    client: ImageClient,
    limiter: CountingLimiter,
    available: int,
    expected: list[str],
) -> None:
    limiter.available = available
    reply = probe(client)
    assert result_names(reply) == [*expected, "not_polled"]
    assert (reply.requests, service.log.requests) == (available, available)


def test_probe_after_its_deadline_sends_nothing(
    service: SimulatedImageService, client: ImageClient, observed: list[ObservedRequest]
) -> None:
    reply = client.probe(SUSPECT, CONTROL, Deadline(steady() - 2, steady() - 1))
    assert result_names(reply) == ["not_polled"]
    assert (reply.requests, reply.connection, reply.used_one_connection) == (0, "", True)
    assert (service.log.requests, observed) == (0, [])


@pytest.mark.parametrize(("timeout", "left"), [(0.2, TIMEOUT), (TIMEOUT, 0.2)])
def test_request_of_a_probe_ends_at_its_timeout_and_at_the_deadline(
    service: SimulatedImageService, client: ImageClient, timeout: float, left: float
) -> None:
    client.sender.timeout = timeout
    service.faults.set("hang")
    started = steady()
    reply = client.probe(SUSPECT, CONTROL, Deadline(started + TIMEOUT, started + left))
    assert result_names(reply) == ["timeout"]
    assert steady() - started < TIMEOUT


def test_close_ends_a_probe(service: SimulatedImageService, client: ImageClient) -> None:
    hang = service.faults.set("hang", on=SUSPECT)
    replies: list[ProbeReply] = []
    running = threading.Thread(target=lambda: replies.append(probe(client)))
    running.start()
    wait_until(lambda: hang.fired == 1)
    client.close()
    running.join()
    assert result_names(replies[0]) == ["Found", "connection"]
    assert client.sender.connections == 0
