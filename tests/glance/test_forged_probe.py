"""Probes on a connection on which a response was forged.

v1 sends the name of an image unescaped, so its owner can end the response early and append
responses to later requests. They must not decide about another image.
"""

from collections.abc import Sequence

import pytest

from exporter.clock import steady
from exporter.glance import image_requests
from exporter.model.replies import ProbeReply
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.simulator.response import finish_head
from tests.glance.clients import FakeAuthenticator, image_client, result_names, soon
from tests.support.fakes.scripted_server import Reply, scripted_server

CONTROL = "87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"
SUSPECT = "5c1b2f3a-0d6e-4b7c-9a8d-1e2f3a4b5c6d"

FOUND_CONTROL, FOUND_SUSPECT = (
    finish_head(SimulatedImage(image_id).v1_head, closes=False) for image_id in (CONTROL, SUSPECT)
)
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
NOT_FOUND_LAST = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

PATIENT = 60.0
"""A wait for late data that only ends early because the data arrives."""


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for late data until it arrives or the server closes the connection."""
    monkeypatch.setattr(image_requests, "LATE_DATA_TIMEOUT", PATIENT)


def probe_scripted(*connections: Sequence[Reply]) -> ProbeReply:
    """Probe the suspect on a server with these scripts."""
    with (
        scripted_server(*connections) as url,
        image_client(FakeAuthenticator(url), "v1") as client,
    ):
        return client.probe(SUSPECT, CONTROL, soon())


def test_probe_without_forgery_is_conclusive_and_waits_only_until_the_server_closes() -> None:
    started = steady()
    reply = probe_scripted([FOUND_CONTROL, NOT_FOUND, FOUND_CONTROL])
    assert result_names(reply) == ["Found", "NotFound", "Found"]
    assert steady() - started < PATIENT


def test_response_about_another_image_is_malformed() -> None:
    reply = probe_scripted([FOUND_CONTROL, FOUND_CONTROL])
    assert result_names(reply) == ["Found", "malformed"]
    assert reply.requests == 2


def test_response_to_the_suspect_that_arrives_for_the_control_is_malformed() -> None:
    """The 404 was forged by the owner of the control."""
    reply = probe_scripted([FOUND_CONTROL, NOT_FOUND, FOUND_SUSPECT])
    assert result_names(reply) == ["Found", "NotFound", "malformed"]


def test_forged_404_in_one_packet_with_the_control_is_malformed() -> None:
    reply = probe_scripted([FOUND_CONTROL + NOT_FOUND, FOUND_SUSPECT, FOUND_CONTROL])
    assert result_names(reply) == ["malformed"]


def test_forged_404_that_arrives_late_is_not_conclusive() -> None:
    reply = probe_scripted([(FOUND_CONTROL, NOT_FOUND), FOUND_SUSPECT, FOUND_CONTROL])
    assert result_names(reply)[-1] == "malformed"


def test_true_response_after_two_forged_ones_makes_the_probe_malformed() -> None:
    reply = probe_scripted([FOUND_CONTROL, NOT_FOUND, (FOUND_CONTROL, FOUND_SUSPECT)])
    assert result_names(reply) == ["Found", "NotFound", "malformed"]


def test_true_404_after_a_forged_image_makes_the_probe_malformed() -> None:
    reply = probe_scripted([FOUND_CONTROL, (FOUND_SUSPECT, NOT_FOUND)])
    assert result_names(reply) == ["Found", "malformed"]


def test_data_after_the_only_response_makes_it_malformed() -> None:
    reply = probe_scripted([(NOT_FOUND, FOUND_CONTROL)])
    assert result_names(reply) == ["malformed"]


def test_forged_end_of_the_connection_does_not_hide_the_true_response() -> None:
    """The connection that the forged response ends is checked before another one is used."""
    reply = probe_scripted([FOUND_CONTROL, (NOT_FOUND_LAST, FOUND_SUSPECT)], [FOUND_CONTROL])
    assert result_names(reply) == ["Found", "NotFound", "malformed"]


def test_announced_end_of_the_connection_is_followed_by_another_connection() -> None:
    reply = probe_scripted([FOUND_CONTROL, NOT_FOUND_LAST], [FOUND_CONTROL])
    assert result_names(reply) == ["Found", "NotFound", "Found"]
    assert not reply.used_one_connection


def test_v2_does_not_wait_for_late_data() -> None:
    """Bodies of a known length leave no room for a forgery."""
    images = [SimulatedImage(image_id) for image_id in (CONTROL, SUSPECT)]
    started = steady()
    with (
        SimulatedImageService(images) as service,
        image_client(FakeAuthenticator(service.url), "v2") as client,
    ):
        client.choose_version(soon())
        reply = client.probe(SUSPECT, CONTROL, soon())
    assert result_names(reply) == ["Found", "Found"]
    assert steady() - started < PATIENT
