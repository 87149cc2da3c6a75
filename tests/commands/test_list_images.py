import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from exporter.app import build_application
from exporter.commands.list_images import image_entry, list_images
from exporter.config import parse, resolved_clouds
from exporter.model.image import Image
from exporter.simulator import Release, SimulatedImage, SimulatedImageService
from exporter.simulator.keystone import SimulatedKeystone
from tests.support.program import GOLDEN, UBUNTU, run_program, settings_file, simulated

HOSTILE = "x\n- id: forged\r\x1b[2J\u202e\x85\u2028# [red]/[/nothing] :boom:"


def run_list(folder: Path, *clouds: dict[str, Any]) -> tuple[int, str, str]:
    """Run the command; return the status, stdout and stderr."""
    file = settings_file(folder, *clouds)
    application = build_application(
        resolved_clouds(parse([f"--config.file={file}", "list"], {}).settings)
    )
    out, err = io.StringIO(), io.StringIO()
    try:
        status = list_images(application, Console(file=out, width=40), Console(file=err, width=40))
    finally:
        application.close()
    return status, out.getvalue(), err.getvalue()


HIDDEN_ENTRY = {Release.GLANCE_15: "- id: hidden  # cirros\n", Release.GLANCE_33: ""}
"""The entry of an image that is hidden, which Glance 15 does not know."""


def test_images_are_listed_by_name_for_every_cloud(tmp_path: Path, release: Release) -> None:
    images = [
        simulated(UBUNTU, "Ubuntu"),
        simulated(GOLDEN, "Golden base"),
        SimulatedImage("nameless", name=None),
        simulated("hidden", hidden=True),
        simulated("community", "a", visibility="community", owner="other"),
    ]
    with SimulatedImageService(images, page_limit=2, release=release) as service:
        service.images.put(simulated("deleted"))
        service.images.delete("deleted")
        cloud = {"name": "lab", "endpoint": service.url}
        result = run_list(tmp_path, cloud, {**cloud, "name": "b\u00fcro", "images": [GOLDEN]})
    of_one = (
        f"- id: nameless\n- id: {GOLDEN}  # Golden base\n- id: {UBUNTU}  # Ubuntu\n"
        "- id: community  # a\n"
        f"{HIDDEN_ENTRY[release]}"
    )
    assert result == (0, f"# lab\n{of_one}# b\u00fcro\n{of_one}", "")


@pytest.mark.parametrize("image_id", [GOLDEN, "12345", "1e3", "null", "-", "on", "2026-11-23"])
def test_entry_is_yaml_with_the_id(image_id: str) -> None:
    text = image_entry(Image("v2", image_id, "active", name=HOSTILE))
    assert text.isprintable()
    assert yaml.safe_load(text) == [{"id": image_id}]
    settings = parse(
        ["run"], {"IMAGE_EXPORTER_CLOUDS": f'[{{"name": "a", "images": ["{image_id}"]}}]'}
    ).settings
    assert resolved_clouds(settings)[0].images[0].image_id == image_id


def test_unlisted_cloud_is_status_1(tmp_path: Path, release: Release) -> None:
    with SimulatedImageService([simulated(GOLDEN)], release=release) as service:
        status, out, err = run_list(
            tmp_path,
            {"name": "down", "endpoint": "http://127.0.0.1:1"},
            {"name": "up", "endpoint": service.url},
        )
    assert status == 1
    assert out == f"# up\n- id: {GOLDEN}  # cirros\n"
    assert err.startswith("down: connection: ")
    assert err.count("\n") == 1


def test_list_without_settings_uses_the_environment(tmp_path: Path) -> None:
    with SimulatedImageService([simulated(GOLDEN)]) as service, SimulatedKeystone() as keystone:
        keystone.users = {"demo": "secret"}
        keystone.offer_image(service.url)
        environ = {
            "OS_AUTH_URL": keystone.auth_url,
            "OS_USERNAME": "demo",
            "OS_PASSWORD": "secret",
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_NAME": "demo",
            "OS_PROJECT_DOMAIN_NAME": "Default",
        }
        process = run_program(tmp_path, "list", environ=environ)
    assert (process.returncode, process.stdout, process.stderr) == (
        0,
        f"# openstack\n- id: {GOLDEN}  # cirros\n",
        "",
    )


def test_list_without_any_cloud_is_an_error(tmp_path: Path) -> None:
    process = run_program(tmp_path, "list")
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.count("\n") == 1
