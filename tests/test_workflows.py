"""Permissions of GitHub's workflows, and the versions that they use."""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".github" / "workflows"
TEXTS = {path.name: path.read_text("utf-8") for path in sorted(FOLDER.iterdir())}
WORKFLOWS: dict[str, dict[Any, Any]] = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
RELEASE_PERMISSIONS = {"packages": {"id-token": "write"}, "announce": {"contents": "write"}}


def steps() -> Iterator[dict[str, Any]]:
    for workflow in WORKFLOWS.values():
        for job in workflow["jobs"].values():
            yield from job.get("steps", ())


@pytest.mark.parametrize("name", WORKFLOWS)
def test_only_release_jobs_may_write(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    jobs = WORKFLOWS[name]["jobs"].items()
    permissions = {key: job["permissions"] for key, job in jobs if "permissions" in job}
    assert permissions == (RELEASE_PERMISSIONS if name == "release.yml" else {})


def test_actions_are_pinned_by_commit_with_their_version_in_a_comment() -> None:
    pins: dict[str, str] = {}
    uses = re.findall(r"uses: (\S+)(.*)$", "\n".join(TEXTS.values()), re.MULTILINE)
    for use, comment in uses:
        if use.startswith("./"):
            assert Path(use).name in WORKFLOWS
            continue
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", use), use
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), use
        action, commit = use.split("@")
        assert pins.setdefault(action, commit) == commit


def test_checkout_does_not_persist_credentials() -> None:
    checkouts = [step for step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert not any(step["with"]["persist-credentials"] for step in checkouts)


def test_scripts_are_valid_and_contain_no_untrusted_text() -> None:
    bash = shutil.which("bash")
    assert bash
    for script in (step["run"] for step in steps() if "run" in step):
        assert "${{" not in script
        subprocess.run([bash, "-n", "-c", script], check=True)


def test_every_supported_python_version_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    versions = [
        line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line
    ]
    assert WORKFLOWS["ci.yml"]["jobs"]["check"]["strategy"]["matrix"]["python"] == versions
    assert project["requires-python"] == f">={versions[0]}"


def test_release_is_published_only_after_all_checks() -> None:
    jobs = WORKFLOWS["release.yml"]["jobs"]
    assert jobs["check"] == {"uses": "./.github/workflows/ci.yml"}
    for name in ("image", "packages"):
        assert {"check", "build"} <= set(jobs[name]["needs"])
    assert {"image", "packages"} <= set(jobs["announce"]["needs"])
