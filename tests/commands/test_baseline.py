"""check --baseline: one command adopts what is now, and check is content with it."""

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
    """A service with two images, of which one has a name that is hard to write."""
    golden = simulated(
        GOLDEN,
        "golden [1] * \U0001f947 'x': #",
        protected=True,
        min_disk=40,
        properties={"os_distro": "ubuntu", "os_version": "24.04", "secret": "none of it"},
    )
    return SimulatedImageService([golden, simulated(UBUNTU, "\x1b[2J", size=None, checksum=None)])


def consoles() -> tuple[io.StringIO, io.StringIO, Console, Console]:
    """What is written to either, and the two to write to."""
    out, err = io.StringIO(), io.StringIO()
    return out, err, Console(file=out, width=1000), Console(file=err, width=1000)


def adopted(source: Path, new: Path) -> tuple[int, str, str]:
    """The status of writing a baseline, and what is said on standard output and error."""
    settings = parse([f"--config.file={source}"], {}).settings
    text = read_source(new, settings, clouds_elsewhere=False)
    out, err, to_out, to_err = consoles()
    with closing(build_application(resolved_clouds(settings), all_properties=True)) as parts:
        status = write_baseline(
            parts, to_out, to_err, settings=settings, source_text=text, file=new
        )
    return status, out.getvalue(), err.getvalue()


def checked(file: Path) -> tuple[int, str]:
    """The status of a check with these settings, and what it says."""
    out, _, to_out, to_err = consoles()
    plans = resolved_clouds(parse([f"--config.file={file}"], {}).settings)
    with closing(build_application(plans, all_properties=True)) as parts:
        return check(parts, to_out, to_err), out.getvalue()


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_all_is_as_expected_right_after(tmp_path: Path, api: str) -> None:
    """Comments and what was met stay; the rest is what is now, or lifted; it is said what."""
    source, new = tmp_path / "exporter.yml", tmp_path / "new.yml"
    with images() as service:
        fitted = SETTINGS.format(
            api=api, url=service.url, ubuntu=UBUNTU, golden=GOLDEN, absent=ABSENT
        )
        source.write_text(fitted, "utf-8")
        assert checked(source)[0] == 1
        status, out, err = adopted(source, new)
        assert (status, err) == (0, "")
        said = out.splitlines()
        assert "lab: golden: protected is not met; the current value is expected" in said
        assert "lab: golden: max_age is not met; is no longer expected" in said
        assert f"lab: {ABSENT}: is gone, and is expected to be gone from now on" in said
        assert said[-1] == f"{new}: written; images: 3, changed: 3"

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

        status, out = checked(new)
        assert status == 0
        assert out.endswith("images: 3, not as expected: 0\n")

        service.images.change(GOLDEN, checksum="0" * 32)
        assert checked(new)[0] == 1


def test_it_is_one_command(tmp_path: Path) -> None:
    """And one more to see that nothing is wrong."""
    with images() as service:
        cloud = {"name": "lab", "endpoint": service.url, "images": [GOLDEN, UBUNTU, ABSENT]}
        file = settings_file(tmp_path, cloud, shard={"index": 0, "total": 2})
        ran = run_program(tmp_path, "check", f"--config.file={file}", "--baseline", "new.yml")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.endswith("new.yml: written; images: 3, changed: 3\n")
        again = run_program(tmp_path, "check", "--config.file=new.yml")
        assert (again.returncode, again.stderr) == (0, "")


def test_what_cannot_be_asked_about_is_no_baseline(tmp_path: Path) -> None:
    """Nothing is written, and the table says why."""
    with images() as service:
        service.faults.set("status", on=UBUNTU, code=403)
        cloud = {"name": "lab", "endpoint": service.url, "images": [GOLDEN, UBUNTU]}
        file = settings_file(tmp_path, cloud)
        status, out, err = adopted(file, tmp_path / "new.yml")
    assert status == 1
    assert err == f"{tmp_path / 'new.yml'}: not written, because a poll or a discovery failed\n"
    assert "forbidden: HTTP 403" in out
    assert not (tmp_path / "new.yml").exists()


@pytest.mark.parametrize(("expect", "wrong"), [({"protected": True}, 0), ({"protected": False}, 1)])
def test_discovered_images_are_not_in_it(
    tmp_path: Path, expect: dict[str, bool], wrong: int
) -> None:
    """They come and go, so what is expected of them stays where it is; the status tells of it."""
    with images() as service:
        discover = [{"name": "golden*", "expect": expect}]
        cloud = {
            "name": "lab", "endpoint": service.url, "images": [UBUNTU], "discover": discover,
        }  # fmt: skip
        file = settings_file(tmp_path, cloud)
        status, out, _ = adopted(file, tmp_path / "new.yml")
        again, _ = checked(tmp_path / "new.yml")
    assert status == again == wrong
    assert out.endswith(f"discovered images, not in the file: 1, not as expected: {wrong}\n")
    assert yaml.safe_load((tmp_path / "new.yml").read_text())["clouds"][0]["discover"] == discover


def test_an_alias_without_an_image_is_told_of(tmp_path: Path) -> None:
    """The baseline is written all the same, and the status is that of the check to come."""
    with images() as service:
        discover = [{"name": "none-*", "most_recent": True, "alias": "newest"}]
        cloud = {
            "name": "lab", "endpoint": service.url, "images": [UBUNTU], "discover": discover,
        }  # fmt: skip
        file = settings_file(tmp_path, cloud)
        status, out, _ = adopted(file, tmp_path / "new.yml")
        again, _ = checked(tmp_path / "new.yml")
    assert status == again == 1
    assert out.endswith("lab: there is no image for the alias newest\n")


def refusal(source: Path, new: Path) -> str:
    """What is said where a baseline is refused before anything is asked."""
    with pytest.raises(SettingsError) as caught:
        adopted(source, new)
    return str(caught.value)


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    """Neither the settings themselves, nor another file, nor where a link leads that dangles."""
    cloud = {"name": "lab", "endpoint": "http://127.0.0.1:1", "images": [UBUNTU]}
    file, link = settings_file(tmp_path, cloud), tmp_path / "link"
    link.symlink_to("nowhere")
    for new in (file, link):
        assert refusal(file, new) == f"{new}: exists already and is not overwritten"
        with pytest.raises(SettingsError, match="File exists"):
            create_file(new, "x", file.stat(), is_secret=False)


def test_a_baseline_is_refused_where_it_could_not_be_used(tmp_path: Path) -> None:
    """Before anything is asked, in one line."""
    cloud: dict[str, Any] = {"name": "lab", "endpoint": "http://127.0.0.1:1", "images": [UBUNTU]}
    (tmp_path / "token").write_text("x")
    (tmp_path / "elsewhere").mkdir()
    file = settings_file(tmp_path, {**cloud, "token_file": "token"})
    nowhere, elsewhere = tmp_path / "no" / "new.yml", tmp_path / "elsewhere" / "new.yml"
    assert refusal(file, nowhere) == (
        f"{nowhere}: cannot be written: {nowhere.parent} is not a directory"
    )
    assert refusal(file, elsewhere) == (
        f"{elsewhere}: token_file of cloud 'lab' is relative to the directory of {file}; "
        "write the baseline there"
    )
    settings_file(tmp_path, {**cloud, "token_file": str(tmp_path / "token")})
    settings = parse([f"--config.file={file}"], {}).settings
    assert read_source(elsewhere, settings, clouds_elsewhere=False) == file.read_text()
    file.unlink()
    with pytest.raises(SettingsError, match="can no longer be read"):
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
def test_what_does_not_go_together_is_refused(
    tmp_path: Path, argv: list[str], environ: dict[str, str], problem: str
) -> None:
    """With status 2, as every mistake."""
    settings_file(tmp_path, {"name": "lab", "endpoint": "http://127.0.0.1:1", "images": [UBUNTU]})
    ran = run_program(tmp_path, "check", *argv, environ=environ)
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", problem)


def test_settings_without_a_file_are_no_baseline(tmp_path: Path) -> None:
    """There is nothing to write it like."""
    settings = parse(["demo"], {}).settings
    with pytest.raises(SettingsError, match="needs the clouds in a settings file"):
        read_source(tmp_path / "new.yml", settings, clouds_elsewhere=False)


def mode(file: Path) -> int:
    """Who may do what with a file."""
    return stat.S_IMODE(file.stat().st_mode)


@pytest.mark.parametrize(("old", "new"), [(0o644, 0o644), (0o640, 0o640), (0o600, 0o600)])
def test_who_could_not_read_the_settings_cannot_read_the_baseline(
    tmp_path: Path, old: int, new: int
) -> None:
    """It is as open as the old file and never more; a program that serves it can go on."""
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


def test_of_a_file_that_cannot_be_written_whole_nothing_is_left(tmp_path: Path) -> None:
    """As on a full disk: what is half written would be in the way of the next attempt."""
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
def test_a_file_with_a_token_is_its_owners_alone(tmp_path: Path, key: str) -> None:
    """Also one that a comment has kept, however open the old file was; nothing shows it."""
    with images() as service:
        source = tmp_path / "exporter.yml"
        source.write_text(
            f"clouds:\n  - name: lab\n    endpoint: {service.url}\n"
            f"    {key}: s3cret\n    images: [{GOLDEN}]\n"
        )
        source.chmod(0o644)
        status, out, err = adopted(source, tmp_path / "new.yml")
    assert status == 0
    assert "s3cret" not in out + err
    assert "s3cret" in (tmp_path / "new.yml").read_text()
    assert mode(tmp_path / "new.yml") == 0o600


def test_what_the_new_file_does_not_keep_is_reported(tmp_path: Path) -> None:
    with images() as service:
        source, new = tmp_path / "exporter.yml", tmp_path / "new.yml"
        source.write_text(
            f"# x\nclouds:\n  - {{name: a, endpoint: {service.url}, images: &x [{GOLDEN}]}}\n"
            f"  - {{name: b, endpoint: {service.url}, images: *x}}\n"
            f"  - name: c\n    endpoint: {service.url}\n    images:\n    - id: {GOLDEN}\n"
            "      expect:\n        visibility:  # wide\n        - public  # wrong\n"
        )
        status, out, _ = adopted(source, new)
        assert status == 0
        assert f"{new}: lost comments of {source}: 1\n" in out
        assert f"{new}: line breaks and spaces differ from {source}\n" in out
        assert new.read_text().startswith("# x\n")
        assert checked(new)[0] == 0
