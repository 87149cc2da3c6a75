"""Tests of exporter.glance.bounded."""

import time
from collections.abc import Iterator

import pytest
import requests

from exporter.auth.session import DeadlineSession
from tests.auth.clouds import clean
from tests.support.fakes.keystone import KeystoneFault, SimulatedKeystone


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedKeystone]:
    """Something to talk to."""
    clean(monkeypatch)
    with SimulatedKeystone() as server:
        yield server


def test_an_answer_in_time_is_given(server: SimulatedKeystone) -> None:
    """Within its time it is a session like any other."""
    with DeadlineSession(5) as session:
        assert session.get(f"{server.url}/v3").status_code == 200
        assert session.get(f"{server.url}/v3").status_code == 200
        assert not session.timed_out


def test_a_byte_now_and_then_does_not_prolong_it(server: SimulatedKeystone) -> None:
    """A drip is cut off when time is up, though no single read waited long."""
    server.fault = KeystoneFault(drip=0.02, discovery=True)
    begun = time.monotonic()
    with DeadlineSession(0.3) as session:
        with pytest.raises(requests.Timeout):
            session.get(f"{server.url}/v3")
        assert 0.3 <= time.monotonic() - begun < 3
        assert session.timed_out
        with pytest.raises(requests.Timeout):
            session.get(f"{server.url}/v3")
    assert len(server.requests()) == 1


def test_abort_ends_all_that_follows(server: SimulatedKeystone) -> None:
    """Once aborted, nothing is sent any more."""
    with DeadlineSession(60) as session:
        session.abort()
        with pytest.raises(requests.Timeout):
            session.get(f"{server.url}/v3")
    assert server.requests() == []
