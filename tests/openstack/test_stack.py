import time
from collections.abc import Iterator

import pytest
import requests

from exporter.auth.base import Authenticator, AuthError
from exporter.auth.factory import build_authenticator
from tests.openstack.account import send
from tests.openstack.stack import OpenStack
from tests.support.wait import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("clouds_yaml"),
]


@pytest.fixture(params=["demo", "demo-appcred"])
def signin(request: pytest.FixtureRequest) -> Iterator[Authenticator]:
    """Yield the authenticator of a password, or of an application credential."""
    authenticator = build_authenticator("test", cloud=request.param, timeout=30)
    yield authenticator
    authenticator.close()


def status_of(url: str, token: str | None) -> int:
    """Return the status of a request for the list of images with ``token``."""
    return send("GET", f"{url}/v2/images", token).status_code


def test_endpoint_of_glance_is_that_of_the_catalog(
    openstack: OpenStack, signin: Authenticator
) -> None:
    assert signin.token().endpoint == openstack.glance.url


def test_glance_accepts_the_token_and_no_other(openstack: OpenStack, signin: Authenticator) -> None:
    assert status_of(openstack.glance.url, signin.token().value) == 200
    assert status_of(openstack.glance.url, "another") == 401


def test_token_is_cached_with_its_expiry(signin: Authenticator) -> None:
    first, second = signin.token(), signin.token()
    assert first == second
    assert signin.stats().authentications == 1
    assert first.expires_at is not None
    assert first.expires_at - time.time() == pytest.approx(3600, abs=60)


def test_token_is_renewed_before_it_expires(openstack: OpenStack) -> None:
    """Tokens live six seconds, and Glance accepts the current one at any time."""
    with openstack.token_life(6):
        signin = build_authenticator("test", cloud="demo", timeout=30)
        try:
            end = time.monotonic() + 60
            while signin.token().generation < 2:
                assert status_of(openstack.glance.url, signin.token().value) == 200
                assert time.monotonic() < end
        finally:
            signin.close()


def test_revoked_token_is_refused_and_the_renewed_one_accepted(
    openstack: OpenStack, signin: Authenticator
) -> None:
    stale = signin.token()
    assert status_of(openstack.glance.url, stale.value) == 200
    openstack.revoke_tokens(openstack.demo)
    wait_for_status(openstack.glance.url, stale.value, 401)
    fresh = signin.renew(stale)
    assert fresh.generation == stale.generation + 1
    assert status_of(openstack.glance.url, fresh.value) == 200


def wait_for_status(url: str, token: str | None, status: int) -> None:
    """Wait until Glance, which caches tokens, responds with this status."""
    wait_until(lambda: status_of(url, token) == status, pause=0.05)


def test_stopped_keystone_refuses_connections_and_can_be_started_again(
    openstack: OpenStack,
) -> None:
    signin = build_authenticator("test", cloud="demo", timeout=30)
    try:
        with openstack.keystone.stopped(), pytest.raises(AuthError) as raised:
            signin.token()
        assert raised.value.reason == "connection"
    finally:
        signin.close()
    restarted = build_authenticator("test", cloud="demo", timeout=30)
    assert status_of(openstack.glance.url, restarted.token().value) == 200
    restarted.close()


def test_stopped_glance_refuses_connections_and_keeps_its_images(openstack: OpenStack) -> None:
    image_id = "6f5b04a5-41cf-4a0c-9f5c-0b8f4e4a2c10"
    openstack.demo.create(image_id, "persistent")
    with openstack.glance.stopped(), pytest.raises(requests.ConnectionError):
        send("GET", openstack.glance.url)
    assert image_id in openstack.demo.ids("limit=1000")
    openstack.demo.delete(image_id)
