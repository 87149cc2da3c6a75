"""What README.md shows of Kubernetes is run: the overlay, the Secret, other shards."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from exporter import __version__
from exporter.config import parse
from tests.k8s.checks import CHECKS
from tests.k8s.checks.schema import VERSIONS
from tests.k8s.manifest import Manifest, of_kind, workloads
from tests.k8s.rendering import K8S, ROOT, rendered
from tests.test_readme import blocks, files, section

OVERLAY, RELOAD, SHARDS = blocks(section("Kubernetes"), "yaml")
SECRET = {"clouds.yaml": "clouds: {}\n", "secure.yaml": "clouds: {}\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of one's own in a clone, with the settings that the README begins with."""
    for name in ("k8s", "dashboards"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "mycluster").mkdir()
    settings = files(section("Set it up"))["exporter.yml"]
    (tmp_path / "mycluster/exporter.yml").write_text(settings)
    return tmp_path / "mycluster"


def write(folder: Path, overlay: str, more: str) -> None:
    """The kustomization of the overlay with more in it."""
    made = {**yaml.safe_load(overlay), **yaml.safe_load(more)}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(made))


def secret(kubectl: Path, folder: Path) -> Manifest:
    """The Secret that the command shown makes."""
    (line,) = re.findall(r"^(kubectl .* create secret .*(?:\n .*)*)", section("Kubernetes"), re.M)
    for name, text in SECRET.items():
        (folder / name).write_text(text)
    argv = [str(kubectl), *shlex.split(line.replace("\\\n", ""))[1:], "--dry-run=client", "-oyaml"]
    ran = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=True)
    made: Manifest = yaml.safe_load(ran.stdout)
    return made


@pytest.mark.parametrize("overlay", ["single", "sharded"])
def test_the_overlay_shown_passes(kubectl: Path, folder: Path, overlay: str) -> None:
    """With the Secret that the command shown makes, no check finds a problem."""
    text = OVERLAY.replace("overlays/single", f"overlays/{overlay}")
    (folder / "kustomization.yaml").write_text(text)
    manifests = [*rendered(kubectl, folder), secret(kubectl, folder)]
    assert [problem for check in CHECKS for problem in check(manifests)] == []
    (workload,) = workloads(manifests)
    name = "registry.example.org/me/openstack-image-exporter"
    assert workload.containers[0]["image"] == f"{name}:{__version__}"
    config = workload.volumes["config"]["configMap"]["name"]
    (used,) = (each for each in manifests if each["metadata"]["name"] == config)
    assert used["data"]["exporter.yml"] == (folder / "exporter.yml").read_text()


def test_another_number_of_shards(kubectl: Path, folder: Path) -> None:
    """The patch shown changes the number of shards in both places."""
    text = OVERLAY.replace("overlays/single", "overlays/sharded")
    write(folder, text, SHARDS)
    manifests = [*rendered(kubectl, folder), secret(kubectl, folder)]
    (workload,) = of_kind(manifests, "StatefulSet")
    assert workload["spec"]["replicas"] == 5
    assert [problem for check in CHECKS for problem in check(manifests)] == []


def test_settings_can_be_reloaded(kubectl: Path, folder: Path) -> None:
    """With what is shown the ConfigMap keeps its name, and the exporter looks at the file."""
    write(folder, OVERLAY, RELOAD)
    manifests = [*rendered(kubectl, folder), secret(kubectl, folder)]
    assert [problem for check in CHECKS for problem in check(manifests)] == []
    (workload,) = workloads(manifests)
    assert workload.volumes["config"]["configMap"]["name"] == "openstack-image-exporter"
    args = [*workload.containers[0]["args"], f"--config.file={folder / 'exporter.yml'}"]
    assert parse(args, {}).settings.config.reload_on_change


def test_versions_are_those_that_are_validated() -> None:
    """The README names the oldest and the newest version whose schemas are asked."""
    assert f"Kubernetes {VERSIONS[0]} to {VERSIONS[-1]}" in section("Kubernetes").replace("\n", " ")


def test_what_is_named_is_there() -> None:
    """Every overlay and component has its row, and every row its folder."""
    named = set(re.findall(r"^\| `((?:overlays|components)/[\w-]+)`", section("Kubernetes"), re.M))
    inner = {"components/namespace"}
    there = {
        str(path.parent.relative_to(K8S))
        for kind in ("overlays", "components")
        for path in K8S.glob(f"{kind}/*/kustomization.yaml")
    }
    assert named == there - inner
