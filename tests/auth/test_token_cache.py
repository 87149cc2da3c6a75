"""Tests of exporter.glance.renewing: tokens over time, and many threads at once."""

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
from exporter.auth.factory import build_authenticator
from exporter.auth.keystone import CatalogueEntry, Keystone
from exporter.auth.token_cache import MIN_RENEWAL_INTERVAL, CachedTokenAuthenticator, renewal_margin
from exporter.transport.tls_files import ClientTls
from tests.auth.clouds import auth, clean, configure
from tests.support.clock import START, FakeClock
from tests.support.fakes.keystone import KeystoneFault, SimulatedKeystone
from tests.support.wait import wait_until

THREADS = 50


@pytest.fixture
def keystone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedKeystone]:
    """A Keystone that clouds.yaml knows as ``lab``."""
    clean(monkeypatch)
    with SimulatedKeystone() as keystone:
        keystone.offer_image("http://image")
        configure(monkeypatch, tmp_path, {"lab": {"auth": auth(keystone)}})
        yield keystone


@pytest.fixture
def clock() -> FakeClock:
    """Time as the tests let it pass."""
    return FakeClock(START._replace(wall=time.time()))  # Keystone's tokens expire in real time.


@pytest.fixture
def signin(keystone: SimulatedKeystone, clock: FakeClock) -> Iterator[Authenticator]:
    """A sign-in to ``keystone`` whose backoffs are as long as they may be."""
    assert keystone.requests() == []
    signin = build_authenticator("lab", cloud="lab", timeout=5.0, clock=clock, random=lambda: 1.0)
    yield signin
    signin.close()


def all_at_once(act: Callable[[], AuthToken]) -> list[AuthToken]:
    """What each of many threads gets that begin together."""
    barrier = threading.Barrier(THREADS)

    def run() -> AuthToken:
        barrier.wait(10)
        return act()

    with ThreadPoolExecutor(THREADS) as pool:
        return [future.result(30) for future in [pool.submit(run) for _ in range(THREADS)]]


def refused(act: Callable[[], AuthToken]) -> AuthError:
    """How it fails."""
    with pytest.raises(AuthError) as caught:
        act()
    return caught.value


def test_many_threads_sign_in_once(keystone: SimulatedKeystone, signin: Authenticator) -> None:
    """The first token is fetched by one thread for all."""
    credentials = all_at_once(signin.token)
    assert len({id(credential) for credential in credentials}) == 1
    assert keystone.token_requests == 1


def test_many_threads_that_meet_one_401_renew_once(
    keystone: SimulatedKeystone, signin: Authenticator
) -> None:
    """All get the one new token, whose generation is higher by one."""
    stale = signin.token()
    keystone.revoke()
    renewed = all_at_once(lambda: signin.renew(stale))
    assert {credential.generation for credential in renewed} == {2}
    assert keystone.token_requests == 2
    assert keystone.accepts(renewed[0].value)
    assert signin.renew(stale) is renewed[0]
    assert signin.stats().authentications == keystone.token_requests == 2


def test_a_renewed_token_that_is_refused_too(
    keystone: SimulatedKeystone, signin: Authenticator, clock: FakeClock
) -> None:
    """Keystone is asked again only after a pause, however often a 401 comes."""
    renewed = signin.renew(signin.token())
    clock.advance(3)
    error = refused(lambda: signin.renew(renewed))
    assert str(error) == "unauthorized: the token renewed 3 s ago is refused"
    assert signin.token() is renewed
    assert keystone.token_requests == 2
    clock.advance(MIN_RENEWAL_INTERVAL)
    assert signin.renew(renewed).generation == 3


def test_a_token_is_renewed_before_it_expires(
    keystone: SimulatedKeystone, signin: Authenticator, clock: FakeClock
) -> None:
    """Within the margin the old token goes on while a new one is fetched, once."""
    old = signin.token()
    clock.advance(3600 - renewal_margin(3600) - 1)
    assert signin.token() is old
    keystone.gate = threading.Event()
    clock.advance(2)
    assert {id(credential) for credential in all_at_once(signin.token)} == {id(old)}
    keystone.gate.set()
    wait_until(lambda: signin.token() is not old)
    assert signin.token().generation == 2
    assert keystone.token_requests == 2


def test_a_failed_early_renewal_does_no_harm(
    keystone: SimulatedKeystone, signin: Authenticator, clock: FakeClock
) -> None:
    """With Keystone down the old token serves until its end, and not a moment longer."""
    old = signin.token()
    keystone.fault = KeystoneFault(status=503)
    clock.advance(3600 - renewal_margin(3600) + 1)
    assert signin.token() is old
    wait_until(lambda: signin.stats().failures == 1)
    assert signin.token() is old
    clock.advance(renewal_margin(3600))
    assert refused(signin.token).reason == "server_error"
    keystone.fault = None
    clock.advance(60)
    assert signin.token().generation == 2


@pytest.mark.parametrize(
    ("steady", "wall"),
    [
        pytest.param(3601, 3601, id="slept"),
        pytest.param(3601, -86400, id="set back"),
        pytest.param(1, 3601, id="paused with its clock, or set forward"),
    ],
)
def test_a_token_that_expired_is_not_used(
    signin: Authenticator, clock: FakeClock, steady: float, wall: float
) -> None:
    """Whichever clock says that a token is over, a new one is fetched first."""
    signin.token()
    clock.advance(steady, wall=wall)
    assert signin.token().generation == 2


def test_a_wrong_clock_causes_no_storm(
    keystone: SimulatedKeystone, signin: Authenticator, clock: FakeClock
) -> None:
    """A token lives as long as Keystone says, however far the clocks are apart."""
    keystone.clock_skew = -86400
    credential = signin.token()
    assert credential.expires_at is not None
    assert credential.expires_at < clock().wall
    clock.advance(1800)
    assert signin.token() is credential
    assert keystone.token_requests == 1


def test_a_token_that_was_never_valid(keystone: SimulatedKeystone, signin: Authenticator) -> None:
    """A life of nothing is a failure with its backoff, not a reason to ask on and on."""
    keystone.token_life = 0
    for _ in range(10):
        assert refused(signin.token).reason == "rejected"
    assert keystone.token_requests == 1


def test_an_endpoint_that_moves(keystone: SimulatedKeystone, signin: Authenticator) -> None:
    """The catalogue that comes with the next token counts."""
    old = signin.token()
    keystone.offer_image("http://moved/v2")
    assert signin.token().endpoint == "http://image"
    assert signin.renew(old).endpoint == "http://moved"


def test_failures_back_off(
    keystone: SimulatedKeystone, signin: Authenticator, clock: FakeClock
) -> None:
    """Keystone is asked after 1, 2, 4 ... 60 seconds; meanwhile the failure is repeated."""
    keystone.fault = KeystoneFault(status=500)
    for number, wait in enumerate([1, 2, 4, 8, 16, 32, 60, 60], start=1):
        for _ in range(100):
            assert refused(signin.token).reason == "server_error"
        assert keystone.token_requests == number
        clock.advance(wait - 0.5)
        refused(signin.token)
        assert keystone.token_requests == number
        clock.advance(0.5)
    stats = signin.stats()
    assert (stats.authentications, stats.failures, stats.expires_at) == (8, 8, None)
    assert str(stats.failure).startswith("server_error: ")
    keystone.fault = None
    credential = signin.token()
    assert signin.stats().expires_at == credential.expires_at
    assert signin.stats().failure is None
    keystone.fault = KeystoneFault(status=500)
    clock.advance(3600)
    refused(signin.token)
    clock.advance(1)
    refused(signin.token)
    assert signin.stats().failures == 10


@pytest.mark.parametrize(("asked", "waited"), [("7", 7), ("86400", 300), ("nonsense", 300)])
def test_keystone_asks_for_a_pause(
    keystone: SimulatedKeystone, signin: Authenticator, clock: FakeClock, asked: str, waited: float
) -> None:
    """Retry-After is obeyed up to five minutes."""
    keystone.fault = KeystoneFault(status=429, headers={"Retry-After": asked})
    assert refused(signin.token).reason == "rate_limited"
    clock.advance(waited - 0.5)
    refused(signin.token)
    assert keystone.token_requests == 1
    clock.advance(0.5)
    refused(signin.token)
    assert keystone.token_requests == 2


def test_a_refused_token_is_not_used_while_keystone_is_down(
    keystone: SimulatedKeystone, signin: Authenticator, clock: FakeClock
) -> None:
    """After a 401 the old token is given up, and the failure is Keystone's."""
    stale = signin.token()
    keystone.fault = KeystoneFault(status=503)
    assert refused(lambda: signin.renew(stale)).reason == "server_error"
    assert refused(signin.token).reason == "server_error"
    assert keystone.token_requests == 2
    keystone.fault = None
    clock.advance(1)
    assert signin.renew(stale).generation == 2


def test_those_who_wait_give_up_in_time(keystone: SimulatedKeystone, clock: FakeClock) -> None:
    """A sign-in that hangs fails for all who wait for it, is cut, and the next one works."""
    signin = build_authenticator("lab", cloud="lab", timeout=0.5, clock=clock, random=lambda: 1.0)
    keystone.fault = KeystoneFault(hang=True)
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = [pool.submit(signin.token) for _ in range(THREADS)]
        assert {refused(lambda f=future: f.result(10)).reason for future in waiting} == {"timeout"}  # type: ignore[misc]  # mypy cannot infer such a lambda
    wait_until(lambda: signin.stats().failures == 1)
    assert keystone.token_requests == 1
    keystone.fault = None
    clock.advance(1)
    assert signin.token().generation == 1


def test_a_resolver_that_hangs(
    keystone: SimulatedKeystone, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be cut holds one thread and delays nobody longer than the timeout."""
    signin = build_authenticator("lab", cloud="lab", timeout=0.3, clock=clock, random=lambda: 1.0)
    gate, look_up = threading.Event(), socket.getaddrinfo

    def hang(*args: Any, **kwargs: Any) -> Any:
        gate.wait(30)
        return look_up(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", hang)
        for _ in range(20):
            assert str(refused(signin.token)) == "timeout: no token within 0.3 s"
        assert [thread.name for thread in threading.enumerate()].count("sign-in") == 1
        gate.set()
        wait_until(lambda: signin.stats().failures == 1)
    assert keystone.token_requests == 0
    clock.advance(1)
    assert signin.token().generation == 1


def test_close_cuts_what_is_under_way(keystone: SimulatedKeystone, signin: Authenticator) -> None:
    """Those who wait are let go at once, and nothing more is begun."""
    keystone.fault = KeystoneFault(hang=True)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(signin.token)
        wait_until(lambda: keystone.token_requests == 1)
        signin.close()
        error = refused(lambda: waiting.result(3))
    assert error.reason == "timeout"
    assert refused(signin.token).reason == "timeout"
    assert keystone.token_requests == 1


def test_nothing_is_begun_after_close(keystone: SimulatedKeystone, signin: Authenticator) -> None:
    """A sign-in that was closed before its first use asks nobody."""
    signin.close()
    assert str(refused(signin.token)) == "connection: the exporter is stopping"
    assert keystone.requests() == []


class BrokenKeystone(Keystone):
    """Cannot even begin."""

    def authenticate(self) -> NoReturn:
        """Fail as a bug does."""
        raise ZeroDivisionError


def test_a_bug_leaves_nobody_waiting(clock: FakeClock) -> None:
    """Whatever goes wrong in the thread that signs in, those who wait hear of it."""
    service = CatalogueEntry("r", "public")
    keystone = BrokenKeystone(
        Password("http://cloud"), service, tls=ClientTls(), timeout=30, secrets=set()
    )
    signin = CachedTokenAuthenticator(keystone, tls=ClientTls(), clock=clock, random=lambda: 1.0)
    assert str(refused(signin.token)) == "internal: sign-in crashed: ZeroDivisionError"
    clock.advance(1)
    assert refused(signin.token).reason == "internal"
    assert signin.stats().failures == 2


def test_no_thread_can_be_started(
    signin: Authenticator, keystone: SimulatedKeystone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is out of threads fails the poll, and the next one can succeed."""

    def fail(thread: threading.Thread) -> NoReturn:
        raise RuntimeError(f"can't start new thread {thread.name}")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        assert refused(signin.token).reason == "internal"
    assert keystone.accepts(signin.token().value)


def test_no_thread_is_left(signin: Authenticator) -> None:
    """A sign-in's threads end with it."""
    signin.renew(signin.token())
    wait_until(
        lambda: not any(thread.name.startswith("sign-in") for thread in threading.enumerate())
    )


@given(st.floats(min_value=0.001, max_value=1e9))
def test_the_margin_leaves_time_for_both(life: float) -> None:
    """A token is renewed neither in its first half nor, if it lives long, in its last moments."""
    assert 0 < renewal_margin(life) <= life / 2
    assert renewal_margin(life) <= 300
    assert renewal_margin(life) >= min(5, life / 2)
