import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keystoneauth1.identity import Password

from exporter.auth.base import Authenticator, AuthError, AuthToken
from exporter.auth.catalog import CatalogEntry
from exporter.auth.factory import build_authenticator
from exporter.auth.keystone import Keystone
from exporter.auth.token_cache import MIN_RENEWAL_INTERVAL, CachedTokenAuthenticator, renewal_margin
from exporter.simulator.keystone import KeystoneFault, SimulatedKeystone
from exporter.transport.tls_files import ClientTls
from tests.support.clock import START, FakeClock
from tests.support.clouds_yaml import clear_configuration, password_auth, write_clouds_yaml
from tests.support.wait import DEADLINE, wait_until

THREADS = 50


@pytest.fixture
def keystone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedKeystone]:
    """Return a Keystone that clouds.yaml knows as ``lab``."""
    clear_configuration(monkeypatch)
    with SimulatedKeystone() as keystone:
        keystone.offer_image("http://image")
        write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth": password_auth(keystone)}})
        yield keystone


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START._replace(wall=time.time()))  # Keystone's tokens expire in real time.


@pytest.fixture
def authenticator(keystone: SimulatedKeystone, clock: FakeClock) -> Iterator[Authenticator]:
    """Return an authenticator with the longest backoffs."""
    assert keystone.requests() == []
    authenticator = build_authenticator(
        "lab", cloud="lab", timeout=5.0, clock=clock, random=lambda: 1.0
    )
    yield authenticator
    authenticator.close()


def in_all_threads(get_token: Callable[[], AuthToken]) -> list[AuthToken]:
    """Return the tokens that many threads get at the same time."""
    barrier = threading.Barrier(THREADS)

    def run() -> AuthToken:
        barrier.wait(10)
        return get_token()

    with ThreadPoolExecutor(THREADS) as pool:
        return [future.result(30) for future in [pool.submit(run) for _ in range(THREADS)]]


def failure(get_token: Callable[[], AuthToken]) -> AuthError:
    with pytest.raises(AuthError) as caught:
        get_token()
    return caught.value


def test_threads_share_one_attempt(
    keystone: SimulatedKeystone, authenticator: Authenticator
) -> None:
    tokens = in_all_threads(authenticator.token)
    assert len({id(token) for token in tokens}) == 1
    assert keystone.token_requests == 1


def test_threads_share_one_renewal_after_a_401(
    keystone: SimulatedKeystone, authenticator: Authenticator
) -> None:
    rejected = authenticator.token()
    keystone.revoke()
    renewed = in_all_threads(lambda: authenticator.renew(rejected))
    assert {token.generation for token in renewed} == {2}
    assert keystone.token_requests == 2
    assert keystone.accepts(renewed[0].value)
    assert authenticator.renew(rejected) is renewed[0]
    assert authenticator.stats().authentications == keystone.token_requests == 2


def test_renewed_token_that_is_rejected_too_is_not_renewed_at_once(
    keystone: SimulatedKeystone, authenticator: Authenticator, clock: FakeClock
) -> None:
    renewed = authenticator.renew(authenticator.token())
    clock.advance(3)
    error = failure(lambda: authenticator.renew(renewed))
    assert str(error) == "unauthorized: the token renewed 3 s ago is refused"
    assert authenticator.token() is renewed
    assert keystone.token_requests == 2
    clock.advance(MIN_RENEWAL_INTERVAL)
    assert authenticator.renew(renewed).generation == 3


def test_token_is_renewed_early_while_the_old_one_is_used(
    keystone: SimulatedKeystone, authenticator: Authenticator, clock: FakeClock
) -> None:
    old = authenticator.token()
    clock.advance(3600 - renewal_margin(3600) - 1)
    assert authenticator.token() is old
    keystone.gate = threading.Event()
    clock.advance(2)
    assert {id(token) for token in in_all_threads(authenticator.token)} == {id(old)}
    keystone.gate.set()
    wait_until(lambda: authenticator.token() is not old)
    assert authenticator.token().generation == 2
    assert keystone.token_requests == 2


def test_old_token_is_used_until_its_expiry_if_an_early_renewal_fails(
    keystone: SimulatedKeystone, authenticator: Authenticator, clock: FakeClock
) -> None:
    old = authenticator.token()
    keystone.fault = KeystoneFault(status=503)
    clock.advance(3600 - renewal_margin(3600) + 1)
    assert authenticator.token() is old
    wait_until(lambda: authenticator.stats().failures == 1)
    assert authenticator.token() is old
    clock.advance(renewal_margin(3600))
    assert failure(authenticator.token).reason == "server_error"
    keystone.fault = None
    clock.advance(60)
    assert authenticator.token().generation == 2


@pytest.mark.parametrize(
    ("steady", "wall"),
    [
        pytest.param(3601, 3601, id="slept"),
        pytest.param(3601, -86400, id="set back"),
        pytest.param(1, 3601, id="paused with its clock, or set forward"),
    ],
)
def test_expired_token_is_not_used_whichever_clock_says_so(
    authenticator: Authenticator, clock: FakeClock, steady: float, wall: float
) -> None:
    authenticator.token()
    clock.advance(steady, wall=wall)
    assert authenticator.token().generation == 2


def test_clock_skew_does_not_cause_renewals(
    keystone: SimulatedKeystone, authenticator: Authenticator, clock: FakeClock
) -> None:
    """The lifetime of a token is the difference of two times of Keystone."""
    keystone.clock_skew = -86400
    token = authenticator.token()
    assert token.expires_at is not None
    assert token.expires_at < clock().wall
    clock.advance(1800)
    assert authenticator.token() is token
    assert keystone.token_requests == 1


def test_token_that_has_never_been_valid_is_a_failure_with_backoff(
    keystone: SimulatedKeystone, authenticator: Authenticator
) -> None:
    keystone.token_life = 0
    for _ in range(10):
        assert failure(authenticator.token).reason == "rejected"
    assert keystone.token_requests == 1


def test_endpoint_is_that_of_the_catalog_of_the_latest_token(
    keystone: SimulatedKeystone, authenticator: Authenticator
) -> None:
    old = authenticator.token()
    keystone.offer_image("http://moved/v2")
    assert authenticator.token().endpoint == "http://image"
    assert authenticator.renew(old).endpoint == "http://moved"


def test_failures_back_off_up_to_a_minute(
    keystone: SimulatedKeystone, authenticator: Authenticator, clock: FakeClock
) -> None:
    """The failure is repeated in the meantime."""
    keystone.fault = KeystoneFault(status=500)
    for number, wait in enumerate([1, 2, 4, 8, 16, 32, 60, 60], start=1):
        for _ in range(100):
            assert failure(authenticator.token).reason == "server_error"
        assert keystone.token_requests == number
        clock.advance(wait - 0.5)
        failure(authenticator.token)
        assert keystone.token_requests == number
        clock.advance(0.5)
    stats = authenticator.stats()
    assert (stats.authentications, stats.failures, stats.expires_at) == (8, 8, None)
    assert stats.failure is not None
    assert stats.failure.reason == "server_error"
    keystone.fault = None
    token = authenticator.token()
    assert authenticator.stats().expires_at == token.expires_at
    assert authenticator.stats().failure is None
    keystone.fault = KeystoneFault(status=500)
    clock.advance(3600)
    failure(authenticator.token)
    clock.advance(1)
    failure(authenticator.token)
    assert authenticator.stats().failures == 10


@pytest.mark.parametrize(
    ("header", "wait"), [("7", 7), ("3.5", 3.5), ("86400", 300), ("nonsense", 300)]
)
def test_retry_after_of_keystone_is_obeyed_up_to_five_minutes(
    keystone: SimulatedKeystone,
    authenticator: Authenticator,
    clock: FakeClock,
    header: str,
    wait: float,
) -> None:
    keystone.fault = KeystoneFault(status=429, headers={"Retry-After": header})
    assert failure(authenticator.token).reason == "rate_limited"
    clock.advance(wait - 0.5)
    failure(authenticator.token)
    assert keystone.token_requests == 1
    clock.advance(0.5)
    failure(authenticator.token)
    assert keystone.token_requests == 2


def test_retry_after_of_keystone_with_a_past_date_does_not_delay_the_next_attempt(
    keystone: SimulatedKeystone, authenticator: Authenticator, clock: FakeClock
) -> None:
    past = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
    keystone.fault = KeystoneFault(status=503, headers=past)
    assert failure(authenticator.token).reason == "server_error"
    clock.advance(1)  # the longest backoff after one failure
    keystone.fault = None
    assert authenticator.token().value


def test_rejected_token_is_not_used_while_keystone_is_down(
    keystone: SimulatedKeystone, authenticator: Authenticator, clock: FakeClock
) -> None:
    rejected = authenticator.token()
    keystone.fault = KeystoneFault(status=503)
    assert failure(lambda: authenticator.renew(rejected)).reason == "server_error"
    assert failure(authenticator.token).reason == "server_error"
    assert keystone.token_requests == 2
    keystone.fault = None
    clock.advance(1)
    assert authenticator.renew(rejected).generation == 2


def test_waiting_threads_time_out_and_the_next_attempt_succeeds(
    keystone: SimulatedKeystone, clock: FakeClock
) -> None:
    authenticator = build_authenticator(
        "lab", cloud="lab", timeout=0.5, clock=clock, random=lambda: 1.0
    )
    keystone.fault = KeystoneFault(hang=True)
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = [pool.submit(authenticator.token) for _ in range(THREADS)]
        assert {failure(lambda f=future: f.result(10)).reason for future in waiting} == {"timeout"}  # type: ignore[misc]  # mypy cannot infer such a lambda
    wait_until(lambda: authenticator.stats().failures == 1)
    assert keystone.token_requests == 1
    keystone.fault = None
    clock.advance(1)
    assert authenticator.token().generation == 1


def test_hanging_resolver_blocks_one_thread_and_delays_none_beyond_the_timeout(
    keystone: SimulatedKeystone, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lookup cannot be aborted."""
    timeout = 0.3
    authenticator = build_authenticator(
        "lab", cloud="lab", timeout=timeout, clock=clock, random=lambda: 1.0
    )
    lookups: list[float] = []
    gate, getaddrinfo = threading.Event(), socket.getaddrinfo

    def hang(*args: Any, **kwargs: Any) -> Any:
        lookups.append(time.monotonic())
        gate.wait(DEADLINE)
        return getaddrinfo(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", hang)
        for _ in range(20):
            assert str(failure(authenticator.token)) == "timeout: no token within 0.3 s"
        assert [thread.name for thread in threading.enumerate()].count("sign-in") == 1
        # The attempt started before its lookup, so its own deadline has passed then as well.
        wait_until(lambda: lookups and time.monotonic() > lookups[0] + timeout)
        gate.set()
        wait_until(lambda: authenticator.stats().failures == 1)
    assert keystone.token_requests == 0
    clock.advance(1)
    assert authenticator.token().generation == 1


def test_close_aborts_the_attempt_and_releases_waiting_threads(
    keystone: SimulatedKeystone, authenticator: Authenticator
) -> None:
    keystone.fault = KeystoneFault(hang=True)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(authenticator.token)
        wait_until(lambda: keystone.token_requests == 1)
        authenticator.close()
        error = failure(lambda: waiting.result(3))
    assert error.reason == "timeout"
    assert failure(authenticator.token).reason == "timeout"
    assert keystone.token_requests == 1


def test_closed_authenticator_sends_nothing(
    keystone: SimulatedKeystone, authenticator: Authenticator
) -> None:
    authenticator.close()
    assert str(failure(authenticator.token)) == "connection: the exporter is stopping"
    assert keystone.requests() == []


class BrokenKeystone(Keystone):
    """A Keystone client with a bug."""

    def authenticate(self) -> NoReturn:
        raise ZeroDivisionError


def test_crash_releases_waiting_threads(clock: FakeClock) -> None:
    service = CatalogEntry("r", "public")
    keystone = BrokenKeystone(
        Password("http://cloud"), service, tls=ClientTls(), timeout=30, secrets=set()
    )
    authenticator = CachedTokenAuthenticator(
        keystone, tls=ClientTls(), clock=clock, random=lambda: 1.0
    )
    assert str(failure(authenticator.token)) == "internal: sign-in crashed: ZeroDivisionError"
    clock.advance(1)
    assert failure(authenticator.token).reason == "internal"
    assert authenticator.stats().failures == 2


def test_thread_that_cannot_be_started_is_a_failure(
    authenticator: Authenticator, keystone: SimulatedKeystone, monkeypatch: pytest.MonkeyPatch
) -> None:

    def fail(thread: threading.Thread) -> NoReturn:
        raise RuntimeError(f"can't start new thread {thread.name}")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        assert failure(authenticator.token).reason == "internal"
    assert keystone.accepts(authenticator.token().value)


def test_threads_end_with_the_attempt(authenticator: Authenticator) -> None:
    authenticator.renew(authenticator.token())
    wait_until(
        lambda: not any(thread.name.startswith("sign-in") for thread in threading.enumerate())
    )


@given(st.floats(min_value=0.001, max_value=1e9))
def test_renewal_margin_is_at_most_half_of_the_lifetime_and_five_minutes(life: float) -> None:
    assert 0 < renewal_margin(life) <= life / 2
    assert renewal_margin(life) <= 300
    assert renewal_margin(life) >= min(5, life / 2)
