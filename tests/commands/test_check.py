"""Checks of every image, against simulated services."""

import io
import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from exporter.app import build_application
from exporter.commands.check import Format, check
from exporter.config import parse, resolved_clouds
from exporter.metrics.selection.families import Selection
from exporter.simulator import BackendFault, Balancing, SimulatedImageService, Unit
from exporter.simulator.keystone import KeystoneFault, SimulatedKeystone
from tests.commands.checks import EXPECTING, GOLDEN_ALIAS, row, run_check
from tests.support.program import ABSENT, GOLDEN, UBUNTU, run_program, settings_file, simulated


def test_all_as_expected(tmp_path: Path, service: SimulatedImageService) -> None:
    images = [{"id": GOLDEN, "alias": "golden", "expect": {"protected": True}}, UBUNTU]
    status, table = run_check(tmp_path, {"name": "lab", "endpoint": service.url, "images": images})
    assert status == 0
    assert row(table, "CLOUD") == [
        "CLOUD", "IMAGE", "ID", "STATE", "SIZE", "PROTECTED", "PUBLIC", "NAME", "WHY",
    ]  # fmt: skip
    assert row(table, GOLDEN) == [
        "lab", "golden", GOLDEN, "active", "2.2 GiB", "yes", "no", "cirros",
    ]  # fmt: skip
    assert row(table, UBUNTU) == [
        "lab", "-", UBUNTU, "active", "16 B", "no", "no", "Ubuntu",
    ]  # fmt: skip
    assert table.endswith("images: 2, not as expected: 0\n")


def test_parameters_that_an_endpoint_refuses_are_a_warning(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    service.faults.set("refused_parameters", on="list", parameters=["member_status"])
    cloud = {"name": "lab", "endpoint": service.url, "api": "v2"}
    images = [GOLDEN, UBUNTU, ABSENT.replace("0", "1"), ABSENT.replace("0", "2")]
    _, table = run_check(tmp_path, {**cloud, "images": images})
    assert table.endswith("lab: lists: refused with the parameters member_status\n")


def test_v1_that_is_only_in_the_version_document_is_left_for_v2(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    service.faults.set("status", on="v1", code=404)
    cloud = {"name": "lab", "endpoint": service.url, "images": [GOLDEN, UBUNTU]}
    status, table = run_check(tmp_path, cloud)
    assert status == 0
    assert table.endswith("lab: v1: refused (HTTP 404), using v2\n")


@pytest.mark.parametrize(
    ("images", "why"),
    [
        ([ABSENT], "404: deleted, never there, or not visible to these credentials"),
        ([{"id": UBUNTU, "expect": {"protected": True}}], "does not match: protected"),
        ([{"id": UBUNTU, "expect": {"exists": False}}], "does not match: exists"),
        ([{"id": UBUNTU, "expect": {"hidden": False}}], "cannot be verified: hidden"),
        (
            [{"id": ABSENT, "expect": {"exists": True, "name": "x"}}],
            "404: deleted, never there, or not visible to these credentials",
        ),
        (
            [{"id": UBUNTU, "expect": {"status": "queued", "public": True, "protected": False}}],
            "does not match: status, public",
        ),
    ],
    ids=[
        "gone",
        "unprotected",
        "there",
        "not verifiable",
        "gone against what is expected",
        "two expectations",
    ],
)
def test_image_that_is_not_as_expected_has_a_reason_and_status_1(
    tmp_path: Path, service: SimulatedImageService, images: list[Any], why: str
) -> None:
    cloud = {"name": "lab", "endpoint": service.url, "images": [GOLDEN, *images]}
    status, table = run_check(tmp_path, cloud)
    assert status == 1
    assert f"  {why}" in table
    assert table.endswith("images: 2, not as expected: 1\n")


def test_expectation_table_has_failed_expectations_last(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    cloud = {"name": "lab", "endpoint": service.url, "images": EXPECTING}
    status, table = run_check(tmp_path, cloud)
    assert status == 1
    _, _, second = table.partition("\n\n")
    lines = [re.split(r"  +", line.strip()) for line in second.split("\n")]
    assert lines[:7] == [
        ["CLOUD", "IMAGE", "EXPECTATION", "EXPECTED", "ACTUAL", "RESULT"],
        ["lab", "golden", "status", "active or deactivated", "active", "met"],
        ["lab", "golden", "size", "1GiB..4GiB", "2252MiB", "met"],
        ["lab", ABSENT, "exists", "false", "false", "met"],
        ["lab", "golden", "hidden", "false", "cannot be verified"],
        ["lab", "golden", "protected", "false", "true", "not met"],
        ["lab", "golden", "properties", "os_distro: ubuntu", "os_distro: none", "not met"],
    ]
    assert second.endswith("\nimages: 2, not as expected: 1\n")


def test_gone_image_that_should_be_gone_is_as_expected(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    cloud = {"name": "lab", "endpoint": service.url, "images": [GOLDEN, EXPECTING[1]]}
    status, table = run_check(tmp_path, cloud)
    assert status == 0
    assert row(table, ABSENT) == ["lab", "-", ABSENT, "gone"]


def test_deleted_image_that_is_still_visible_is_checked_for_existence_only(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    service.api.admin = True
    service.images.delete(GOLDEN)
    image = {"id": GOLDEN, "expect": {"exists": True, "protected": True}}
    cloud = {"name": "lab", "api": "v1", "endpoint": service.url, "images": [image]}
    status, table = run_check(tmp_path, cloud)
    assert status == 1
    assert row(table, GOLDEN)[3] == "deleted"
    assert "does not match: exists\n" in table
    assert table.count("protected") == 0


def test_deleted_image_that_is_still_visible_is_not_as_expected(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    service.api.admin = True
    service.images.delete(GOLDEN)
    cloud = {"name": "lab", "api": "v1", "endpoint": service.url, "images": [GOLDEN]}
    status, table = run_check(tmp_path, cloud)
    assert status == 1
    assert row(table, GOLDEN)[3:] == ["deleted", "deleted; only administrators still see it"]


@pytest.mark.parametrize(
    ("status", "deleted", "expect", "color"),
    [
        ("deactivated", False, {"status": "deactivated"}, "\x1b[32m"),
        ("deactivated", False, {}, "\x1b[31m"),
        ("deleted", True, {}, "\x1b[31m"),
        ("deleted", True, {"exists": False}, "\x1b[32m"),
        ("active", True, {}, "\x1b[31m"),
    ],
)
def test_state_is_green_only_if_it_is_expected(
    tmp_path: Path,
    service: SimulatedImageService,
    status: str,
    deleted: bool,
    expect: dict[str, Any],
    color: str,
) -> None:
    service.api.admin = True
    service.images.change(GOLDEN, status=status, deleted=deleted)
    image = {"id": GOLDEN, "expect": expect}
    cloud = {"name": "lab", "api": "v1", "endpoint": service.url, "images": [image]}
    out = io.StringIO()
    colored = Console(file=out, width=1000, force_terminal=True, color_system="standard")
    clouds = resolved_clouds(
        parse([f"--config.file={settings_file(tmp_path, cloud)}"], {}).settings
    )
    with closing(build_application(clouds)) as application:
        check(application, colored, Console(file=io.StringIO()))
    assert f"{color}{status}" in out.getvalue()


@pytest.mark.parametrize("api", ["v1", "v2"])
@pytest.mark.parametrize("output_format", ["table", "json"])
def test_contradicting_api_servers_are_a_warning_and_no_reason_to_fail(
    tmp_path: Path, api: str, output_format: Format
) -> None:
    images = [simulated(GOLDEN), simulated(UBUNTU)]
    with SimulatedImageService(images, servers=2, balancing=Balancing(Unit.REQUEST)) as service:
        service.backends[0].fail(BackendFault.EMPTY_DATABASE)
        cloud = {"name": "lab", "endpoint": service.url, "api": api, "images": [GOLDEN, UBUNTU]}
        status, text = run_check(tmp_path, cloud, output_format=output_format)
    assert status == 0
    line = "lab: API servers behind the endpoint contradict each other"
    if output_format == "table":
        assert text.endswith(f"images: 2, not as expected: 0\n{line}\n")
    else:
        assert json.loads(text)["warnings"] == [line]


@pytest.mark.parametrize("output_format", ["table", "json"])
def test_cut_labels_and_excluded_metrics_are_warnings_and_no_reason_to_fail(
    tmp_path: Path, service: SimulatedImageService, output_format: Format
) -> None:
    service.images.change(GOLDEN, name="x" * 600)
    cloud = {"name": "lab", "endpoint": service.url, "images": [GOLDEN]}
    selection = Selection(exclude=("openstack_image_exporter_clock_skew_seconds",))
    status, text = run_check(tmp_path, cloud, output_format=output_format, selection=selection)
    lines = [
        "lab: images with label values cut at label_value_limit: 1",
        "alert OpenStackImageClocksOff never fires without "
        "openstack_image_exporter_clock_skew_seconds",
    ]
    assert status == 0
    if output_format == "table":
        assert text.splitlines()[-2:] == lines
    else:
        assert json.loads(text)["warnings"] == lines


def test_unreachable_cloud_does_not_hide_other_clouds(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    clouds = [
        {"name": "lab", "endpoint": service.url, "images": [GOLDEN]},
        {"name": "down", "endpoint": "http://127.0.0.1:1", "images": [UBUNTU], "interval": "2s",
         "timeout": "1s"},
    ]  # fmt: skip
    status, table = run_check(tmp_path, *clouds)
    assert status == 1
    assert row(table, GOLDEN)[3] == "active"
    assert row(table, UBUNTU)[4].startswith("connection: ")


def test_cloud_with_keystone(tmp_path: Path, service: SimulatedImageService) -> None:
    auth = {
        "username": "demo",
        "password": "s3cret-and-long",
        "user_domain_name": "Default",
        "project_name": "demo",
        "project_domain_name": "Default",
    }
    with SimulatedKeystone() as keystone:
        keystone.users = {"demo": "s3cret-and-long"}
        keystone.offer_image(service.url)
        auth["auth_url"] = keystone.auth_url
        (tmp_path / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"lab": {"auth": auth}}}))
        file = settings_file(
            tmp_path, {"name": "cloud", "cloud": "lab", "images": [GOLDEN]}, interval="3s",
            timeout="3s",
        )  # fmt: skip
        exclude = "--metrics.exclude=openstack_image_exporter_clock_skew_seconds"
        process = run_program(tmp_path, "check", f"--config.file={file}", exclude)
        assert (process.returncode, process.stderr) == (0, "")
        assert row(process.stdout, GOLDEN)[3] == "active"
        assert "alert OpenStackImageClocksOff never fires" in process.stdout
        assert keystone.token_requests == 1

        keystone.fault = KeystoneFault(status=401, message="no")
        process = run_program(tmp_path, "check", f"--config.file={file}")
        assert process.returncode == 1
        assert row(process.stdout, GOLDEN)[4].startswith("unauthorized: sign-in: Keystone at ")
        assert "s3cret" not in process.stdout + process.stderr


def test_discovered_images_are_checked_too(tmp_path: Path, service: SimulatedImageService) -> None:
    cloud = {
        "name": "lab",
        "endpoint": service.url,
        "images": [UBUNTU],
        "discover": [GOLDEN_ALIAS],
    }
    status, table = run_check(tmp_path, cloud)
    assert status == 0
    assert row(table, GOLDEN)[:4] == ["lab", "golden", GOLDEN, "active"]
    assert table.endswith("images: 2, not as expected: 0\n")


def test_failed_discovery_is_not_as_expected(tmp_path: Path) -> None:
    with SimulatedImageService() as service:
        service.faults.set("status", code=403)
        cloud = {"name": "lab", "endpoint": service.url, "discover": [GOLDEN_ALIAS]}
        status, table = run_check(tmp_path, cloud)
    assert status == 1
    assert table.endswith(
        "images: 0, not as expected: 0\nlab: discovery failed: forbidden: HTTP 403\n"
    )


def test_alias_without_an_image_is_not_as_expected(tmp_path: Path) -> None:
    with SimulatedImageService([simulated(UBUNTU, "Ubuntu")]) as service:
        cloud = {"name": "lab", "endpoint": service.url, "discover": [GOLDEN_ALIAS]}
        status, table = run_check(tmp_path, cloud)
    assert status == 1
    assert table.endswith("lab: there is no image for the alias golden\n")
