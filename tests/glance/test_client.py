import threading
from collections.abc import Callable, Iterator

import pytest

from exporter.auth.base import AuthError, AuthStats, AuthToken
from exporter.clock import steady
from exporter.glance.client import ImageClient
from exporter.model.outcome import Found, NotFound
from exporter.model.replies import Deadline, ImageReply, ListReply
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.transport.proxies import ProxySettings
from exporter.transport.rate_limiter import RateLimiter
from exporter.transport.tls_files import ClientTls
from tests.support.wait import wait_until

ID = "87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"
GENEROUS = 10.0


class Token:
    """A sign-in in the hands of a test: renewing gives the next token, or fails."""

    tls = ClientTls()

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.number = 1
        self.renewals = 0
        self.failure: AuthError | None = None
        self.closed = False
        self._lock = threading.Lock()

    def credential(self) -> AuthToken:
        """The token in use."""
        if self.failure is not None:
            raise self.failure
        return AuthToken(self.endpoint, f"token-{self.number}", None, self.number)

    def renew(self, stale: AuthToken) -> AuthToken:
        """Another one than the stale."""
        with self._lock:
            if stale.generation == self.number:
                self.renewals += 1
                self.number += 1
        return self.credential()

    identity = b""

    def stats(self) -> AuthStats:
        """Nothing of interest."""
        return AuthStats(self.number, 0, None)

    def close(self) -> None:
        """Notes it."""
        self.closed = True


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """A service with one image, that takes the first token."""
    with SimulatedImageService([SimulatedImage(ID)], token="token-1") as running:
        yield running


@pytest.fixture
def token(service: SimulatedImageService) -> Token:
    """A sign-in to it."""
    return Token(service.url)


@pytest.fixture
def measured() -> list[tuple[str, str, float, str]]:
    """Every request that was measured."""
    return []


@pytest.fixture
def client(token: Token, measured: list[tuple[str, str, float, str]]) -> Iterator[ImageClient]:
    """A client of it."""
    made = ImageClient(
        signin=token,
        route_for=lambda _: ProxySettings(None, True, None),
        user_agent="test",
        timeout=2.0,
        properties=frozenset(),
        limiter=RateLimiter(None, steady, threading.Event()),
        measure=lambda *each: measured.append(each),
    )
    yield made
    made.close()


def soon() -> Deadline:
    """A window that is wide open."""
    return Deadline(steady() + GENEROUS, steady() + GENEROUS)


def head(client: ImageClient, image_id: str = ID) -> ImageReply:
    """One image asked for."""
    return client.image(image_id, soon())


def reason(reply: ImageReply | ListReply) -> str:
    assert reply.failure is not None
    return reply.failure.reason


def test_an_image_is_found_with_the_token(
    service: SimulatedImageService,
    client: ImageClient,
    measured: list[tuple[str, str, float, str]],
) -> None:
    """The request carries it, the reply says that it was accepted, and the time is measured."""
    reply = head(client)
    assert isinstance(reply.reading, Found)
    assert reply.request.accepted
    assert service.log.records[0].request.headers["x-auth-token"] == "token-1"
    [(method, code, seconds, request_id)] = measured
    assert (method, code, request_id) == ("HEAD", "200", reply.reading.request_id)
    assert 0 < seconds < GENEROUS


def test_a_404_is_not_accepted_by_itself(client: ImageClient) -> None:
    """It may come from anybody; it is left open."""
    reply = head(client, "unknown")
    assert isinstance(reply.reading, NotFound)
    assert not reply.request.accepted


def test_the_list_is_a_proof_or_a_failure(
    service: SimulatedImageService, client: ImageClient
) -> None:
    """A 200 that parses as one, else the reason why not."""
    reply = client.list(soon())
    assert (reply.request.accepted, reply.failure) == (True, None)
    service.faults.set("status", on="list", code=403)
    reply = client.list(soon())
    assert (reply.request.accepted, reason(reply)) == (False, "forbidden")


@pytest.mark.parametrize(
    ("code", "accepted"), [(400, True), (429, True), (401, False), (403, False), (500, False)]
)
def test_which_refusals_show_that_the_service_answers(
    service: SimulatedImageService, client: ImageClient, code: int, accepted: bool
) -> None:
    """400 and 429 come after the credentials were looked at; the others need not."""
    service.faults.set("status", code=code)
    assert head(client).request.accepted is accepted


def test_many_that_meet_a_401_renew_once_and_lose_no_poll(
    service: SimulatedImageService, client: ImageClient, token: Token
) -> None:
    """A token revoked in the middle costs one renewal, however many threads meet it."""
    head(client)
    service.revoke("token-1")
    service.accept("token-2")
    replies: list[ImageReply] = []
    threads = [threading.Thread(target=lambda: replies.append(head(client))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(reply.reading) for reply in replies] == [Found] * 8
    assert token.renewals == 1


def test_a_401_with_the_new_token_too_is_unauthorized(
    service: SimulatedImageService, client: ImageClient
) -> None:
    """It is asked twice, not more."""
    service.revoke("token-1")
    assert reason(head(client)) == "unauthorized"
    assert service.log.requests == 2


def test_after_a_new_token_one_request_goes_ahead(
    service: SimulatedImageService, client: ImageClient
) -> None:
    """The others are sent when the first is answered."""
    held = service.faults.set("hang", times=1)
    threads = [threading.Thread(target=head, args=(client,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    wait_until(lambda: held.fired == 1)
    assert service.log.max_in_flight == 1
    service.faults.clear()
    for thread in threads:
        thread.join()
    assert service.log.requests == 6


def test_a_failed_sign_in_is_the_polls_reason(client: ImageClient, token: Token) -> None:
    """Nothing is sent without a token."""
    token.failure = AuthError("connection", "Keystone is down")
    reply = head(client)
    assert reason(reply) == "connection"
    assert "sign-in: Keystone is down" in str(reply.reading)


def test_an_endpoint_that_moves_is_followed(client: ImageClient, token: Token) -> None:
    """The catalogue may name another one with the next token; the old connections end."""
    head(client)
    with SimulatedImageService([SimulatedImage(ID)]) as other:
        token.endpoint = other.url
        assert isinstance(head(client).reading, Found)
        assert other.log.requests == 1
        assert client.connections == 1


def test_an_endpoint_that_cannot_be_asked_is_no_connection(
    client: ImageClient, token: Token
) -> None:
    """What the catalogue says is not trusted to be a URL."""
    token.endpoint = "gopher://127.0.0.1"
    assert reason(head(client)) == "connection"


@pytest.mark.parametrize(
    ("code", "value", "wait", "as_told"),
    [
        (429, "7", 7.0, True),
        (503, "7", 7.0, True),
        (413, "7", 7.0, True),
        (429, "9999", 300.0, False),
        (429, "-1", 300.0, False),
        (403, "7", None, True),
        (200, "7", None, True),
    ],
)
def test_a_wait_is_told_where_it_means_one(
    service: SimulatedImageService,
    client: ImageClient,
    code: int,
    value: str,
    wait: float | None,
    as_told: bool,
) -> None:
    """Retry-After counts on 429, 503 and 413; one that is too long is capped."""
    service.faults.set("status", code=code, headers={"Retry-After": value})
    reply = head(client)
    assert (reply.request.retry_after, reply.request.retry_after_usable) == (wait, as_told)


def test_a_date_is_measured_by_the_servers_clock(
    service: SimulatedImageService, client: ImageClient
) -> None:
    """Its clock may be years off: the wait is between its two dates, and the skew is shown."""
    service.replay(
        ID,
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
        b"Retry-After: Tue, 01 Jan 2030 00:00:20 GMT\r\n"
        b"Date: Tue, 01 Jan 2030 00:00:00 GMT\r\n\r\n",
    )
    assert head(client).request.retry_after == 20.0
    assert client.skew is not None
    assert abs(client.skew) > 86400


def test_the_clocks_are_compared_once_a_cycle(
    service: SimulatedImageService, client: ImageClient
) -> None:
    """Between two beginnings the first answer's Date counts."""
    head(client)
    first = client.skew
    assert first is not None
    head(client)
    assert client.skew == first
    service.replay(
        ID,
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n"
        b"Date: Tue, 01 Jan 2030 00:00:00 GMT\r\n\r\n",
    )
    client.begin()
    head(client)
    assert client.skew != first


def test_a_second_date_is_not_taken_for_the_servers(
    service: SimulatedImageService, client: ImageClient
) -> None:
    """A name with a line break may bring a Date of its own."""
    service.faults.set("status", code=500, headers={"Date": "Tue, 01 Jan 2030 00:00:00 GMT"})
    head(client)
    assert client.skew is None


@pytest.mark.parametrize(
    "window",
    [lambda: Deadline(steady() - 1, steady() + 1), lambda: Deadline(steady() - 2, steady() - 1)],
    ids=["too late to start", "over"],
)
def test_what_cannot_be_begun_in_time_was_not_polled(
    service: SimulatedImageService,
    client: ImageClient,
    measured: list[tuple[str, str, float, str]],
    window: Callable[[], Deadline],
) -> None:
    """Nothing is sent, and nothing is measured."""
    assert reason(client.image(ID, window())) == "not_polled"
    assert (service.log.requests, measured) == (0, [])


def test_a_request_without_an_answer_is_measured_as_error(
    service: SimulatedImageService,
    client: ImageClient,
    measured: list[tuple[str, str, float, str]],
) -> None:
    """With the time it took, within what it had."""
    service.faults.set("hang")
    began = steady()
    reply = client.image(ID, Deadline(began + 1, began + 0.1))
    assert reason(reply) == "timeout"
    assert [(method, code) for method, code, *_ in measured] == [("HEAD", "error")]
    assert measured[0][2] < 1.0


def test_after_close_nothing_is_asked(
    service: SimulatedImageService, client: ImageClient, token: Token
) -> None:
    """Neither over an old connection nor a new one."""
    client.settle(0.0)
    client.close()
    assert reason(head(client)) == "connection"
    assert (service.log.requests, token.closed, client.connections) == (0, True, 0)
