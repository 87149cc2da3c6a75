"""Render the overlays and components with ``kubectl kustomize``."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

from tests.k8s.manifest import Manifest

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
PLAIN = ("single", "sharded")
OVERLAYS = (*PLAIN, "openshift")
OPERATOR = ("prometheus-operator", "grafana")
COMBINATIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    **{overlay: (overlay, ()) for overlay in OVERLAYS},
    **{f"{overlay} with the operator": (overlay, OPERATOR) for overlay in PLAIN},
    **{f"{overlay} with TLS": (overlay, (*OPERATOR, "tls")) for overlay in PLAIN},
    "single with TLS alone": ("single", ("tls",)),
    "single with grafana-operator": ("single", ("grafana-operator",)),
    "sharded on OpenShift with TLS": ("sharded", ("openshift", "tls")),
}
"""The overlay and components of each combination that the checks see."""


def rendered(kubectl: Path, folder: Path) -> list[Manifest]:
    """Return the manifests of the kustomization in ``folder``."""
    command = [str(kubectl), "kustomize", str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return [manifest for manifest in yaml.load_all(ran.stdout, yaml.CSafeLoader) if manifest]


def combined(
    kubectl: Path,
    folder: Path,
    overlay: str,
    components: Sequence[str],
    namespace: str = "openstack-image-exporter",
) -> list[Manifest]:
    """Return the manifests of an overlay with components, and the example manifests."""
    k8s = Path(os.path.relpath(K8S, folder.resolve()))
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [str(k8s / "overlays" / overlay)],
        "components": [str(k8s / "components" / name) for name in components],
        "namespace": namespace,
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    examples = (yaml.safe_load(path.read_text("utf-8")) for path in K8S.glob("examples/*.yaml"))
    return [*rendered(kubectl, folder), *examples]
