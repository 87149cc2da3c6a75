"""``check --baseline``, and a check with the file that it writes."""

import io
import os
import resource
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from exporter.app import build_application
from exporter.commands.baseline import create_file, read_source, write_baseline
from exporter.commands.check import check
from exporter.config import SettingsError, parse, resolved_clouds
from exporter.config.yaml_reader import LARGEST_FILE
from exporter.simulator import SimulatedImageService
from tests.support.program import ABSENT, GOLDEN, UBUNTU, run_program, settings_file, simulated

SETTINGS = """\
# The images of the lab.
expect: {{status: active, max_age: 1s, properties: {{OS_Distro: debian}}}}  # of all
properties: [os_version]
clouds:
  - name: lab
    api: {api}
    endpoint: {url}
    images:
      - {ubuntu}  # plain
      - id: {golden}
        alias: golden
        expect:
          size: ..1GiB      # met, and it stays
          protected: false  # not so
          hidden: true
          visibility: [private, shared]
      - {{id: {absent}, expect: {{name: x, exists: true}}}}
"""


def images() -> SimulatedImageService:
    """Return a service with two images, one with a name that is hard to quote."""
    golden = simulated(
        GOLDEN,
        "golden [1] * \U0001f947 'x': #",
        protected=True,
        min_disk=40,
        properties={"os_distro": "ubuntu", "os_version": "24.04", "secret": "none of it"},
    )
    return SimulatedImageService([golden, simulated(UBUNTU, "\x1b[2J", size=None, checksum=None)])


def consoles() -> tuple[io.StringIO, io.StringIO, Console, Console]:
    """Return two buffers and the consoles that write to them."""
    out, err = io.StringIO(), io.StringIO()
    return out, err, Console(file=out, width=1000), Console(file=err, width=1000)


def run_baseline(source: Path, new: Path) -> tuple[int, str, str]:
    """Write a baseline; return the status, stdout and stderr."""
    settings = parse([f"--config.file={source}"], {}).settings
    text = read_source(new, settings, clouds_elsewhere=False)
    out, err, to_out, to_err = consoles()
    with closing(build_application(resolved_clouds(settings), all_properties=True)) as application:
        status = write_baseline(
            application, to_out, to_err, settings=settings, source_text=text, file=new
        )
    return status, out.getvalue(), err.getvalue()


def run_check(file: Path) -> tuple[int, str]:
    """Run a check with these settings; return the status and the output."""
    out, _, to_out, to_err = consoles()
    clouds = resolved_clouds(parse([f"--config.file={file}"], {}).settings)
    with closing(build_application(clouds, all_properties=True)) as application:
        return check(application, to_out, to_err), out.getvalue()


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_check_of_the_new_file_is_as_expected(tmp_path: Path, api: str) -> None:
    source, new = tmp_path / "exporter.yml", tmp_path / "new.yml"
    with images() as service:
        fitted = SETTINGS.format(
            api=api, url=service.url, ubuntu=UBUNTU, golden=GOLDEN, absent=ABSENT
        )
        source.write_text(fitted, "utf-8")
        assert run_check(source)[0] == 1
        status, out, err = run_baseline(source, new)
        assert (status, err) == (0, "")
        lines = out.splitlines()
        assert "lab: golden: protected is not met; the current value is expected" in lines
        assert "lab: golden: max_age is not met; is no longer expected" in lines
        assert f"lab: {ABSENT}: is gone, and is expected to be gone from now on" in lines
        assert lines[-1] == f"{new}: written; images: 3, changed: 3"

        assert source.read_text("utf-8") == fitted
        text = new.read_text("utf-8")
        assert text.startswith(fitted[: fitted.index(UBUNTU)])
        assert "          size: ..1GiB      # met, and it stays\n" in text
        assert "          protected: true   # not so\n" in text
        assert "none of it" not in text
        ubuntu, golden, absent = yaml.safe_load(text)["clouds"][0]["images"]
        assert golden["expect"]["properties"]["os_version"] == "24.04"
        assert ("hash" in golden["expect"]) is (api == "v2")
        assert {"name", "checksum", "size"} & ubuntu["expect"].keys() == set()
        assert absent["expect"] == {"name": None, "exists": False}

        status, out = run_check(new)
        assert status == 0
        assert out.endswith("images: 3, not as expected: 0\n")

        service.images.change(GOLDEN, checksum="0" * 32)
        assert run_check(new)[0] == 1


def test_baseline_on_the_command_line(tmp_path: Path) -> None:
    with images() as service:
        cloud = {"name": "lab", "endpoint": service.url, "images": [GOLDEN, UBUNTU, ABSENT]}
        file = settings_file(tmp_path, cloud, shard={"index": 0, "total": 2})
        process = run_program(tmp_path, "check", f"--config.file={file}", "--baseline", "new.yml")
        assert (process.returncode, process.stderr) == (0, "")
        assert process.stdout.endswith("new.yml: written; images: 3, changed: 3\n")
        again = run_program(tmp_path, "check", "--config.file=new.yml")
        assert (again.returncode, again.stderr) == (0, "")


def test_no_baseline_is_written_if_a_poll_fails(tmp_path: Path) -> None:
    with images() as service:
        service.faults.set("status", on=UBUNTU, code=403)
        cloud = {"name": "lab", "endpoint": service.url, "images": [GOLDEN, UBUNTU]}
        file = settings_file(tmp_path, cloud)
        status, out, err = run_baseline(file, tmp_path / "new.yml")
    assert status == 1
    assert err == f"{tmp_path / 'new.yml'}: not written, because a poll or a discovery failed\n"
    assert "forbidden: HTTP 403" in out
    assert not (tmp_path / "new.yml").exists()


@pytest.mark.parametrize(("expect", "wrong"), [({"protected": True}, 0), ({"protected": False}, 1)])
def test_expectations_of_discovered_images_are_not_changed(
    tmp_path: Path, expect: dict[str, bool], wrong: int
) -> None:
    """Discovered images come and go; the exit status reports them."""
    with images() as service:
        discover = [{"name": "golden*", "expect": expect}]
        cloud = {
            "name": "lab", "endpoint": service.url, "images": [UBUNTU], "discover": discover,
        }  # fmt: skip
        file = settings_file(tmp_path, cloud)
        status, out, _ = run_baseline(file, tmp_path / "new.yml")
        again, _ = run_check(tmp_path / "new.yml")
    assert status == again == wrong
    assert out.endswith(f"discovered images, not in the file: 1, not as expected: {wrong}\n")
    assert yaml.safe_load((tmp_path / "new.yml").read_text())["clouds"][0]["discover"] == discover


def test_baseline_reports_an_alias_without_an_image(tmp_path: Path) -> None:
    with images() as service:
        discover = [{"name": "none-*", "most_recent": True, "alias": "newest"}]
        cloud = {
            "name": "lab", "endpoint": service.url, "images": [UBUNTU], "discover": discover,
        }  # fmt: skip
        file = settings_file(tmp_path, cloud)
        status, out, _ = run_baseline(file, tmp_path / "new.yml")
        again, _ = run_check(tmp_path / "new.yml")
    assert status == again == 1
    assert out.endswith("lab: there is no image for the alias newest\n")


def error_of(source: Path, new: Path) -> str:
    """Return the error with which a baseline is rejected before any poll."""
    with pytest.raises(SettingsError) as caught:
        run_baseline(source, new)
    return str(caught.value)


def test_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    cloud = {"name": "lab", "endpoint": "http://127.0.0.1:1", "images": [UBUNTU]}
    file, link = settings_file(tmp_path, cloud), tmp_path / "link"
    link.symlink_to("nowhere")
    for new in (file, link):
        assert error_of(file, new) == f"{new}: exists already and is not overwritten"
        with pytest.raises(SettingsError, match="File exists"):
            create_file(new, "x", file.stat(), is_secret=False)


def test_unusable_location_is_rejected_before_any_poll(tmp_path: Path) -> None:
    cloud: dict[str, Any] = {"name": "lab", "endpoint": "http://127.0.0.1:1", "images": [UBUNTU]}
    (tmp_path / "token").write_text("x")
    (tmp_path / "elsewhere").mkdir()
    file = settings_file(tmp_path, {**cloud, "token_file": "token"})
    nowhere, elsewhere = tmp_path / "no" / "new.yml", tmp_path / "elsewhere" / "new.yml"
    impossible = tmp_path / ("x" * 300) / "new.yml"
    assert error_of(file, impossible).endswith("its folder is not a directory")
    assert error_of(file, nowhere) == (
        f"{nowhere}: cannot be written: its folder is not a directory"
    )
    assert error_of(file, elsewhere) == (
        f"{elsewhere}: token_file of cloud 'lab' is relative to the directory of {file}; "
        "write the baseline there"
    )
    settings_file(tmp_path, {**cloud, "token_file": str(tmp_path / "token")})
    settings = parse([f"--config.file={file}"], {}).settings
    assert read_source(elsewhere, settings, clouds_elsewhere=False) == file.read_text()
    file.write_bytes(b"#" * (LARGEST_FILE + 1))
    with pytest.raises(SettingsError, match="is larger than 16 MiB"):
        read_source(elsewhere, settings, clouds_elsewhere=False)
    file.unlink()
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read_source(elsewhere, settings, clouds_elsewhere=False)
    os.mkfifo(file)
    with pytest.raises(SettingsError, match="cannot be read: not a regular file"):
        read_source(elsewhere, settings, clouds_elsewhere=False)


@pytest.mark.parametrize(
    ("argv", "environ", "problem"),
    [
        (
            ["--config.file=exporter.yml", "--baseline=new.yml"],
            {"IMAGE_EXPORTER_CLOUDS": '[{"name": "a", "images": ["b"]}]'},
            "check --baseline: needs the clouds in a settings file, named by --config.file\n",
        ),
        (
            ["--config.file=exporter.yml", "--baseline=new.yml", "--format=json"],
            {},
            "check: --format and --baseline exclude each other\n",
        ),
    ],
)
def test_contradictory_options_are_rejected(
    tmp_path: Path, argv: list[str], environ: dict[str, str], problem: str
) -> None:
    settings_file(tmp_path, {"name": "lab", "endpoint": "http://127.0.0.1:1", "images": [UBUNTU]})
    process = run_program(tmp_path, "check", *argv, environ=environ)
    assert (process.returncode, process.stdout, process.stderr) == (2, "", problem)


def test_baseline_needs_a_settings_file(tmp_path: Path) -> None:
    settings = parse(["demo"], {}).settings
    with pytest.raises(SettingsError, match="needs the clouds in a settings file"):
        read_source(tmp_path / "new.yml", settings, clouds_elsewhere=False)


def mode(file: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(file.stat().st_mode)


@pytest.mark.parametrize(("old", "new"), [(0o644, 0o644), (0o640, 0o640), (0o600, 0o600)])
def test_new_file_is_not_readable_for_more_users(tmp_path: Path, old: int, new: int) -> None:
    before = os.umask(0o022)
    try:
        source = tmp_path / "old"
        source.touch()
        source.chmod(old)
        create_file(tmp_path / "new", "x", source.stat(), is_secret=False)
        assert mode(tmp_path / "new") == new
        create_file(tmp_path / "secret", "x", source.stat(), is_secret=True)
        assert mode(tmp_path / "secret") == 0o600
        others = list(source.stat())
        others[stat.ST_GID] += 1
        create_file(tmp_path / "another group", "x", os.stat_result(others), is_secret=False)
        assert mode(tmp_path / "another group") == new & ~0o070
    finally:
        os.umask(before)


def test_partly_written_file_is_removed(tmp_path: Path) -> None:
    """A part of a file, as after a full disk, would stop the next attempt."""
    new = tmp_path / "new.yml"
    least = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, least[1]))
    try:
        with pytest.raises(SettingsError, match="cannot be written: File too large"):
            create_file(new, "x" * 100, tmp_path.stat(), is_secret=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, least)
    assert not new.exists()


@pytest.mark.parametrize("key", ["token", "# token", "'token'", '"tok\\x65n"'])
def test_file_with_a_token_is_readable_for_its_owner_only(tmp_path: Path, key: str) -> None:
    """A token in a comment counts too."""
    with images() as service:
        source = tmp_path / "exporter.yml"
        source.write_text(
            f"clouds:\n  - name: lab\n    endpoint: {service.url}\n"
            f"    {key}: s3cret\n    images: [{GOLDEN}]\n"
        )
        source.chmod(0o644)
        status, out, err = run_baseline(source, tmp_path / "new.yml")
    assert status == 0
    assert "s3cret" not in out + err
    assert "s3cret" in (tmp_path / "new.yml").read_text()
    assert mode(tmp_path / "new.yml") == 0o600


def test_lost_comments_and_line_breaks_are_reported(tmp_path: Path) -> None:
    with images() as service:
        source, new = tmp_path / "exporter.yml", tmp_path / "new.yml"
        source.write_text(
            f"# x\nclouds:\n  - {{name: a, endpoint: {service.url}, images: &x [{GOLDEN}]}}\n"
            f"  - {{name: b, endpoint: {service.url}, images: *x}}\n"
            f"  - name: c\n    endpoint: {service.url}\n    images:\n    - id: {GOLDEN}\n"
            "      expect:\n        visibility:  # wide\n        - public  # wrong\n"
        )
        status, out, _ = run_baseline(source, new)
        assert status == 0
        assert f"{new}: lost comments of {source}: 1\n" in out
        assert f"{new}: line breaks and spaces differ from {source}\n" in out
        assert new.read_text().startswith("# x\n")
        assert run_check(new)[0] == 0
