"""The examples of k8s/README.md are rendered and checked, and the table of values is current."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.k8s.chart import RELEASE, Engine
from tests.k8s.chart_table import README, VALUES, documented, rendered
from tests.k8s.checks import CHECKS
from tests.k8s.checks.schema import VERSIONS, kubernetes, operators
from tests.k8s.manifest import Manifest, of_kind, workloads
from tests.k8s.rendering import K8S, ROOT
from tests.k8s.rendering import rendered as kustomized
from tests.support.documents import blocks, section

TEXT = (K8S / "README.md").read_text("utf-8")
KUSTOMIZE = section("k8s/README.md", "Install by kustomize")
"""``test_readme`` tests its examples."""
EXAMPLES = blocks(TEXT.replace(KUSTOMIZE, ""), "yaml")
CHART_VALUES = [yaml.safe_load(code) for code in EXAMPLES if code.startswith("# values.yaml")]
OVERLAYS = [code for code in EXAMPLES if code.startswith("# kustomization.yaml")]
LABEL = {"release": "kube-prometheus-stack"}


def secrets() -> list[Manifest]:
    """Return the example Secrets."""
    return [yaml.safe_load(path.read_text("utf-8")) for path in K8S.glob("examples/*.yaml")]


def kustomization(kubectl: Path, folder: Path, code: str) -> list[Manifest]:
    """Return the manifests of an example in a folder beside ``k8s``."""
    for name in ("k8s", "dashboards"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "mycluster").mkdir()
    (folder / "mycluster/kustomization.yaml").write_text(code)
    return kustomized(kubectl, folder / "mycluster")


def test_every_example_names_its_file() -> None:
    assert len(CHART_VALUES) + len(OVERLAYS) == len(EXAMPLES)


@pytest.mark.parametrize("values", CHART_VALUES, ids=map("-".join, CHART_VALUES))
def test_values_of_the_readme_render_valid_objects(
    engine: Engine, values: Mapping[str, Any]
) -> None:
    manifests = engine.render(**values)
    assert [*kubernetes(manifests), *operators(manifests)] == []


def test_values_with_all_features_are_used(engine: Engine) -> None:
    manifests = engine.render(**CHART_VALUES[1])
    for monitoring in of_kind(manifests, "ServiceMonitor", "PrometheusRule"):
        assert monitoring["metadata"]["labels"].items() >= LABEL.items()
    (workload,) = workloads(manifests)
    assert workload.manifest["spec"]["replicas"] == 3
    (policy,) = of_kind(manifests, "NetworkPolicy")
    assert policy["spec"]["egress"][-1]["ports"] == [{"port": 3128, "protocol": "TCP"}]


@pytest.mark.parametrize("code", OVERLAYS, ids=["openshift", "label", "grafana-operator"])
def test_overlay_of_the_readme_passes_all_checks(kubectl: Path, tmp_path: Path, code: str) -> None:
    manifests = [*kustomization(kubectl, tmp_path, code), *secrets()]
    assert [problem for check in CHECKS for problem in check(manifests)] == []
    for monitoring in of_kind(manifests, "ServiceMonitor", "PrometheusRule"):
        assert monitoring["metadata"]["labels"].items() >= LABEL.items()
    for dashboard in of_kind(manifests, "GrafanaDashboard"):
        assert dashboard["spec"]["instanceSelector"] == {"matchLabels": {"team": "platform"}}
    for workload in workloads(manifests):
        is_on_openshift = "components/openshift" in code
        assert ("runAsUser" not in workload.pod["securityContext"]) == is_on_openshift


def test_label_for_kube_prometheus_stack_takes_six_lines() -> None:
    (code,) = [code for code in OVERLAYS if "kube-prometheus-stack" in code]
    assert len(code.partition("patches:\n")[2].splitlines()) + 1 == 6


def test_command_installs_the_chart_under_the_name_of_the_secret() -> None:
    (line,) = re.findall(r"^helm install .*$", TEXT, re.MULTILINE)
    _, _, release, chart, *options = shlex.split(line)
    assert release == RELEASE
    assert (ROOT / chart / "Chart.yaml").is_file()
    assert options == ["--namespace", RELEASE, "-f", "values.yaml"]
    assert f"create secret generic {RELEASE}-clouds" in TEXT


def test_readme_names_the_validated_versions_of_kubernetes() -> None:
    versions = f"{VERSIONS[0]} to {VERSIONS[-1]}"
    assert f"Kubernetes {versions}" in TEXT
    compatibility = section("README.md", "Compatibility")
    assert f"| Kubernetes | {versions}, whose schemas the objects satisfy." in compatibility
    chart = yaml.safe_load((K8S / "chart/Chart.yaml").read_text("utf-8"))
    assert chart["kubeVersion"] == f">={VERSIONS[0]}.0-0"


def test_table_of_values_is_up_to_date() -> None:
    text = README.read_text("utf-8")
    assert rendered(text) == text, "k8s/chart/README.md is stale: make readme"


def test_every_value_is_documented() -> None:
    text = VALUES.read_text("utf-8")
    keys = {value.key for value in documented(text)}

    def undocumented(values: Mapping[str, Any], prefix: str) -> list[str]:
        missing = {name: value for name, value in values.items() if f"{prefix}{name}" not in keys}
        return [
            key
            for name, value in missing.items()
            for key in (
                undocumented(value, f"{prefix}{name}.")
                if isinstance(value, dict)
                else [f"{prefix}{name}"]
            )
        ]

    assert undocumented(yaml.safe_load(text), "") == []
