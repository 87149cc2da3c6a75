import time
from collections.abc import Iterator

import pytest
import requests

from exporter.auth.session import DeadlineSession
from exporter.simulator.keystone import KeystoneFault, SimulatedKeystone
from tests.support.clouds_yaml import clear_configuration


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedKeystone]:
    """Return a server without configured proxies."""
    clear_configuration(monkeypatch)
    with SimulatedKeystone() as server:
        yield server


def test_requests_before_the_deadline_succeed(server: SimulatedKeystone) -> None:
    with DeadlineSession(5) as session:
        assert session.get(f"{server.url}/v3").status_code == 200
        assert session.get(f"{server.url}/v3").status_code == 200
        assert not session.timed_out


@pytest.mark.parametrize("drip", [0.2, 0.02], ids=["in the status line", "later"])
def test_slow_response_is_aborted_at_the_deadline(server: SimulatedKeystone, drip: float) -> None:
    """No single read waits long."""
    server.fault = KeystoneFault(drip=drip, discovery=True)
    start = time.monotonic()
    with DeadlineSession(0.3) as session:
        with pytest.raises(requests.Timeout):
            session.get(f"{server.url}/v3")
        assert 0.3 <= time.monotonic() - start < 9, "the whole response takes longer"
        assert session.timed_out
        with pytest.raises(requests.Timeout):
            session.get(f"{server.url}/v3")
    assert len(server.requests()) == 1


def test_aborted_session_sends_nothing(server: SimulatedKeystone) -> None:
    with DeadlineSession(60) as session:
        session.abort()
        with pytest.raises(requests.Timeout):
            session.get(f"{server.url}/v3")
    assert server.requests() == []


def test_relative_redirect_becomes_absolute(server: SimulatedKeystone) -> None:
    """Nginx sends one with ``absolute_redirect off``, and keystoneauth would fail."""
    server.fault = KeystoneFault(301, {"Location": "/identity/v3"}, discovery=True)
    with DeadlineSession(5) as session:
        response = session.get(f"{server.url}/v3")
    assert (response.status_code, response.headers["Location"]) == (
        301,
        f"{server.url}/identity/v3",
    )
