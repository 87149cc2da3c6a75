"""Wheel and sdist: built reproducibly, installed with the locked packages only, and run."""

import json
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
BUILD_TIME = "1764000000"
GENERATED = {"PKG-INFO"}
"""Files that only an sdist has."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def files() -> list[str]:
    """Return the files of the clone, including those not committed yet."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is not a clone of the repository")
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def build_packages(folder: Path, files: list[str], mode: int) -> Path:
    """Build wheel and sdist from a copy of the files with this mode; return their folder."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
        executable = (ROOT / name).stat().st_mode & 0o100
        (folder / name).chmod(mode | executable)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation"],
        cwd=folder,
        env={**environment(folder), "SOURCE_DATE_EPOCH": BUILD_TIME, "PYTHONPATH": ""},
        capture_output=True,
        check=True,
    )
    return folder / "dist"


@pytest.fixture(scope="session")
def dist(files: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel and an sdist."""
    return build_packages(tmp_path_factory.mktemp("one"), files, 0o644)


@pytest.fixture(scope="session")
def dependencies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a folder with the packages of the runtime lock, and no others."""
    folder = tmp_path_factory.mktemp("dependencies")
    for name in locked("requirements.txt"):
        try:
            package = distribution(name)
        except ModuleNotFoundError:
            # The package is for another Python or another system.
            continue
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(str(package.locate_file(top)))
    return folder


@pytest.fixture(scope="session")
def installed(dist: Path, dependencies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel in an environment of its own; return the program."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder)
    python = str(folder / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "--quiet", "install"]
    subprocess.run([*pip, "--no-index", "--no-deps", str(dist / WHEEL)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{dependencies}\n")
    return folder / "bin" / "openstack-image-exporter"


def run_installed(program: Path, folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run the installed program outside of the clone."""
    return subprocess.run(
        [program, *argv],
        cwd=folder,
        env=environment_without_clone(folder),
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )


def environment_without_clone(folder: Path) -> Mapping[str, str]:
    """Return environment variables that do not lead to the clone."""
    return {key: value for key, value in environment(folder).items() if key != "PYTHONPATH"}


def test_builds_are_reproducible(dist: Path, files: list[str], tmp_path: Path) -> None:
    rebuilt = build_packages(tmp_path, files, 0o600)
    assert {path.name for path in dist.iterdir()} == {WHEEL, SDIST}
    for name in (WHEEL, SDIST):
        assert (dist / name).read_bytes() == (rebuilt / name).read_bytes()


def test_sdist_contains_every_file_of_the_clone(dist: Path, files: list[str]) -> None:
    """With tests, locks, rules and manifests, everything can be checked and built from it."""
    with tarfile.open(dist / SDIST) as archive:
        names = {name.removeprefix(f"{NAME}/") for name in archive.getnames()}
        assert archive.getmember(f"{NAME}/.ci/run").mode & 0o100
    assert names == {*files, *GENERATED}


def test_wheel_contains_the_package_and_nothing_else(dist: Path, files: list[str]) -> None:
    with zipfile.ZipFile(dist / WHEEL) as archive:
        names = set(archive.namelist())
        metadata = archive.read(f"{NAME}.dist-info/METADATA").decode("utf-8")
    packaged = {name for name in names if not name.startswith(f"{NAME}.dist-info/")}
    assert packaged == {name for name in files if name.startswith("exporter/")}
    assert f"{NAME}.dist-info/licenses/LICENSE" in names
    assert f"\nVersion: {__version__}\n" in metadata


def test_installed_program_prints_the_package_version(installed: Path, tmp_path: Path) -> None:
    process = run_installed(installed, tmp_path, "--version")
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout == f"openstack-image-exporter {__version__}\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert "version" in project["dynamic"]


def test_installed_program_reports_invalid_settings(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "exporter.yml").write_text("clouds: [{name: a, images: [b/c]}]")
    process = run_installed(installed, tmp_path, "check", "--config.file=exporter.yml")
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr.startswith("exporter.yml: clouds[0].images[0]: 'b/c' is not an image ID")


@contextmanager
def demo(program: Path, folder: Path) -> Iterator[Program]:
    """Run the demo until the block ends."""
    out, err = folder / "stdout", folder / "stderr"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [str(program), "demo", "--web.listen-address=127.0.0.1:0"],
            cwd=folder,
            env=environment_without_clone(folder),
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


def test_installed_demo_serves_metrics_and_page(installed: Path, tmp_path: Path) -> None:
    """The templates of the page are in the wheel."""
    with demo(installed, tmp_path) as program:
        wait_until(
            lambda: program.metrics().value("openstack_image_exists", image="golden-base") == 1
        )
        status, page = program.page("/")
        assert status == 200
        assert "golden-base" in page


def test_sdist_installs_the_same_files_as_the_wheel(dist: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "install", "--no-index", "--no-deps"]
    target = tmp_path / "target"
    process = subprocess.run(
        [*pip, "--no-build-isolation", "--no-compile", "--target", target, dist / SDIST],
        cwd=tmp_path,
        env=environment_without_clone(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    names = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    with zipfile.ZipFile(dist / WHEEL) as archive:
        wheel_names = {name for name in archive.namelist() if not name.startswith(NAME)}
    assert {name for name in names if name.startswith("exporter/")} == wheel_names
    assert "bin/openstack-image-exporter" in names


def test_bill_of_materials_lists_the_packages_of_the_lock(tmp_path: Path) -> None:
    if not (ROOT / ".venv-sbom" / ".made").exists():
        pytest.skip("cyclonedx-py is not installed; `make sbom` installs it")
    subprocess.run(["make", "--silent", "sbom", f"DIST={tmp_path}"], cwd=ROOT, check=True)
    listed = json.loads((tmp_path / f"openstack-image-exporter-{__version__}.cdx.json").read_text())
    assert listed["bomFormat"] == "CycloneDX"
    assert listed["metadata"]["component"]["version"] == __version__
    components = listed["components"]
    versions = sorted((component["name"], component["version"]) for component in components)
    assert versions == sorted(pins("requirements.txt"))
    assert all(component["externalReferences"][0]["hashes"] for component in components)
    assert {component["purl"].partition("/")[0] for component in components} == {"pkg:pypi"}
