"""Checks of the Dockerfile and .dockerignore that need no build."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.container.build import BASE, ROOT

TEXT = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", "")
IGNORED = (ROOT / ".dockerignore").read_text("utf-8").splitlines()


def instructions(name: str) -> list[str]:
    """Return the arguments of the instructions with this name, in order."""
    return re.findall(rf"^{name} +(.*)$", TEXT, re.MULTILINE)


def test_hadolint_reports_nothing_and_ignores_nothing(hadolint: Path) -> None:
    command = [str(hadolint), "--no-color", "--failure-threshold=style", str(ROOT / "Dockerfile")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert "hadolint" not in TEXT
    assert not [*ROOT.glob(".hadolint*")]


def test_both_stages_have_the_same_base_image() -> None:
    """The bytecode of the first stage is for the Python of the second."""
    assert instructions("FROM") == ["${BASE} AS build", "${BASE}"]


def test_base_image_is_pinned_by_digest_and_another_one_can_be_chosen() -> None:
    """The second declaration gives the label the value of the first."""
    assert re.fullmatch(r"BASE=python:3\.\d+-slim@sha256:[0-9a-f]{64}", instructions("ARG")[0])
    assert instructions("ARG").count("BASE") == 1
    assert 'org.opencontainers.image.base.name="$BASE"' in TEXT


@pytest.mark.parametrize("digest", [f"sha256:{'5a' * 32}", "", "sha256:5a"])
def test_make_pins_the_newest_digest_of_the_base_image(digest: str, tmp_path: Path) -> None:
    """A registry that gives no digest leaves the pinned one."""
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/arguments\necho "{digest}"\n')
    docker.chmod(0o755)
    (tmp_path / "Dockerfile").write_bytes((ROOT / "Dockerfile").read_bytes())
    command = ["make", "--silent", f"--makefile={ROOT / 'Makefile'}", "base-image"]
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PATH": path}, check=False)
    (pinned,) = re.findall("^ARG BASE=(.+)$", (tmp_path / "Dockerfile").read_text("utf-8"), re.M)
    image, _, before = BASE.partition("@")
    is_digest = len(digest) > 64
    assert (done.returncode == 0) is is_digest
    assert pinned == f"{image}@{digest if is_digest else before}"
    assert f"imagetools inspect {image} " in (tmp_path / "arguments").read_text("utf-8")


def test_pip_installs_only_locked_packages_with_hashes_or_local_ones() -> None:
    installs = [
        part.strip()
        for line in instructions("RUN")
        for part in line.split("&&")
        if "pip install" in part or "pip wheel" in part
    ]
    for command in installs:
        is_locked = "--require-hashes" in command and "--only-binary=:all:" in command
        assert is_locked or "--no-index" in command or "--no-build-isolation" in command, command
    assert len(installs) == 4


def test_dockerfile_contains_no_index_proxy_or_certificate() -> None:
    assert not re.search(
        r"index-url|trusted-host|proxy|find-links|\.pem|\.crt", TEXT, re.IGNORECASE
    )


def test_program_is_started_without_a_shell() -> None:
    """Entry point, command and health check are lists, so that signals reach the exporter."""
    (entry,), (command,) = instructions("ENTRYPOINT"), instructions("CMD")
    (health,) = re.findall(r"HEALTHCHECK .* CMD (.*)", TEXT)
    assert json.loads(entry) == ["openstack-image-exporter"]
    assert json.loads(command) == ["run"]
    assert json.loads(health)[0] == "python"


def test_context_contains_only_the_files_that_are_copied() -> None:
    first, *others = [line for line in IGNORED if not line.startswith("#")]
    sent = {line.removeprefix("!") for line in others if line.startswith("!")}
    copied = {
        word
        for line in instructions("COPY")
        if not line.startswith("--from")
        for word in line.split()[:-1]
    }
    assert first == "*"
    assert sent == copied
    assert all((ROOT / name).exists() for name in copied)
