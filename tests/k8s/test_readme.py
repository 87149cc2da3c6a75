"""The examples of kustomize in k8s/README.md are rendered and checked."""

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
from tests.k8s.manifest import Manifest, of_kind, workloads
from tests.k8s.rendering import K8S, ROOT, rendered
from tests.support.documents import blocks, files, section

TEXT = section("k8s/README.md", "Install by kustomize")
OVERLAY, RELOAD, SCRAPER, SHARDS, DIGEST = blocks(TEXT, "yaml")
SECRET = {"clouds.yaml": "clouds: {}\n", "secure.yaml": "clouds: {}\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Create a user's overlay folder in a clone, with the README's first settings file."""
    for name in ("k8s", "dashboards"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "mycluster").mkdir()
    settings = files(section("README.md", "Set it up"))["exporter.yml"]
    (tmp_path / "mycluster/exporter.yml").write_text(settings)
    return tmp_path / "mycluster"


def write(folder: Path, overlay: str, more: str) -> None:
    """Write the overlay's kustomization, extended by the keys of ``more``."""
    kustomization = {**yaml.safe_load(overlay), **yaml.safe_load(more)}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))


def secret(kubectl: Path, folder: Path) -> Manifest:
    """Return the Secret that the README's command creates."""
    (line,) = re.findall(r"^(kubectl .* create secret .*(?:\n .*)*)", TEXT, re.M)
    for name, text in SECRET.items():
        (folder / name).write_text(text)
    argv = [str(kubectl), *shlex.split(line.replace("\\\n", ""))[1:], "--dry-run=client", "-oyaml"]
    ran = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=True)
    manifest: Manifest = yaml.safe_load(ran.stdout)
    return manifest


@pytest.mark.parametrize("overlay", ["single", "sharded"])
def test_overlay_of_the_readme_passes_all_checks(kubectl: Path, folder: Path, overlay: str) -> None:
    text = OVERLAY.replace("overlays/single", f"overlays/{overlay}")
    (folder / "kustomization.yaml").write_text(text)
    manifests = [*rendered(kubectl, folder), secret(kubectl, folder)]
    assert [problem for check in CHECKS for problem in check(manifests)] == []
    (workload,) = workloads(manifests)
    name = "registry.example.org/me/openstack-image-exporter"
    assert workload.containers[0]["image"] == f"{name}:{__version__}"
    config = workload.volumes["config"]["configMap"]["name"]
    (config_map,) = (manifest for manifest in manifests if manifest["metadata"]["name"] == config)
    assert config_map["data"]["exporter.yml"] == (folder / "exporter.yml").read_text()


def test_patch_of_the_readme_changes_the_number_of_shards(kubectl: Path, folder: Path) -> None:
    text = OVERLAY.replace("overlays/single", "overlays/sharded")
    write(folder, text, SHARDS)
    manifests = [*rendered(kubectl, folder), secret(kubectl, folder)]
    (workload,) = of_kind(manifests, "StatefulSet")
    assert workload["spec"]["replicas"] == 5
    assert [problem for check in CHECKS for problem in check(manifests)] == []


def test_digest_of_the_readme_replaces_the_tag(kubectl: Path, folder: Path) -> None:
    write(folder, OVERLAY, DIGEST)
    (workload,) = workloads(rendered(kubectl, folder))
    image = yaml.safe_load(DIGEST)["images"][0]
    assert workload.containers[0]["image"] == f"{image['newName']}@{image['digest']}"


def test_another_scraper_is_let_in_by_the_label_of_its_pods(kubectl: Path, folder: Path) -> None:
    write(folder, OVERLAY, SCRAPER)
    manifests = [*rendered(kubectl, folder), secret(kubectl, folder)]
    assert [problem for check in CHECKS for problem in check(manifests)] == []
    (policy,) = of_kind(manifests, "NetworkPolicy")
    (peer,) = policy["spec"]["ingress"][0]["from"]
    assert peer == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "vmagent"}},
    }


def test_settings_can_be_reloaded_without_a_rollout(kubectl: Path, folder: Path) -> None:
    write(folder, OVERLAY, RELOAD)
    manifests = [*rendered(kubectl, folder), secret(kubectl, folder)]
    assert [problem for check in CHECKS for problem in check(manifests)] == []
    (workload,) = workloads(manifests)
    assert workload.volumes["config"]["configMap"]["name"] == "openstack-image-exporter"
    args = [arg for arg in workload.containers[0]["args"] if not arg.startswith("--config.file=")]
    assert len(args) == len(workload.containers[0]["args"]) - 1
    assert parse(
        [*args, f"--config.file={folder / 'exporter.yml'}"], {}
    ).settings.config.reload_on_change


def test_readme_lists_every_overlay_and_component() -> None:
    listed = set(re.findall(r"^\| `((?:overlays|components)/[\w-]+)`", TEXT, re.M))
    internal = {"components/namespace"}
    folders = {
        str(path.parent.relative_to(K8S))
        for kind in ("overlays", "components")
        for path in K8S.glob(f"{kind}/*/kustomization.yaml")
    }
    assert listed == folders - internal
