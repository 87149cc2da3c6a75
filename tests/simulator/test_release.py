"""The simulated service responds as each release of Glance did when it was recorded."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from exporter.simulator import Release, SimulatedImage, SimulatedImageService
from tests.simulator.wire import wire
from tests.support.recordings import FOLDERS, Recording, recorded_images, recordings

GLANCE_15 = recordings(Release.GLANCE_15)
GLANCE_33 = recordings(Release.GLANCE_33)

VOLATILE_HEADERS = {"date", "x-openstack-request-id"}
"""Headers whose values differ with every response."""

GUNICORN_HEADERS = {"server", "connection"}
"""Headers of the web server in front of Glance 33, which is not imitated."""

NOT_IMITATED = {
    *("token-missing", "token-expired", "token-long", "list-no-token"),
    *("keystone-down", "keystone-down-no-token", "keystone-down-warm", "db-locked"),
    *("noauth-get", "noauth-list", "policy-forbids", "other-private-as-admin"),
    *("forbidden-delete-protected", "forbidden-download-deactivated", "head-v2-file", "members"),
    *("malformed-id-bad-utf8", "list-limit-2-sorted-page2", "in-115-ids", "in-230-ids"),
}
"""Recordings of Glance 33 with another caller or trouble, or of what the exporter never requests.

The index has only the start of the request for the last two; see ``test_response``.
"""


@contextmanager
def recorded_service(
    release: Release, project: str, url: str, **options: Any
) -> Iterator[SimulatedImageService]:
    """Run a service like the one that was recorded."""
    with SimulatedImageService(recorded_images(release), release=release, **options) as service:
        service.api.project = project
        service.api.url = url
        yield service


@pytest.fixture(scope="module")
def glance_15() -> Iterator[SimulatedImageService]:
    """Run a service like the recorded Glance 15."""
    with recorded_service(
        Release.GLANCE_15, "99f246fe69954954953b373505d965b6", "http://127.0.0.1:19292"
    ) as service:
        yield service


@pytest.fixture(scope="module")
def glance_33() -> Iterator[SimulatedImageService]:
    """Run a service like the recorded Glance 33."""
    with recorded_service(
        Release.GLANCE_33, "70e8fbac958f4a27b37bb02f2af0c8ad", "http://127.0.0.1:19392"
    ) as service:
        service.api.v1_enabled = False
        yield service


def respond(service: SimulatedImageService, recording: Recording) -> Recording:
    """Return what the simulated service responds to a recorded request."""
    with wire(service) as client:
        client.send(recording.method, recording.target, "Connection: close")
        raw = client.read_all().replace(b"\r\nConnection: close\r\n", b"\r\n")
    return Recording(recording.name, recording.method, recording.target, raw)


def head_lines(recording: Recording) -> list[str]:
    """Return the status line and the headers, of volatile ones only the names."""
    lines = recording.head.decode().split("\r\n")
    names = [line.partition(":")[0] for line in lines]
    return [
        name if name.lower() in VOLATILE_HEADERS else line
        for name, line in zip(names, lines, strict=True)
    ]


def with_properties_first(body: bytes) -> bytes:
    """Return a body with the custom properties of each image at its start.

    Glance 15 ran under Python 2, whose dictionaries have an order that cannot be imitated.
    """

    def reorder(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = Release.GLANCE_15.traits.image_keys
        is_image = ("schema", "/v2/schemas/image") in pairs
        return dict(sorted(pairs, key=lambda pair: is_image and pair[0] in keys))

    if not body.startswith(b"{"):
        return body
    return json.dumps(json.loads(body, object_pairs_hook=reorder)).encode()


@pytest.mark.parametrize("name", GLANCE_15)
def test_glance_15_responds_as_recorded(glance_15: SimulatedImageService, name: str) -> None:
    recording = GLANCE_15[name]
    response = respond(glance_15, recording)
    assert head_lines(response) == head_lines(recording)
    assert with_properties_first(response.body) == with_properties_first(recording.body)


def other_headers(recording: Recording) -> set[str]:
    """Return the headers in lower case, without those of the web server."""
    lines = [line.lower() for line in head_lines(recording)[1:]]
    return {line for line in lines if line.partition(":")[0] not in GUNICORN_HEADERS}


def with_images_sorted(body: bytes) -> bytes:
    """Return a list with its images by ID: many were created within the same second."""
    if not body.startswith(b'{"images": [{'):
        return body
    document = json.loads(body)
    document["images"].sort(key=lambda image: image["id"])
    return json.dumps(document).encode()


@pytest.mark.parametrize("name", sorted(GLANCE_33.keys() - NOT_IMITATED))
def test_glance_33_responds_as_recorded(glance_33: SimulatedImageService, name: str) -> None:
    recording = GLANCE_33[name]
    if "..." in recording.target:
        # The index shortens it, but the list links to itself.
        recording = replace(recording, target=recording.document["first"])
    response = respond(glance_33, recording)
    assert head_lines(response)[0] == head_lines(recording)[0]
    assert other_headers(response) == other_headers(recording)
    assert with_images_sorted(response.body) == with_images_sorted(recording.body)


@pytest.mark.parametrize("release", Release)
def test_every_recording_is_in_the_index(release: Release) -> None:
    files = {path.stem for path in FOLDERS[release].glob("*.http")}
    assert recordings(release).keys() == files
    assert files >= NOT_IMITATED or release is not Release.GLANCE_33


def test_release_can_change_while_the_service_runs() -> None:
    """As in an upgrade."""
    with SimulatedImageService([SimulatedImage("a", hidden=True)]) as service:
        target = Recording("", "GET", "/v2/images?visibility=all", b"")
        assert respond(service, target).document["images"] == []
        service.api.release = Release.GLANCE_15
        assert respond(service, target).body.startswith(b"400 Bad Request")
        (image,) = respond(service, replace(target, target="/v2/images")).document["images"]
        assert "os_hidden" not in image
