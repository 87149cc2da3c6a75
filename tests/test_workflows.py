"""GitHub's workflows: what they run exists, and nobody can change it under our feet."""

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
JOBS = {
    f"{name}: {job}": (name, each)
    for name, workflow in WORKFLOWS.items()
    for job, each in workflow["jobs"].items()
}
LONGEST = 60
"""Minutes that any job may take."""


def steps(kind: str) -> Iterator[tuple[str, str]]:
    """What all steps run or use, and the workflow where that stands."""
    for name, job in JOBS.values():
        yield from ((name, step[kind]) for step in job.get("steps", ()) if kind in step)


def triggers(name: str) -> dict[str, Any]:
    """When a workflow runs; YAML reads its key as a boolean."""
    found = WORKFLOWS[name][True]
    assert isinstance(found, dict)
    return found


def test_there_is_one_for_each_need() -> None:
    """Checks, the image, and releases."""
    assert set(WORKFLOWS) == {"ci.yml", "image.yml", "release.yml"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_do_no_more_than_it_has_to(name: str) -> None:
    """It reads the code; a job that writes says what, and only one for releases does."""
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    more = {
        job: each["permissions"]
        for job, each in WORKFLOWS[name]["jobs"].items()
        if "permissions" in each
    }
    of_releases = {"packages": {"id-token": "write"}, "announce": {"contents": "write"}}
    assert more == (of_releases if name == "release.yml" else {})


def test_actions_are_pinned() -> None:
    """Each by its commit, with the version that it is beside it, the same wherever it is used."""
    found = re.findall(r"uses: (\S+)(.*)$", "\n".join(TEXTS.values()), re.MULTILINE)
    pinned: dict[str, str] = {}
    for used, comment in found:
        if used.startswith("./"):
            assert Path(used).name in WORKFLOWS
            continue
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", used), used
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), used
        action, commit = used.split("@")
        assert pinned.setdefault(action, commit) == commit


def test_the_token_is_not_left_behind() -> None:
    """No later step can push by what the checkout needed."""
    for _, job in JOBS.values():
        for step in job.get("steps", ()):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("job", JOBS)
def test_jobs_end_and_wait_for_what_exists(job: str) -> None:
    """Every job has a bound on its time, or is a workflow of its own, and needs jobs there are."""
    name, each = JOBS[job]
    assert ("uses" in each) or 0 < each["timeout-minutes"] <= LONGEST
    assert set(each.get("needs", ())) <= WORKFLOWS[name]["jobs"].keys()


def test_scripts_are_scripts() -> None:
    """Every one is accepted by the shell, and takes no text of strangers into its code."""
    bash = shutil.which("bash")
    assert bash
    for name, script in steps("run"):
        assert "${{" not in script, name
        subprocess.run([bash, "-n", "-c", script], check=True)


def test_what_is_run_exists() -> None:
    """Every target of make and every file that a script begins with is there."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    scripts = "\n".join(script for _, script in steps("run"))
    made = re.findall(r"\bmake (?:--silent )?([a-z-]+)", scripts)
    assert {"build", "sbom", "version"} <= set(made) <= targets
    assert ".ci/run" in scripts
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o100


def test_every_python_that_is_promised_is_tested() -> None:
    """Those of the classifiers, the oldest being the one that is required."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    promised = [
        line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line
    ]
    assert WORKFLOWS["ci.yml"]["jobs"]["check"]["strategy"]["matrix"]["python"] == promised
    assert project["requires-python"] == f">={promised[0]}"


def test_a_release_gives_out_only_what_was_checked() -> None:
    """Nothing is pushed before all checks have passed for the very commit of the tag."""
    assert triggers("release.yml") == {"push": {"tags": ["v[0-9]*"]}}
    jobs = WORKFLOWS["release.yml"]["jobs"]
    assert jobs["check"] == {"uses": "./.github/workflows/ci.yml"}
    for name in ("image", "packages"):
        assert {"check", "build"} <= set(jobs[name]["needs"])
    assert {"image", "packages"} <= set(jobs["announce"]["needs"])
    assert "workflow_call" in triggers("ci.yml")
    assert triggers("image.yml")["workflow_call"]["inputs"].keys() == jobs["image"]["with"].keys()


def test_the_image_is_built_for_both_kinds_of_machine() -> None:
    """For amd64 and arm64, on every change, and pushed only when a release asks for it."""
    (built,) = [
        step["with"]
        for step in WORKFLOWS["image.yml"]["jobs"]["image"]["steps"]
        if "platforms" in step.get("with", {}) and "context" in step["with"]
    ]
    assert built["platforms"] == "linux/amd64,linux/arm64"
    assert built["push"] == "${{ inputs.push == true }}"
    assert {"push", "pull_request"} <= triggers("image.yml").keys()


def test_the_image_is_told_what_it_asks_for() -> None:
    """Every argument that the Dockerfile takes is given, and no other."""
    asked = re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    given = [
        line.partition("=")[0]
        for step in WORKFLOWS["image.yml"]["jobs"]["image"]["steps"]
        for line in step.get("with", {}).get("build-args", "").splitlines()
    ]
    assert sorted(given) == sorted(asked)


def test_what_is_given_out_is_what_was_built() -> None:
    """Every artifact that a job takes is one that a job has left."""
    found: dict[str, set[str]] = {"upload": set(), "download": set()}
    for _, job in JOBS.values():
        for step in job.get("steps", ()):
            action = re.match(r"actions/(upload|download)-artifact@", step.get("uses", ""))
            if action:
                found[action[1]].add(step["with"]["name"])
    assert found["download"] == found["upload"] == {"packages", "about"}
