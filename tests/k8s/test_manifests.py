"""Every combination of an overlay and components passes every check."""

import re
from pathlib import Path

import pytest
import yaml

from dashboards.generate.__main__ import FILES, HOME
from dashboards.generate.prometheusrule import RULES
from exporter import __version__
from exporter.config import parse
from tests.k8s.checks import CHECKS, Check
from tests.k8s.checks.schema import VERSIONS
from tests.k8s.checks.security import OLDEST_VERSION
from tests.k8s.manifest import Manifest, of_kind, title, workloads
from tests.k8s.rendering import COMBINATIONS, K8S, OVERLAYS, ROOT, combined, rendered

Combinations = dict[str, list[Manifest]]

COMMON = {
    "ConfigMap",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Secret",
    "Service",
    "ServiceAccount",
}
KINDS = {
    "single": {*COMMON, "Deployment", "Namespace"},
    "sharded": {*COMMON, "StatefulSet", "Namespace"},
    "openshift": {*COMMON, "Deployment", "Namespace"},
}


@pytest.mark.parametrize("name", COMBINATIONS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_combination_passes_the_check(combinations: Combinations, name: str, check: Check) -> None:
    assert [*check(combinations[name])] == []


@pytest.mark.parametrize("name", OVERLAYS)
def test_overlay_needs_no_operator(combinations: Combinations, name: str) -> None:
    assert {manifest["kind"] for manifest in combinations[name]} == KINDS[name]


@pytest.mark.parametrize("name", OVERLAYS)
def test_overlay_can_be_applied_unchanged(kubectl: Path, name: str) -> None:
    titles = {title(manifest) for manifest in rendered(kubectl, K8S / "overlays" / name)}
    assert "Namespace openstack-image-exporter" in titles


def test_changed_settings_roll_out(
    combinations: Combinations, kubectl: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "k8s"
    for path in (K8S / "base").iterdir():
        (changed / "base").mkdir(parents=True, exist_ok=True)
        text = path.read_text("utf-8")
        (changed / "base" / path.name).write_text(text.replace("interval: 60s", "interval: 30s"))
    names_before = {
        manifest["metadata"]["name"] for manifest in of_kind(combinations["single"], "ConfigMap")
    }
    manifests = rendered(kubectl, changed / "base")
    (after,) = of_kind(manifests, "ConfigMap")
    assert after["metadata"]["name"] not in names_before
    (workload,) = workloads(manifests)
    assert workload.volumes["config"]["configMap"]["name"] == after["metadata"]["name"]


def test_example_settings_are_valid_and_match_the_example_secret() -> None:
    settings = parse([f"--config.file={K8S / 'base/exporter.yml'}"], {}).settings
    secret = yaml.safe_load((K8S / "examples/secret.yaml").read_text("utf-8"))
    clouds = yaml.safe_load(secret["stringData"]["clouds.yaml"])["clouds"]
    assert {cloud.cloud for cloud in settings.clouds} <= clouds.keys()


def test_manifests_run_this_version(combinations: Combinations) -> None:
    for name in OVERLAYS:
        (workload,) = workloads(combinations[name])
        _, _, tag = workload.containers[0]["image"].partition(":")
        assert tag == __version__


def test_rules_use_the_job_of_the_service_monitor(combinations: Combinations) -> None:
    (monitor,) = of_kind(combinations["single with the operator"], "ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["honorLabels"]
    (relabeling,) = endpoint["relabelings"]
    assert relabeling["targetLabel"] == "job"
    assert f'job="{relabeling["replacement"]}"' in RULES.read_text("utf-8")


@pytest.mark.parametrize("namespace", ["openstack-image-exporter", "images"])
def test_alerts_have_the_namespace_of_the_exporter(
    kubectl: Path, tmp_path: Path, namespace: str
) -> None:
    manifests = combined(kubectl, tmp_path, "single", ["prometheus-operator"], namespace)
    (rule,) = of_kind(manifests, "PrometheusRule")
    assert rule["metadata"]["namespace"] == namespace
    labelled = {
        label
        for group in rule["spec"]["groups"]
        for rule in group["rules"]
        if (label := rule.get("labels", {}).get("namespace"))
    }
    assert labelled == {namespace}


def test_each_dashboard_has_a_labelled_config_map(combinations: Combinations) -> None:
    config_maps = [
        manifest
        for manifest in of_kind(combinations["sharded with the operator"], "ConfigMap")
        if manifest["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
    ]
    texts = sorted(text for config_map in config_maps for text in config_map["data"].values())
    assert texts == sorted((HOME / name).read_text("utf-8") for name in FILES)
    keys = [key for config_map in config_maps for key in config_map["data"]]
    assert len(set(keys)) == len(keys) == len(config_maps) == len(FILES)


def test_three_versions_of_kubernetes_are_validated() -> None:
    assert len(set(VERSIONS)) == 3


def test_every_pod_security_label_has_its_version() -> None:
    """Without it, Kubernetes takes the latest version, which an update of the cluster changes."""
    label = re.compile(r"pod-security\.kubernetes\.io/(enforce|warn|audit)(-version)?(?:=|: )(\S+)")
    files = [*K8S.rglob("*.yaml"), *K8S.rglob("*.md"), *K8S.rglob("*.tpl"), *K8S.rglob("*.txt")]
    files += [*ROOT.glob("*.md")]
    labelled = {
        str(file.relative_to(ROOT)): labels
        for file in files
        if (labels := label.findall(file.read_text("utf-8")))
    }
    assert set(labelled) == {"k8s/README.md", "k8s/components/namespace/namespace.yaml"}
    for labels in labelled.values():
        versions = {mode: value for mode, suffix, value in labels if suffix}
        assert versions == {mode: OLDEST_VERSION for mode, suffix, _ in labels if not suffix}
