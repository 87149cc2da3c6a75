"""Every combination of overlay and components passes every check."""

from pathlib import Path

import pytest
import yaml

from dashboards.generate.__main__ import FILES, HOME
from dashboards.generate.prometheusrule import RULES
from exporter import __version__
from exporter.config import parse
from tests.k8s.checks import CHECKS, Check
from tests.k8s.checks.schema import VERSIONS
from tests.k8s.manifest import Manifest, of_kind, title, workloads
from tests.k8s.rendering import COMBINATIONS, K8S, OVERLAYS, rendered

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
}


@pytest.mark.parametrize("name", COMBINATIONS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_passes(combinations: Combinations, name: str, check: Check) -> None:
    """No check finds a problem."""
    assert [*check(combinations[name])] == []


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_is_complete(combinations: Combinations, name: str) -> None:
    """Both overlays have all that the exporter needs, and nothing that needs an operator."""
    assert {each["kind"] for each in combinations[name]} == KINDS[name]


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_can_be_applied_as_it_is(kubectl: Path, name: str) -> None:
    """`kubectl kustomize` makes of the folder what was checked, without files from outside."""
    made = {title(each) for each in rendered(kubectl, K8S / "overlays" / name)}
    assert "Namespace openstack-image-exporter" in made


def test_changed_settings_roll_out(
    combinations: Combinations, kubectl: Path, tmp_path: Path
) -> None:
    """Other settings give the ConfigMap another name, in the pod too, and no object else."""
    changed = tmp_path / "k8s"
    for path in (K8S / "base").iterdir():
        (changed / "base").mkdir(parents=True, exist_ok=True)
        text = path.read_text("utf-8")
        (changed / "base" / path.name).write_text(text.replace("interval: 60s", "interval: 30s"))
    before = [each for each in combinations["single"] if each["kind"] == "ConfigMap"]
    made = rendered(kubectl, changed / "base")
    (after,) = of_kind(made, "ConfigMap")
    assert after["metadata"]["name"] not in {each["metadata"]["name"] for each in before}
    (workload,) = workloads(made)
    assert workload.volumes["config"]["configMap"]["name"] == after["metadata"]["name"]


def test_the_settings_are_good() -> None:
    """The exporter accepts the example settings, which sign in as the example Secret says."""
    settings = parse([f"--config.file={K8S / 'base/exporter.yml'}"], {}).settings
    secret = yaml.safe_load((K8S / "examples/secret.yaml").read_text("utf-8"))
    known = yaml.safe_load(secret["stringData"]["clouds.yaml"])["clouds"]
    assert {cloud.cloud for cloud in settings.clouds} <= known.keys()


def test_the_image_is_this_version(combinations: Combinations) -> None:
    """The manifests run the version that they come with."""
    for name in OVERLAYS:
        (workload,) = workloads(combinations[name])
        _, _, tag = workload.containers[0]["image"].partition(":")
        assert tag == __version__


def test_rules_are_about_what_is_scraped(combinations: Combinations) -> None:
    """The PrometheusRule holds the one rule file, and its job is the one that is scraped."""
    manifests = combinations["single with the operator"]
    (rule,) = of_kind(manifests, "PrometheusRule")
    (monitor,) = of_kind(manifests, "ServiceMonitor")
    assert rule["spec"] == yaml.safe_load(RULES.read_text("utf-8"))
    (endpoint,) = monitor["spec"]["endpoints"]
    (relabeling,) = endpoint["relabelings"]
    assert relabeling["targetLabel"] == "job"
    assert f'job="{relabeling["replacement"]}"' in RULES.read_text("utf-8")


def test_dashboards_are_the_ones_that_are_made(combinations: Combinations) -> None:
    """Each dashboard is in a ConfigMap of its own, with the label that Grafana looks for."""
    found = [
        each
        for each in of_kind(combinations["sharded with the operator"], "ConfigMap")
        if each["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
    ]
    texts = sorted(text for each in found for text in each["data"].values())
    assert texts == sorted((HOME / name).read_text("utf-8") for name in FILES)
    keys = [key for each in found for key in each["data"]]
    assert len(set(keys)) == len(keys) == len(found) == len(FILES)


def test_three_versions_are_validated() -> None:
    """Schemas of three versions of Kubernetes are asked."""
    assert len(set(VERSIONS)) == 3
