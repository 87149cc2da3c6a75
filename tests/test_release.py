"""What is released: built twice, installed with no more than the lock names, and run from there."""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path

import pytest

from exporter import __version__
from tests.support.program import BOUND, Program, environment
from tests.support.wait import wait_until
from tests.test_packaging import locked, pins

ROOT = Path(__file__).parent.parent
NAME = f"openstack_image_exporter-{__version__}"
WHEEL, SDIST = f"{NAME}-py3-none-any.whl", f"{NAME}.tar.gz"
WHEN = "1764000000"
MADE_UP = {"PKG-INFO"}
"""What an sdist has beside the files of the clone."""

COPIES = {
    "CHANGELOG.md": r"^## ([0-9][^ ]*) - ",
    "Dockerfile": r"^ARG VERSION=(\S+)$",
    "k8s/base/kustomization.yaml": r"^ +newTag: (\S+)$",
}
"""Where the version stands too, for those who do not ask Python: the first match in each file."""


@pytest.fixture(scope="session")
def files() -> list[str]:
    """The files of the clone, those not committed yet included."""
    if not (ROOT / ".git").exists():
        pytest.skip("only a clone knows which files are its own")
    if shutil.which("git") is None:
        pytest.skip("git is not installed, which knows the clone's files")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [each for each in listed.stdout.split("\0") if each and (ROOT / each).exists()]


def built(folder: Path, files: list[str], mode: int) -> Path:
    """Where the wheel and the sdist are, made of a copy of these files with a mask for modes."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
        runs = (ROOT / name).stat().st_mode & 0o100
        (folder / name).chmod(mode | runs)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation"],
        cwd=folder,
        env={**environment(folder), "SOURCE_DATE_EPOCH": WHEN, "PYTHONPATH": ""},
        capture_output=True,
        check=True,
    )
    return folder / "dist"


@pytest.fixture(scope="session")
def dist(files: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel and an sdist."""
    return built(tmp_path_factory.mktemp("one"), files, 0o644)


@pytest.fixture(scope="session")
def dependencies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages that the lock for running names, and no others."""
    folder = tmp_path_factory.mktemp("dependencies")
    for name in locked("requirements.txt"):
        try:
            package = distribution(name)
        except ModuleNotFoundError:
            # It is for another Python or another system.
            continue
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(str(package.locate_file(top)))
    return folder


@pytest.fixture(scope="session")
def installed(dist: Path, dependencies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, from the wheel, in an environment of its own."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder)
    python = str(folder / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "--quiet", "install"]
    subprocess.run([*pip, "--no-index", "--no-deps", str(dist / WHEEL)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{dependencies}\n")
    return folder / "bin" / "openstack-image-exporter"


def ran(program: Path, folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """What the installed program said, far from the clone."""
    return subprocess.run(
        [program, *argv],
        cwd=folder,
        env=outside(folder),
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )


def outside(folder: Path) -> Mapping[str, str]:
    """An environment that does not lead to the clone."""
    return {key: value for key, value in environment(folder).items() if key != "PYTHONPATH"}


def test_the_same_files_make_the_same_bytes(dist: Path, files: list[str], tmp_path: Path) -> None:
    """Whoever builds, wherever and whenever, gets the same wheel and the same sdist."""
    again = built(tmp_path, files, 0o600)
    assert {each.name for each in dist.iterdir()} == {WHEEL, SDIST}
    for name in (WHEEL, SDIST):
        assert (dist / name).read_bytes() == (again / name).read_bytes()


def test_the_sdist_has_every_file_of_the_clone(dist: Path, files: list[str]) -> None:
    """Tests, locks, rules and manifests too, so that all can be checked and built from it."""
    with tarfile.open(dist / SDIST) as archive:
        names = {name.removeprefix(f"{NAME}/") for name in archive.getnames()}
        assert archive.getmember(f"{NAME}/.ci/run").mode & 0o100
    assert names == {*files, *MADE_UP}


def test_the_wheel_has_the_package_and_nothing_else(dist: Path, files: list[str]) -> None:
    """Templates too, no tests, and the licence."""
    with zipfile.ZipFile(dist / WHEEL) as archive:
        names = set(archive.namelist())
        metadata = archive.read(f"{NAME}.dist-info/METADATA").decode("utf-8")
    packaged = {name for name in names if not name.startswith(f"{NAME}.dist-info/")}
    assert packaged == {name for name in files if name.startswith("exporter/")}
    assert f"{NAME}.dist-info/licenses/LICENSE" in names
    assert f"\nVersion: {__version__}\n" in metadata


def test_the_version_is_told_by_what_is_installed(installed: Path, tmp_path: Path) -> None:
    """It stands in the package alone, and the command, the wheel and the sdist take it there."""
    said = ran(installed, tmp_path, "--version")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == f"openstack-image-exporter {__version__}\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["dynamic"] == ["version"]


@pytest.mark.parametrize("name", [name for name in COPIES if (ROOT / name).exists()])
def test_copies_of_the_version_are_true(name: str) -> None:
    """The newest heading of the changelog and the image's tags say what the package says."""
    found = re.search(COPIES[name], (ROOT / name).read_text("utf-8"), re.MULTILINE)
    assert found
    assert found[1] == __version__


def test_mistakes_are_told_by_what_is_installed(installed: Path, tmp_path: Path) -> None:
    """Settings are read, and their mistakes are told, with nothing of the clone at hand."""
    (tmp_path / "exporter.yml").write_text("clouds: [{name: a, images: [b/c]}]")
    said = ran(installed, tmp_path, "check", "--config.file=exporter.yml")
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith("exporter.yml: clouds[0].images[0]: 'b/c' is not an image ID")


@contextmanager
def demo(program: Path, folder: Path) -> Iterator[Program]:
    """The demo, until the block ends."""
    out, err = folder / "stdout", folder / "stderr"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [str(program), "demo", "--web.listen-address=127.0.0.1:0"],
            cwd=folder,
            env=outside(folder),
            stdout=stdout,
            stderr=stderr,
        )
    try:
        running = Program(process, out, err)
        yield running
        running.stop()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(BOUND)


def test_the_demo_runs_from_what_is_installed(installed: Path, tmp_path: Path) -> None:
    """Metrics and the page, whose templates are in the wheel."""
    with demo(installed, tmp_path) as program:
        wait_until(
            lambda: program.metrics().value("openstack_image_exists", image="golden-base") == 1
        )
        status, page = program.page("/")
        assert status == 200
        assert "golden-base" in page


def test_the_sdist_installs_as_the_wheel_does(dist: Path, tmp_path: Path) -> None:
    """The files are those of the wheel, and the command is there."""
    pip = [sys.executable, "-m", "pip", "--quiet", "install", "--no-index", "--no-deps"]
    target = tmp_path / "there"
    done = subprocess.run(
        [*pip, "--no-build-isolation", "--no-compile", "--target", target, dist / SDIST],
        cwd=tmp_path,
        env=outside(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {str(each.relative_to(target)) for each in target.rglob("*") if each.is_file()}
    with zipfile.ZipFile(dist / WHEEL) as archive:
        of_wheel = {name for name in archive.namelist() if not name.startswith(NAME)}
    assert {name for name in found if name.startswith("exporter/")} == of_wheel
    assert "bin/openstack-image-exporter" in found


def test_the_bill_of_materials_is_the_lock(tmp_path: Path) -> None:
    """Every package that the exporter runs with is listed, with its version and its hashes."""
    if not (ROOT / ".venv-sbom" / ".made").exists():
        pytest.skip("the tool that makes it is not installed; `make sbom` installs it")
    subprocess.run(["make", "--silent", "sbom", f"DIST={tmp_path}"], cwd=ROOT, check=True)
    listed = json.loads((tmp_path / f"openstack-image-exporter-{__version__}.cdx.json").read_text())
    assert listed["bomFormat"] == "CycloneDX"
    assert listed["metadata"]["component"]["version"] == __version__
    parts = listed["components"]
    found = sorted((part["name"], part["version"]) for part in parts)
    assert found == sorted(pins("requirements.txt"))
    assert all(part["externalReferences"][0]["hashes"] for part in parts)
    assert {part["purl"].partition("/")[0] for part in parts} == {"pkg:pypi"}
