"""The locks agree with the requirements of the package, and copies of its version with it."""

import re
import runpy
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import exporter
from exporter import __version__, read_revision

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
RUN = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
DEV = [Requirement(line) for line in PROJECT["dependency-groups"]["dev"]]
WHEEL = [Requirement(line) for line in PROJECT["dependency-groups"]["wheel"]]
LOCKS = ["requirements.txt", "requirements-dev.txt", "requirements-build.txt"]
OTHER_LOCKS = [
    "requirements-sbom.txt",
    "tests/openstack/requirements.txt",
    "tests/k8s/requirements.txt",
]
COPIES = {
    "CHANGELOG.md": r"^## ([0-9][^ ]*) - ",
    "Dockerfile": r"^ARG VERSION=(\S+)$",
    "k8s/base/kustomization.yaml": r"^ +newTag: (\S+)$",
    "k8s/chart/Chart.yaml": r"^version: (\S+)$",
}
"""Copies of the version: the first match of the pattern in each file."""


def pins(name: str) -> list[tuple[str, str]]:
    """Return packages and versions of a lock; a package has one for each version of Python."""
    text = (ROOT / name).read_text("utf-8")
    return re.findall(r"^([a-z0-9-]+)(?:\[\S+\])?==(\S+)", text, re.MULTILINE)


def locked(name: str) -> dict[str, str]:
    return dict(pins(name))


@pytest.mark.parametrize(
    ("name", "requirements"), [*zip(LOCKS, [RUN, RUN + DEV, WHEEL], strict=True)], ids=LOCKS
)
def test_requirements_are_locked_at_a_version_that_they_allow(
    name: str, requirements: list[Requirement]
) -> None:
    versions = locked(name)
    for requirement in requirements:
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_build_system_of_the_wheel_is_locked() -> None:
    assert [str(requirement) for requirement in WHEEL] == PROJECT["build-system"]["requires"]


def test_tests_run_with_the_locked_runtime_versions() -> None:
    assert locked(LOCKS[0]).items() <= locked(LOCKS[1]).items()


@pytest.mark.parametrize("name", [*LOCKS, *OTHER_LOCKS])
def test_locks_have_hashes_and_name_no_index(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    packages = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(packages) == len(pins(name))
    assert all("--hash=sha256:" in package for package in packages)
    assert not re.search(r"://|^--|^-|file:", text, re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in COPIES if (ROOT / name).exists()])
def test_copies_of_the_version_match_the_package(name: str) -> None:
    copy = re.search(COPIES[name], (ROOT / name).read_text("utf-8"), re.MULTILINE)
    assert copy
    assert copy[1] == __version__


def built_metadata(monkeypatch: pytest.MonkeyPatch, url: str) -> dict[str, Any]:
    """Return the dynamic metadata of the package if the project is at this URL."""
    monkeypatch.setenv("PROJECT_URL", url)
    hook = runpy.run_path(str(ROOT / "hatch_build.py"))["ProjectUrls"](str(ROOT), {})
    metadata: dict[str, Any] = {}
    hook.update(metadata)
    return metadata


@pytest.mark.parametrize("url", ["", "https://git.example.org/me/exporter/"])
def test_urls_of_the_project_follow_from_one_variable(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    metadata = built_metadata(monkeypatch, url)
    urls = metadata.get("urls", {}).values()
    assert all(text.startswith(url.rstrip("/")) for text in urls)
    assert bool(urls) == bool(url)
    assert {"urls", "readme"} <= set(PROJECT["project"]["dynamic"])


@pytest.mark.parametrize("url", ["", "https://git.example.org/me/exporter"])
def test_links_and_pictures_of_the_project_page_resolve(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    metadata = built_metadata(monkeypatch, url)
    page, readme = metadata["readme"], (ROOT / "README.md").read_text("utf-8")
    assert page["content-type"] == "text/markdown"
    if not url:
        assert page["text"] == readme
        return
    links = re.findall(r"(!?)\[[^]]*\]\(([^)]+)\)", page["text"])
    assert len(links) == len(re.findall(r"\]\(", readme))
    for mark, target in links:
        path, _, anchor = target.removeprefix(url).partition("#")
        assert target.startswith(url)
        kind = f"/{'raw' if mark else 'blob'}/main/"
        assert (ROOT / path.removeprefix(kind)).exists() if path else anchor
        assert not path or path.startswith(kind)


def built_revision(root: Path, version: str = "standard") -> str | None:
    """Return the content of the file that a build of this folder adds; None without one."""
    hook = runpy.run_path(str(ROOT / "hatch_build.py"))["RevisionFile"](
        str(root), {}, None, None, str(root / "dist"), "wheel"
    )
    build_data: dict[str, Any] = {"force_include": {}}
    hook.initialize(version, build_data)
    texts = {
        target: Path(source).read_text("ascii")
        for source, target in build_data["force_include"].items()
    }
    hook.finalize(version, build_data, "")
    assert not any(Path(source).exists() for source in build_data["force_include"])
    assert texts.keys() <= {"exporter/revision.txt"}
    return texts.get("exporter/revision.txt")


@pytest.fixture
def clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Make a repository with one commit."""
    monkeypatch.delenv("REVISION", raising=False)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "a"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    return tmp_path


def test_build_of_a_clone_knows_its_commit(clone: Path) -> None:
    revision = built_revision(clone)
    assert revision is not None
    assert re.fullmatch(r"[0-9a-f]{40}\n", revision)
    assert built_revision(clone, "editable") is None


def test_build_names_no_commit_of_a_repository_around_it(clone: Path) -> None:
    folder = clone / "unpacked"
    folder.mkdir()
    assert built_revision(folder) is None


def test_build_of_an_sdist_keeps_the_file_of_the_sdist(clone: Path) -> None:
    (clone / "exporter").mkdir()
    (clone / "exporter/revision.txt").write_text("def\n")
    assert built_revision(clone) is None


@pytest.mark.parametrize(
    ("value", "content"), [("abc", "abc\n"), ("unknown", None), ("", None), ("a\nb", None)]
)
def test_build_without_git_takes_the_commit_from_a_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str, content: str | None
) -> None:
    """The Dockerfile sets it."""
    monkeypatch.setenv("REVISION", value)
    assert built_revision(tmp_path) == content


def test_revision_of_the_package_is_read_from_that_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(exporter, "__file__", str(tmp_path / "__init__.py"))
    assert read_revision() == "unknown"
    (tmp_path / "revision.txt").write_text("abc\n")
    assert read_revision() == "abc"
