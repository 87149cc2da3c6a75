"""Permissions of GitHub's workflows, and the versions that they use."""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.k8s.programs import program, schema

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".github" / "workflows"
TEXTS = {path.name: path.read_text("utf-8") for path in sorted(FOLDER.iterdir())}
WORKFLOWS: dict[str, dict[Any, Any]] = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
RELEASE_PERMISSIONS = {
    "packages": {"id-token": "write"},
    "attest": {"id-token": "write", "attestations": "write"},
    "announce": {"contents": "write"},
}
OWN = "$/.github/workflows/"
"""Prefix of the workflows of this repository, at the commit of the one that uses them."""


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
        if use.startswith(OWN):
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
    assert jobs["check"] == {"uses": f"{OWN}ci.yml"}
    for name in ("image", "packages"):
        assert {"check", "build"} <= set(jobs[name]["needs"])
    assert {"image", "packages", "attest"} <= set(jobs["announce"]["needs"])


def test_zizmor_finds_nothing() -> None:
    command = [str(program("zizmor")), "--offline", "--quiet", "--no-ignores", "--format=plain"]
    found = subprocess.run(
        [*command, str(FOLDER.parent)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_dependabot_file_follows_its_schema_and_names_existing_folders() -> None:
    document = yaml.safe_load((FOLDER.parent / "dependabot.yml").read_text("utf-8"))
    jsonschema.validate(document, schema("dependabot"))
    for update in document["updates"]:
        assert (ROOT / update["directory"].lstrip("/")).is_dir()
        assert update["cooldown"]["default-days"] >= 7


def test_release_attests_the_packages_and_the_image_that_were_published() -> None:
    jobs = WORKFLOWS["release.yml"]["jobs"]
    uses = [step for step in jobs["attest"]["steps"] if "attest-build" in step["uses"]]
    packages, image = (step["with"] for step in uses)
    assert packages == {"subject-path": "dist/*"}
    assert image["subject-digest"] == "${{ needs.image.outputs.digest }}"
    outputs = WORKFLOWS["image.yml"]["jobs"]["image"]["outputs"]
    assert outputs == {"digest": "${{ steps.build.outputs.digest }}"}
    (build,) = (step for step in steps() if step.get("id") == "build")
    assert "push" in build["with"]


def test_image_is_built_from_the_base_image_that_the_dockerfile_pins() -> None:
    builds = [step for step in steps() if "build-push-action" in step.get("uses", "")]
    assert len(builds) == 2
    assert not [build for build in builds if "BASE" in build["with"].get("build-args", "")]


def test_newer_base_image_fails_the_weekly_audit() -> None:
    checkout, compare = WORKFLOWS["audit.yml"]["jobs"]["base-image"]["steps"]
    assert checkout["uses"].startswith("actions/checkout@")
    assert compare["run"].splitlines() == ["make base-image", "git diff --exit-code Dockerfile"]


def test_vulnerabilities_are_looked_for_every_week_in_packages_and_image() -> None:
    audit = WORKFLOWS["audit.yml"]
    # YAML 1.1 reads the key `on` as true.
    (schedule,) = audit[True]["schedule"]
    assert schedule["cron"].endswith(" * * 1")
    assert {"run": "make audit"} in audit["jobs"]["packages"]["steps"]
    scan = audit["jobs"]["image"]["steps"][-1]
    (rebuild,) = (step["run"] for step in audit["jobs"]["image"]["steps"] if "run" in step)
    assert "--pull --no-cache" in rebuild
    assert scan["with"]["image"] in rebuild
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (locks,) = re.findall(r"^LOCKS = (.*)$", makefile, re.MULTILINE)
    locked = {str(path.relative_to(ROOT)) for path in ROOT.glob("requirements*.txt")}
    assert locked <= set(locks.split())
