"""Recorded documents of the Image API v2, compared with a simple parser."""

import json
from pathlib import Path
from typing import Any

import pytest

from exporter.model.responses.v2_fields import PUBLIC, SCHEMA_KEYS, image_from_document
from tests.model.responses.v2_documents import parse_by_hand

RECORDINGS = Path(__file__).parents[2] / "recordings" / "v2"


def recorded() -> list[Any]:
    """Return every document of an image in the recordings, alone or in a list."""
    parameters = []
    for path in sorted(RECORDINGS.glob("*.http")):
        head, _, body = path.read_bytes().partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 ") or b"application/json" not in head:
            continue
        response = json.loads(body)
        documents = response.get("images", [response] if "id" in response else [])
        for document in documents:
            name = f"{path.stem}-{document['id'][:8]}"
            parameters.append(pytest.param(document, id=name))
    return parameters


RECORDED = recorded()


@pytest.mark.parametrize("document", RECORDED)
def test_every_recorded_field_becomes_its_attribute(document: dict[str, Any]) -> None:
    assert document.keys() - SCHEMA_KEYS <= {
        *("os_type", "hw_disk_bus", "empty", "Mixed Case Key", "with:colon", "dash-key"),
        *("multi", "unicode", "name2", "ключ"),
    }
    assert image_from_document(document, document["id"]) == parse_by_hand(document)


def test_recordings_have_every_visibility_and_hidden_images() -> None:
    """Without them the test above would compare too little."""
    documents: list[Any] = [parameter.values[0] for parameter in RECORDED]
    assert len(documents) >= 100
    assert {document["visibility"] for document in documents} == PUBLIC.keys()
    assert {document["os_hidden"] for document in documents} == {True, False}
    assert {document["status"] for document in documents} == {"active", "queued", "deactivated"}
