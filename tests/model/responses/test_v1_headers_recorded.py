"""Recorded responses of Glance, compared with a separate simple parser."""

import re
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.glance.v1 import parse_image
from exporter.model.image import Image
from exporter.model.outcome import Failed, Found, NotFound
from exporter.model.responses.parsers import Malformed
from exporter.model.responses.v1_headers import image_from_headers
from exporter.transport.http1 import parse_head
from tests.support.images import RECORDINGS

INDEX = re.compile(
    r"\| (?P<file>\S+\.http) \| (?P<status>\d{3}) \| `(?P<method>\S+) (?P<path>.+?)`"
)

OUTCOMES = {
    300: "api_version",
    400: "rejected",
    401: "unauthorized",
    403: "forbidden",
    405: "api_version",
    500: "server_error",
    503: "server_error",
}


class Recording:
    """One recorded response and its request."""

    def __init__(self, row: re.Match[str]) -> None:
        self.file = row["file"]
        self.code = int(row["status"])
        self.path = row["path"]
        raw = (RECORDINGS / self.file).read_bytes()
        self.head, _, self.body = raw.partition(b"\r\n\r\n")
        self.is_image = b"\r\nX-Image-Meta-Id: " in self.head and row["method"] == "HEAD"

    @property
    def image_id(self) -> str:
        """ID of the requested image."""
        return self.path.partition("?")[0].rstrip("/").rpartition("/")[2]

    def outcome(self) -> Found | NotFound | Failed:
        """Outcome according to the index."""
        response = replace(parse_head(self.head), body=self.body)
        return parse_image(response, self.image_id, frozenset())


ROWS = INDEX.finditer((RECORDINGS / "index.md").read_text())
ALL = [Recording(row) for row in ROWS]
IMAGES = [recording for recording in ALL if recording.is_image]
REST = [recording for recording in ALL if recording.code != 200]
NO_IMAGES = [
    recording
    for recording in ALL
    if recording.code == 200 and b"X-Image-Meta-" not in recording.head
]


def _time(written: str) -> float:
    return datetime.strptime(written, "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=UTC).timestamp()


FLAGS = {"True": True, "False": False}

BY_HAND: dict[str, tuple[str, Callable[[str], object]]] = {
    "Id": ("id", str),
    "Name": ("name", str),
    "Status": ("status", str),
    "Size": ("size_bytes", int),
    "Virtual_size": ("virtual_size_bytes", int),
    "Protected": ("protected", FLAGS.__getitem__),
    "Is_public": ("public", FLAGS.__getitem__),
    "Deleted": ("deleted", FLAGS.__getitem__),
    "Created_at": ("created_at", _time),
    "Updated_at": ("updated_at", _time),
    "Deleted_at": ("deleted_at", _time),
    "Container_format": ("container_format", str),
    "Disk_format": ("disk_format", str),
    "Min_disk": ("min_disk_bytes", lambda written: int(written) * 1024**3),
    "Min_ram": ("min_ram_bytes", lambda written: int(written) * 1024**2),
    "Checksum": ("digests", lambda written: (("md5", written),)),
    "Owner": ("project_id", str),
}


def parse_by_hand(head: bytes) -> dict[str, object]:
    """Parse the attributes in a simple way; raise ``KeyError`` for an unknown header."""
    read: dict[str, object] = {}
    properties = []
    for name, value in re.findall(rb"\r\nX-Image-Meta-([^:]+): ?([^\r]*)(?=\r\n|\Z)", head):
        key, text = name.decode(), value.decode().strip(" ")
        if key.startswith("Property-"):
            properties.append((key.removeprefix("Property-").lower(), text))
        elif text:
            attribute, convert = BY_HAND[key]
            read[attribute] = convert(text)
    return read | {"properties": tuple(sorted(properties))}


def recording_id(recording: Recording) -> str:
    """Return the ID of a parametrized test."""
    return recording.file


@pytest.mark.parametrize("recording", IMAGES, ids=recording_id)
def test_every_recorded_header_becomes_its_attribute(recording: Recording) -> None:
    image = image_from_headers(parse_head(recording.head).headers, recording.image_id)
    expected = parse_by_hand(recording.head)
    if recording.file == "v2-name-newline.http":
        assert expected.pop("name") == "line\nbreak"
    expected["visibility"] = "public" if expected["public"] else None
    assert isinstance(image, Image)
    unsaid = asdict(Image(api="v1", id="", status=""))
    assert asdict(image) == unsaid | expected


@pytest.mark.parametrize("recording", IMAGES, ids=recording_id)
def test_recorded_image_is_found_and_a_deleted_one_does_not_exist(recording: Recording) -> None:
    outcome = recording.outcome()
    assert isinstance(outcome, Found)
    assert outcome.image.exists is (recording.file != "deleted-as-admin.http")
    assert f"X-Openstack-Request-Id: {outcome.request_id}\r\n".encode() in recording.head + b"\r\n"


@pytest.mark.parametrize("recording", NO_IMAGES, ids=recording_id)
def test_recorded_200_without_an_image_is_malformed(recording: Recording) -> None:
    assert recording.outcome() == Failed(
        "malformed", "x-image-meta-status is missing", parse_head(recording.head).request_id
    )


@pytest.mark.parametrize("recording", REST, ids=recording_id)
def test_other_recording_is_not_found_or_failed_as_listed(recording: Recording) -> None:
    outcome = recording.outcome()
    if recording.code == 404:
        assert isinstance(outcome, NotFound)
    else:
        assert isinstance(outcome, Failed)
        assert outcome.reason == OUTCOMES[recording.code]
        assert outcome.detail == f"HTTP {recording.code}"


def test_response_about_another_image_is_malformed() -> None:
    head = (RECORDINGS / "active-private.http").read_bytes().partition(b"\r\n\r\n")[0]
    assert image_from_headers(parse_head(head).headers, "another") == Malformed(
        ("x-image-meta-id belongs to another image: '87ee5d5b-599c-4ce0-a5cf-08557f78c2c5'",)
    )


def test_every_recording_is_tested() -> None:
    """Each file is in the index, except a GET with data."""
    tested = {recording.file for recording in IMAGES + NO_IMAGES + REST} | {"get-active.http"}
    assert tested == {path.name for path in Path(RECORDINGS).glob("*.http")}
    assert len(IMAGES) >= 30
    assert len(NO_IMAGES) >= 2
    assert len(REST) >= 30
