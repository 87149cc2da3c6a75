"""Recorded exchanges with real releases of Glance, and the images that they show."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.simulator import Release, SimulatedImage
from exporter.simulator.image import OWNER

ROOT = Path(__file__).parents[1] / "recordings"
FOLDERS = {Release.GLANCE_15: ROOT / "glance15-v2", Release.GLANCE_33: ROOT / "v2"}
"""The recordings of API v2 by the release they were made of."""

MEMBERS = {"shared-accepted": "accepted", "shared-rejected": "rejected"}
"""Member status of the callers' project for images with these names."""

_ROW = re.compile(r"\| (?P<name>[\w.-]+?)(\.http)? \|.*?`(?P<method>[A-Z]+) (?P<target>[^`]+)`")


@dataclass(frozen=True)
class Recording:
    """One request and the bytes of its response."""

    name: str
    method: str
    target: str
    raw: bytes

    @property
    def head(self) -> bytes:
        """The status line and the headers."""
        return self.raw.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        """The body."""
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def document(self) -> Any:
        """The body as JSON, None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def recordings(release: Release) -> dict[str, Recording]:
    """Return the recordings of a release by name; the index of its folder has the requests."""
    folder = FOLDERS[release]
    rows = map(_ROW.match, (folder / "index.md").read_text().splitlines())
    return {
        row["name"]: Recording(
            row["name"],
            row["method"],
            row["target"],
            (folder / f"{row['name']}.http").read_bytes(),
        )
        for row in rows
        if row
    }


def recorded_images(release: Release) -> list[SimulatedImage]:
    """Return the images of the recorded service, as far as the recordings show them."""
    images: dict[str, SimulatedImage] = {}
    for recording in recordings(release).values():
        body = recording.document if isinstance(recording.document, dict) else {}
        for document in body.get("images", [body]):
            if "owner" in document:
                images[document["id"]] = image_from_document(document, release)
    return list(images.values())


def image_from_document(document: dict[str, Any], release: Release) -> SimulatedImage:
    """Return the image that a recorded document describes."""
    name = document["name"]
    stores = document.get("stores")
    return SimulatedImage(
        document["id"],
        name=name,
        status=document["status"],
        size=document["size"],
        virtual_size=document["virtual_size"],
        checksum=document["checksum"],
        protected=document["protected"],
        visibility=document["visibility"],
        hidden=document.get("os_hidden", False),
        created_at=document["created_at"],
        updated_at=document["updated_at"],
        container_format=document["container_format"],
        disk_format=document["disk_format"],
        min_disk=document["min_disk"],
        min_ram=document["min_ram"],
        owner=document["owner"],
        properties={
            key: value for key, value in document.items() if key not in release.traits.image_keys
        },
        tags=tuple(document["tags"]),
        stores=tuple(stores.split(",")) if stores else (),
        members={OWNER: MEMBERS[name]} if name in MEMBERS else {},
        sha512=document.get("os_hash_value"),
    )
