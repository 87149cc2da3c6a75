import time
from collections.abc import Iterator

import pytest
import requests

from exporter.auth.base import Authenticator, AuthError
from exporter.auth.factory import build_authenticator
from tests.openstack.account import ask
from tests.openstack.stack import OpenStack

pytestmark = pytest.mark.usefixtures("clouds_yaml")


@pytest.fixture(params=["demo", "demo-appcred"])
def signin(request: pytest.FixtureRequest) -> Iterator[Authenticator]:
    """Signs in by password, or by application credential."""
    made = build_authenticator("test", cloud=request.param, timeout=30)
    yield made
    made.close()


def status_of(url: str, token: str | None) -> int:
    """The status that Glance gives a list asked for with ``token``."""
    return ask("GET", f"{url}/v2/images", token).status_code


def test_the_catalogue_says_where_glance_is(openstack: OpenStack, signin: Authenticator) -> None:
    """Signing in by clouds.yaml gives the base URL of the Image service in the catalogue."""
    assert signin.token().endpoint == openstack.glance.url


def test_token_is_good_for_glance(openstack: OpenStack, signin: Authenticator) -> None:
    """Glance lists images for the token, and for no other."""
    assert status_of(openstack.glance.url, signin.token().value) == 200
    assert status_of(openstack.glance.url, "another") == 401


def test_token_is_kept(signin: Authenticator) -> None:
    """Keystone is asked once for any number of credentials, and says how long the token lives."""
    first, second = signin.token(), signin.token()
    assert first == second
    assert signin.stats().authentications == 1
    assert first.expires_at is not None
    assert first.expires_at - time.time() == pytest.approx(3600, abs=60)


def test_token_is_renewed_before_it_expires(openstack: OpenStack) -> None:
    """While tokens live six seconds, the one in hand is always one that Glance accepts."""
    with openstack.token_life(6):
        signin = build_authenticator("test", cloud="demo", timeout=30)
        try:
            end = time.monotonic() + 60
            while signin.token().generation < 2:
                assert status_of(openstack.glance.url, signin.token().value) == 200
                assert time.monotonic() < end
        finally:
            signin.close()


def test_revoked_token_is_replaced(openstack: OpenStack, signin: Authenticator) -> None:
    """Glance refuses a revoked token as it does an unknown one, and accepts the renewed one."""
    stale = signin.token()
    assert status_of(openstack.glance.url, stale.value) == 200
    openstack.revoke_tokens(openstack.demo)
    wait_for_status(openstack.glance.url, stale.value, 401)
    fresh = signin.renew(stale)
    assert fresh.generation == stale.generation + 1
    assert status_of(openstack.glance.url, fresh.value) == 200


def wait_for_status(url: str, token: str | None, status: int) -> None:
    """Wait until Glance, which keeps tokens in a cache for a while, gives this status."""
    end = time.monotonic() + 30
    while status_of(url, token) != status:
        assert time.monotonic() < end, f"not yet {status}"
        time.sleep(0.05)


def test_keystone_stops_and_starts(openstack: OpenStack) -> None:
    """A stopped Keystone refuses connections; started again, it is where it was."""
    signin = build_authenticator("test", cloud="demo", timeout=30)
    try:
        with openstack.keystone.stopped(), pytest.raises(AuthError) as raised:
            signin.token()
        assert raised.value.reason == "connection"
    finally:
        signin.close()
    again = build_authenticator("test", cloud="demo", timeout=30)
    assert status_of(openstack.glance.url, again.token().value) == 200
    again.close()


def test_glance_stops_and_starts(openstack: OpenStack) -> None:
    """A stopped Glance refuses connections; started again, it knows its images and is no other."""
    made = "6f5b04a5-41cf-4a0c-9f5c-0b8f4e4a2c10"
    openstack.demo.create(made, "survivor")
    with openstack.glance.stopped(), pytest.raises(requests.ConnectionError):
        ask("GET", openstack.glance.url)
    assert made in openstack.demo.ids("limit=1000")
    openstack.demo.delete(made)
