import io
from pathlib import Path
from typing import Any

from rich.console import Console

from exporter.app import build_application
from exporter.commands.show import image_rows, show
from exporter.config import parse, resolved_clouds
from exporter.model.image import Image
from exporter.simulator import SimulatedImageService
from tests.support.program import ABSENT, GOLDEN, settings_file, simulated


def run_show(folder: Path, *clouds: dict[str, Any]) -> tuple[int, list[str]]:
    """Run the command for these clouds; return the status and the lines."""
    file = settings_file(folder, *clouds)
    resolved = resolved_clouds(parse([f"--config.file={file}"], {}).settings)
    application = build_application(resolved, all_properties=True)
    out, err = io.StringIO(), io.StringIO()
    try:
        status = show(application, Console(file=out, width=1000), Console(file=err))
    finally:
        application.close()
    assert err.getvalue() == ""
    return status, [line.rstrip() for line in out.getvalue().splitlines()]


def test_show_prints_every_attribute_and_property(tmp_path: Path) -> None:
    image = simulated(
        GOLDEN,
        "Golden\x1b[2J\u202e",
        size=2_361_393_152,
        virtual_size=10 * 2**30,
        protected=True,
        visibility="public",
        min_disk=10,
        min_ram=1024,
        disk_format="qcow2",
        properties={"os_distro": "ubuntu", "evil": "a\x1b]0;b\x07"},
    )
    with SimulatedImageService([image]) as service:
        images = [{"id": GOLDEN, "alias": "golden", "expect": {"public": False}}]
        status, lines = run_show(
            tmp_path, {"name": "lab", "endpoint": service.url, "images": images}
        )
    assert status == 0
    fields = {line[:18].strip(): line[18:].strip() for line in lines}
    assert fields.pop("request_id").startswith("req-")
    assert fields.pop("visibility", "public") == "public"
    assert fields == {
        "cloud": "lab",
        "image_id": GOLDEN,
        "image": "golden",
        "state": "active",
        "why": "does not match: public",
        "api": "v1",
        "status": "active",
        "name": "Golden\\x1b[2J\\u202e",
        "size_bytes": "2361393152 (2.2 GiB)",
        "virtual_size_bytes": "10737418240 (10.0 GiB)",
        "protected": "yes",
        "public": "yes",
        "deleted": "no",
        "created_at": "2026-11-23T11:02:42.011804+00:00",
        "updated_at": "2026-11-23T11:02:42.011804+00:00",
        "container_format": "bare",
        "disk_format": "qcow2",
        "min_disk_bytes": "10737418240 (10.0 GiB)",
        "min_ram_bytes": "1073741824 (1.0 GiB)",
        "project_id": image.owner,
        "md5": image.checksum,
        "property os_distro": "ubuntu",
        "property evil": "a\\x1b]0;b\\x07",
    }


def test_list_attributes_are_on_one_line() -> None:
    image = Image("v2", GOLDEN, "active", tags=("a", "b"))
    rows = dict(image_rows(image))
    assert rows["tags"] == "a, b"
    assert "stores" not in rows


def test_show_of_a_gone_image(tmp_path: Path) -> None:
    with SimulatedImageService([simulated(GOLDEN)]) as service:
        status, lines = run_show(
            tmp_path, {"name": "lab", "endpoint": service.url, "images": [ABSENT]}
        )
    assert status == 1
    rows = dict(line.split(maxsplit=1) for line in lines if line)
    assert rows["state"] == "gone"
    assert rows["why"] == (
        "404: deleted, never there, or not visible to these credentials; "
        "404 on 12 connections, 3 of them with a control"
    )
    assert rows["404s"].count("req-") == 13  # one probe found the control in the list
    assert rows["connections"].count(" to 127.0.0.1:") == 3
    assert rows["controls"] == GOLDEN
    assert "first_404_at" in rows
    assert rows["request_id"].startswith("req-")


def test_show_of_a_deleted_image_that_is_still_visible(tmp_path: Path) -> None:
    with SimulatedImageService([simulated(GOLDEN)]) as service:
        service.api.admin = True
        service.images.delete(GOLDEN)
        status, lines = run_show(
            tmp_path, {"name": "lab", "endpoint": service.url, "images": [GOLDEN]}
        )
    assert status == 1
    assert "state       deleted" in lines
    assert "deleted_at  2026-11-23T11:03:01.979328+00:00" in lines


def test_show_succeeds_if_one_cloud_has_the_image(tmp_path: Path) -> None:
    with SimulatedImageService([simulated(GOLDEN)]) as service:
        clouds = [
            {"name": "down", "endpoint": "http://127.0.0.1:1", "images": [GOLDEN]},
            {"name": "up", "endpoint": service.url, "images": [GOLDEN]},
        ]
        status, lines = run_show(tmp_path, *clouds)
    assert status == 0
    assert lines.count("") == 1
    assert any(line.startswith("why       connection: ") for line in lines)
