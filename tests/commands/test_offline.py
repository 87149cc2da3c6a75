"""``check --offline``: every error in the settings and the files that they name, no request."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import cli
from tests.support.clouds_yaml import clear_configuration, write_clouds_yaml
from tests.support.program import GOLDEN, ROOT, settings_file

AUTH = {
    "auth_url": "http://127.0.0.1:1/v3",
    "username": "demo",
    "user_domain_name": "Default",
    "project_name": "demo",
    "project_domain_name": "Default",
}
PASSWORD = {"lab": {"auth": {"password": "hunter2-and-long"}}}
LAB = {"name": "lab", "cloud": "lab", "images": [GOLDEN], "discover": [{"name": "x*"}]}


AFFECTED_ALERTS = [
    *(
        f"alert OpenStackImage{name} is incomplete or wrong without openstack_image_api_up"
        for name in ("DataStale", "NeverPolled")
    ),
    "alert OpenStackImageApiDown never fires without openstack_image_api_up",
    "alert OpenStackImagePollFailures is incomplete or wrong without openstack_image_api_up",
]


@pytest.fixture(autouse=True)
def _clean(restored_logging: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    clear_configuration(monkeypatch)


def test_valid_settings_need_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth": AUTH}}, PASSWORD)
    file = settings_file(tmp_path, LAB)
    assert cli.main(["check", "--offline", f"--config.file={file}"]) == 0
    assert cli.main(["--config.check", f"--config.file={file}"]) == 0
    valid = "the settings are valid; clouds: 1, images: 1, discovery rules: 1\n"
    assert capsys.readouterr() == (2 * valid, "")
    argv = ["check", "--offline", f"--config.file={file}"]
    assert cli.main([*argv, "--metrics.exclude=openstack_image_api_up"]) == 0
    lines = "".join(f"{alert}\n" for alert in AFFECTED_ALERTS)
    assert capsys.readouterr() == (f"{valid}{lines}", "")


def test_errors_of_all_clouds_and_files_are_reported_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth": AUTH}}, {})
    web = tmp_path / "web.yml"
    web.write_text("tls_server_config: {cert_file: gone.crt, key_file: gone.key}")
    file = settings_file(
        tmp_path,
        LAB,
        {"name": "other", "cloud": "other", "images": [GOLDEN]},
        {"name": "token", "endpoint": "http://x", "token_file": "gone", "images": [GOLDEN]},
        web={"listen_address": "nonsense", "config": {"file": str(web)}},
    )
    assert cli.main(["check", "--offline", f"--config.file={file}"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    starts = [
        "listen address 'nonsense': write :PORT",
        f"{web}: tls_server_config.cert_file: {tmp_path}/gone.crt cannot be read",
        "cloud 'lab': cloud 'lab' in ",
        "cloud 'other': cloud 'other' in ",
        f"cloud 'token': token file {tmp_path}/gone cannot be read",
    ]
    lines = err.splitlines()
    assert len(lines) == len(starts)
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True)), lines
    assert "password" in lines[2]


@pytest.mark.parametrize("argv", [["check"], ["check", "--offline"]])
def test_state_file_that_cannot_be_written_is_an_error(
    argv: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth": AUTH}}, PASSWORD)
    file = settings_file(tmp_path, LAB, state={"file": str(tmp_path / "missing" / "state")})
    assert cli.main([*argv, f"--config.file={file}"]) == 2
    error = (
        f"state.file: {tmp_path}/missing/state: its folder does not exist; "
        "create it for the exporter's user\n"
    )
    assert capsys.readouterr() == ("", error)


@pytest.mark.parametrize("check", [("check", "--offline"), ("--config.check",)])
@pytest.mark.parametrize("json_flag", [("--format=json",), ("--format", "json")])
def test_errors_as_json(
    check: tuple[str, ...],
    json_flag: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also those of settings that cannot be read at all."""

    def run(cloud: dict[str, Any], *more: str) -> tuple[int, Any, str]:
        file = settings_file(tmp_path, cloud)
        status = cli.main([*check, *json_flag, f"--config.file={file}", *more])
        captured = capsys.readouterr()
        return status, json.loads(captured.out), captured.err

    lab = {"name": "lab", "endpoint": "http://x", "images": [GOLDEN]}
    clouds = [{"cloud": "lab", "images": 1, "rules": 0}]
    valid = {"valid": True, "errors": [], "warnings": [], "clouds": clouds}
    assert run(lab) == (0, valid, "")
    status, document, err = run({**lab, "token_file": "gone"})
    assert (status, document["valid"], document["clouds"], err) == (2, False, clouds, "")
    assert document["errors"][0].startswith("cloud 'lab': token file ")
    error = "flag --interval: 'x' is not a duration; accepted: 30s, 1m30s, 15m, 90d"
    invalid = {"valid": False, "errors": [error], "warnings": [], "clouds": []}
    assert run(lab, "--interval=x") == (2, invalid, "")
    status, document, err = run(lab, "--metrics.exclude=openstack_image_hidden")
    assert (status, document["warnings"]) == (0, [])
    status, document, err = run(lab, "--metrics.exclude=openstack_image_api_up")
    assert (status, document["valid"], document["warnings"]) == (0, True, AFFECTED_ALERTS)


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (["check", "--offline", "--baseline=x"], "--offline and --baseline exclude each other"),
        (["show", "--config.check", "x"], "unexpected argument 'show' after check"),
        (["run", "--offline"], "flag --offline is refused; accepted: only after the command check"),
    ],
)
def test_flags_that_exclude_each_other(
    argv: list[str], error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = settings_file(tmp_path, {"name": "lab", "endpoint": "http://x", "images": [GOLDEN]})
    assert cli.main([*argv, f"--config.file={file}"]) == 2
    assert error in capsys.readouterr().err


def documented_commands() -> list[list[str]]:
    """Return the commands with --offline in the document's examples for CI and pre-commit."""
    text = (ROOT / "CONFIGURATION.md").read_text("utf-8")
    blocks = re.findall(r"^```yaml\n(# \.\S+\n.*?)^```$", text, re.M | re.S)
    workflow, hooks = (yaml.safe_load(block) for block in blocks)
    steps = workflow["jobs"]["check"]["steps"]
    runs = [step["run"] for step in steps if "--offline" in step.get("run", "")]
    entries = [hook["entry"] for repo in hooks["repos"] for hook in repo["hooks"]]
    return [shlex.split(command) for command in (*runs, *entries)]


def test_examples_for_ci_and_pre_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = documented_commands()
    assert len(commands) == 2
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth": AUTH}}, PASSWORD)
    settings_file(tmp_path, LAB)
    monkeypatch.chdir(tmp_path)
    for program, *argv in commands:
        assert program == "openstack-image-exporter"
        assert cli.main(argv) == 0
    settings_file(tmp_path, {**LAB, "cloud": "no"})
    assert [cli.main(argv) for _, *argv in commands] == [2, 2]
    assert "no such cloud" in capsys.readouterr().err
