"""Tests of k8s/pin.py: the image by its digest."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.k8s.manifest import workloads
from tests.k8s.rendering import K8S, rendered

DIGEST = f"sha256:{'0123456789abcdef' * 4}"
NAME = "ghcr.example.com:5000/team/exporter"
ACCEPTED = "accepted: REGISTRY/NAME:TAG or REGISTRY/NAME:TAG@sha256:…"
SCRIPT = """\
#!/bin/sh
test "$*" = "{words}" && echo '{said}' || {{ echo "no such image" >&2; exit 1; }}
"""
ASKED = {
    "docker": (
        "buildx imagetools inspect --format={{json .Manifest}} IMAGE",
        {"mediaType": "x", "digest": DIGEST, "manifests": [{"digest": f"sha256:{'0' * 64}"}]},
    ),
    "skopeo": ("inspect --format={{json .}} docker://IMAGE", {"Name": "x", "Digest": DIGEST}),
}


@pytest.fixture
def k8s(tmp_path: Path) -> Path:
    """A copy of the folder, to be changed."""
    return Path(shutil.copytree(K8S, tmp_path / "k8s"))


def pin(k8s: Path, image: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What the program says, where only the programs of that folder are installed."""
    return subprocess.run(
        [sys.executable, k8s / "pin.py", image],
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def kustomization(k8s: Path) -> str:
    """The text of the one file that names the image."""
    return (k8s / "base/kustomization.yaml").read_text("utf-8")


def test_the_digest_that_is_given_is_used(k8s: Path, kubectl: Path, tmp_path: Path) -> None:
    """The overlays run the image by its digest, also when it is pinned again; the rest stays."""
    before = kustomization(k8s)
    for tag in ("0.2.0", "0.3.0"):
        ran = pin(k8s, f"{NAME}:{tag}@{DIGEST}", tmp_path)
        assert (ran.returncode, ran.stdout) == (0, f"{NAME}:{tag} is {DIGEST}\n")
        assert f"digest: {DIGEST} # {tag}\n" in kustomization(k8s)
        for overlay in ("single", "sharded"):
            (workload,) = workloads(rendered(kubectl, k8s / "overlays" / overlay))
            assert workload.containers[0]["image"] == f"{NAME}@{DIGEST}"
    changed = set(kustomization(k8s).splitlines()) ^ set(before.splitlines())
    assert len(changed) == 4


@pytest.mark.parametrize("program", ASKED)
def test_the_registry_is_asked_for_the_digest(k8s: Path, tmp_path: Path, program: str) -> None:
    """Without a digest docker or skopeo is asked, whichever is there."""
    words, said = ASKED[program]
    script = tmp_path / program
    asked = words.replace("IMAGE", f"{NAME}:1.0")
    script.write_text(SCRIPT.format(words=asked, said=json.dumps(said)))
    script.chmod(0o755)
    assert pin(k8s, f"{NAME}:1.0", tmp_path).returncode == 0
    assert f"digest: {DIGEST} # 1.0\n" in kustomization(k8s)
    ran = pin(k8s, f"{NAME}:2.0", tmp_path)
    assert ran.stderr == f"{program} does not know the digest of {NAME}:2.0: no such image\n"
    assert ran.returncode == 2


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("exporter", f"IMAGE=exporter: {ACCEPTED}"),
        (
            f"{NAME}:1.0@sha256:12",
            f"IMAGE={NAME}:1.0@sha256:12: {ACCEPTED}",
        ),
        (
            f"{NAME}:1.0",
            "there is no docker and no skopeo to ask the registry with; "
            f"give the digest yourself: IMAGE={NAME}:1.0@sha256:…",
        ),
    ],
)
def test_what_cannot_be_pinned_changes_nothing(
    k8s: Path, tmp_path: Path, image: str, said: str
) -> None:
    """A mistake is said in one line, and the manifests stay."""
    before = kustomization(k8s)
    ran = pin(k8s, image, tmp_path)
    assert (ran.returncode, ran.stderr) == (2, f"{said}\n")
    assert kustomization(k8s) == before
