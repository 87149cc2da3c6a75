"""What is installed: the locks and the package's own description agree."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
RUN = [Requirement(each) for each in PROJECT["project"]["dependencies"]]
DEV = [Requirement(each) for each in PROJECT["dependency-groups"]["dev"]]
WHEEL = [Requirement(each) for each in PROJECT["dependency-groups"]["wheel"]]
LOCKS = ["requirements.txt", "requirements-dev.txt", "requirements-build.txt"]
OTHER_LOCKS = [
    "requirements-sbom.txt",
    "tests/openstack/requirements.txt",
    "tests/k8s/requirements.txt",
]


def pins(name: str) -> list[tuple[str, str]]:
    """Each package and version of a lock; one may stand twice, for different Pythons."""
    text = (ROOT / name).read_text("utf-8")
    return re.findall(r"^([a-z0-9-]+)(?:\[\S+\])?==(\S+)", text, re.MULTILINE)


def locked(name: str) -> dict[str, str]:
    """The version of each package that a lock holds."""
    return dict(pins(name))


@pytest.mark.parametrize(
    ("name", "wanted"), [*zip(LOCKS, [RUN, RUN + DEV, WHEEL], strict=True)], ids=LOCKS
)
def test_locks_hold_what_the_package_asks_for(name: str, wanted: list[Requirement]) -> None:
    """Every requirement is locked, at a version that it allows."""
    versions = locked(name)
    for each in wanted:
        assert each.specifier.contains(versions[canonicalize_name(each.name)]), each


def test_the_wheel_is_made_by_what_is_locked() -> None:
    """What a lock holds for making the wheel is what the package asks for to be made."""
    assert [str(each) for each in WHEEL] == PROJECT["build-system"]["requires"]


def test_tests_run_with_the_versions_that_run() -> None:
    """What the tests run with holds all that is needed at run time, in the same versions."""
    assert locked(LOCKS[0]).items() <= locked(LOCKS[1]).items()


@pytest.mark.parametrize("name", [*LOCKS, *OTHER_LOCKS])
def test_locks_name_no_place(name: str) -> None:
    """Every package has hashes, and nothing says from which index or folder it comes."""
    text = (ROOT / name).read_text("utf-8")
    packages = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(packages) == len(pins(name))
    assert all("--hash=sha256:" in each for each in packages)
    assert not re.search(r"://|^--|^-|file:", text, re.MULTILINE)
