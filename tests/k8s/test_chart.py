"""The Helm chart renders the objects of the overlays and components, and passes their checks."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from exporter import __version__
from exporter.config import parse
from exporter.config.types import MOST_SHARDS
from tests.k8s.chart import CHART, NOTES, RELEASE, ChartError, Engine
from tests.k8s.chart_schema import FILE, alert_names, rendered
from tests.k8s.checks import CHECKS
from tests.k8s.checks.schema import kubernetes
from tests.k8s.manifest import Manifest, of_kind, workloads
from tests.k8s.rendering import COMBINATIONS

Values = Mapping[str, Any]

OPERATOR: Values = {
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "dashboards": {"enabled": True},
}
TLS: Values = {"tls": {"enabled": True}}
SHARDED: Values = {"shards": 3}
GRAFANA_OPERATOR: Values = {"dashboards": {"enabled": True, "grafanaOperator": {"enabled": True}}}

SAME: dict[str, Values] = {
    "single": {},
    "sharded": SHARDED,
    "openshift": {"openshift": True},
    "single with the operator": OPERATOR,
    "sharded with the operator": {**SHARDED, **OPERATOR},
    "single with TLS": {**OPERATOR, **TLS},
    "sharded with TLS": {**SHARDED, **OPERATOR, **TLS},
    "single with TLS alone": TLS,
    "single with grafana-operator": GRAFANA_OPERATOR,
    "sharded on OpenShift with TLS": {**SHARDED, **TLS, "openshift": True},
}
"""Values of the chart with which it renders the same as kustomize."""

OF_HELM = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
}
HASH = re.compile(rf"^({RELEASE}(-web)?)-[a-z0-9]{{10}}$")
CLOUDS = {"clouds": {"mycloud": {"auth_type": "none", "region_name": "on"}}}
RELABELING = {"targetLabel": "region", "replacement": "no"}
SIDECAR = {"name": "a", "image": "registry.example.org/proxy:1.2.3", "args": ["{{ . }}"]}
EXTRA = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "on"}, "data": {"a": "{{"}}
OF_POD = {
    "runtimeClassName": "on",
    "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["keystone.example.org"]}],
    "dnsPolicy": "None",
    "dnsConfig": {"nameservers": ["192.0.2.53"]},
}
"""Values of the chart that are fields of the pod."""

REFUSED: dict[str, tuple[Values, str]] = {
    "unknown key": ({"replicaCount": 2}, "additional properties 'replicaCount' not allowed"),
    "unknown nested key": ({"tls": {"secret": "a"}}, "at '/tls': additional properties"),
    "text as number": ({"shards": "3"}, "at '/shards': got string, want integer"),
    "no shard": ({"shards": 0}, "at '/shards': minimum"),
    "replicas of shards": ({"shards": 3, "replicas": 2}, "at '/replicas': value must be 1"),
    "two secrets": (
        {"credentials": {"existingSecret": "mine", "clouds": CLOUDS}},
        "at '/credentials/clouds'",
    ),
    "tag as number": ({"image": {"tag": 1.2}}, "at '/image/tag': got number, want string"),
    "tag as digest": ({"image": {"digest": "latest"}}, "at '/image/digest'"),
    "misspelt severity": ({"prometheusRule": {"severities": {"crit": "a"}}}, "'crit' not allowed"),
    "resource as list": ({"resources": []}, "at '/resources': got array, want object"),
    "character that YAML does not allow": ({"config": {"a": ["\x7f"]}}, "at '/config/a/0'"),
    "host path": (
        {"extraVolumes": [{"name": "a", "hostPath": {"path": "/"}}]},
        "additional properties 'hostPath' not allowed",
    ),
    "dashboards of the operator alone": (
        {"dashboards": {"grafanaOperator": {"enabled": True}}},
        "at '/dashboards/enabled': value must be true",
    ),
    "unknown alert": (
        {"prometheusRule": {"disabled": ["OpenStackImageVanished"]}},
        "at '/prometheusRule/disabled/0'",
    ),
    "disruption of nothing": (
        {"podDisruptionBudget": {"maxUnavailable": 0}},
        "at '/podDisruptionBudget/maxUnavailable'",
    ),
}


def complete(manifests: list[Manifest], combinations: dict[str, list[Manifest]]) -> list[Manifest]:
    """Add what the chart does not create: the namespace, and Secrets of the user."""
    own = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests}
    others = of_kind(combinations["single"], "Namespace", "Secret")
    return [
        *manifests,
        *(other for other in others if (other["kind"], other["metadata"]["name"]) not in own),
    ]


def normalized(node: Any) -> Any:
    """Remove what only one of Helm and kustomize writes: their labels, and hashes of settings."""
    if isinstance(node, list):
        return [normalized(item) for item in node]
    if isinstance(node, str):
        return HASH.sub(r"\1", node)
    if not isinstance(node, dict):
        return node
    fields = {
        key: normalized(value)
        for key, value in node.items()
        if key not in OF_HELM and not key.startswith("checksum/")
    }
    fields = {key: value for key, value in fields.items() if key != "annotations" or value}
    if isinstance(data := fields.get("data"), dict):
        fields["data"] = {
            key: yaml.safe_load(text) if key.endswith(".yml") else text
            for key, text in data.items()
        }
    return fields


def by_title(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Return normalized manifests by kind and name, without what the chart does not create."""
    plain = [normalized(manifest) for manifest in manifests]
    for manifest in plain:
        # ConfigMaps of kustomize have no labels.
        labels = manifest["metadata"].pop("labels", {})
        manifest["metadata"]["labels"] = {**labels, "app.kubernetes.io/name": RELEASE}
    return {
        f"{manifest['kind']} {manifest['metadata']['name']}": manifest
        for manifest in plain
        if manifest["kind"] not in {"Namespace", "Secret"}
    }


@pytest.fixture(scope="module")
def everything(engine: Engine) -> list[Manifest]:
    """Render the chart with a value for everything that the defaults leave out."""
    return engine.render(
        commonLabels={"team": "platform"},
        image={"registry": "registry.example.org", "digest": f"sha256:{'0a' * 32}"},
        imagePullSecrets=[{"name": "registry"}],
        shards=2,
        config={"interval": "30s", "clouds": [{"name": "a", "images": [{"id": "{{ . }}"}]}]},
        reloadOnChange=True,
        credentials={"clouds": CLOUDS, "secure": CLOUDS},
        extraArgs=["--log.level=debug"],
        extraEnv=[{"name": "NO_PROXY", "value": "on"}],
        extraVolumes=[{"name": "ca", "configMap": {"name": f"{RELEASE}-web"}}],
        extraVolumeMounts=[{"name": "ca", "mountPath": "/etc/ca", "readOnly": True}],
        resources={"limits": {"memory": "1Gi"}},
        nodeSelector={"disk": "on"},
        tolerations=[{"key": "spot", "operator": "Exists"}],
        affinity={"nodeAffinity": {}},
        priorityClassName="high",
        podAnnotations={"example.com/paused": "no"},
        podLabels={"app.kubernetes.io/name": "another", "tier": "gold"},
        serviceAccount={"name": "mine", "annotations": {"a": "b"}},
        service={"annotations": {"a": "b"}, "labels": {"c": "d"}},
        webConfig={"basic_auth_users": {"prometheus": "$2y$10$abc"}},
        networkPolicy={"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]},
        serviceMonitor={
            "enabled": True,
            "namespace": "monitoring",
            "labels": {"release": "kube-prometheus-stack"},
            "relabelings": [RELABELING],
            "metricRelabelings": [RELABELING],
            "params": {"cloud": ["mycloud", "on"]},
            "sampleLimit": 100000,
            "targetLabels": ["tier"],
            "basicAuth": {"username": {"name": "a", "key": "user"}},
        },
        prometheusRule={
            "enabled": True,
            "additionalLabels": {"release": "kube-prometheus-stack"},
            "additionalRuleLabels": {"team": "platform", "severity": "not this"},
            "severities": {"critical": "P1"},
            "disabled": ["OpenStackImageBecamePublic"],
            "runbookUrl": "https://wiki.example.org/images/",
        },
        dashboards={"enabled": True, "annotations": {"grafana_folder": "OpenStack"}},
    )


def only(manifests: list[Manifest], kind: str) -> Manifest:
    (manifest,) = of_kind(manifests, kind)
    return manifest


@pytest.mark.parametrize("name", SAME)
def test_chart_renders_the_same_as_kustomize_and_passes_all_checks(
    engine: Engine, combinations: dict[str, list[Manifest]], name: str
) -> None:
    manifests = engine.render(**SAME[name])
    assert by_title(manifests) == by_title(combinations[name])
    all_manifests = complete(manifests, combinations)
    assert [problem for check in CHECKS for problem in check(all_manifests)] == []


def test_every_combination_of_kustomize_has_values_of_the_chart() -> None:
    assert SAME.keys() == COMBINATIONS.keys()


def test_chart_passes_lint(engine: Engine) -> None:
    assert engine.lint["errors"] == []
    assert {message["error"] for message in engine.lint["messages"]} <= {"icon is recommended"}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_values_are_refused_by_name(engine: Engine, case: str) -> None:
    values, message = REFUSED[case]
    with pytest.raises(ChartError, match=re.escape(message)):
        engine.files(values)


def test_everything_together_passes_all_checks(
    everything: list[Manifest], combinations: dict[str, list[Manifest]]
) -> None:
    manifests = [
        manifest for manifest in everything if manifest["metadata"]["namespace"] != "monitoring"
    ]
    all_manifests = complete(manifests, combinations)
    assert [problem for check in CHECKS for problem in check(all_manifests)] == []


def test_values_of_the_pod_reach_it(everything: list[Manifest]) -> None:
    (workload,) = workloads(everything)
    (container,) = workload.containers
    assert container["image"] == f"registry.example.org/{RELEASE}@sha256:{'0a' * 32}"
    assert container["args"][-2:] == ["--config.reload-on-change", "--log.level=debug"]
    assert container["env"][1]["value"] == "2"
    assert container["env"][-1] == {"name": "NO_PROXY", "value": "on"}
    assert container["resources"]["limits"] == {"memory": "1Gi"}
    assert container["resources"]["requests"] == {"cpu": "50m", "memory": "128Mi"}
    assert {"name": "ca", "mountPath": "/etc/ca", "readOnly": True} in container["volumeMounts"]
    assert workload.pod["imagePullSecrets"] == [{"name": "registry"}]
    assert workload.pod["nodeSelector"] == {"disk": "on"}
    assert workload.pod["tolerations"] == [{"key": "spot", "operator": "Exists"}]
    assert workload.pod["affinity"] == {"nodeAffinity": {}}
    assert workload.pod["priorityClassName"] == "high"
    assert workload.pod["serviceAccountName"] == "mine"
    annotations = workload.manifest["spec"]["template"]["metadata"]["annotations"]
    assert annotations["example.com/paused"] == "no"
    assert "checksum/clouds" in annotations
    assert "checksum/config" not in annotations
    assert workload.labels.items() >= {"team": "platform", "tier": "gold"}.items()
    assert workload.labels["app.kubernetes.io/name"] == RELEASE


def test_values_for_the_surroundings_of_the_exporter_reach_the_objects(engine: Engine) -> None:
    manifests = engine.render(
        namespaceOverride="images",
        annotations={"reloader.example.com/auto": "yes"},
        revisionHistoryLimit=0,
        extraContainers=[SIDECAR],
        extraInitContainers=[{**SIDECAR, "name": "before"}],
        extraManifests=[EXTRA, EXTRA],
        **OF_POD,
    )
    assert [*kubernetes(manifests)] == []
    (workload,) = workloads(manifests)
    assert workload.pod.items() >= OF_POD.items()
    assert [container["name"] for container in workload.containers] == ["before", "exporter", "a"]
    assert workload.manifest["spec"]["revisionHistoryLimit"] == 0
    assert workload.manifest["metadata"]["annotations"] == {"reloader.example.com/auto": "yes"}
    assert manifests.count(EXTRA) == 2
    others = [manifest for manifest in manifests if manifest != EXTRA]
    assert {manifest["metadata"]["namespace"] for manifest in others} == {"images"}


CLAIM = {"name": "state", "persistentVolumeClaim": {"claimName": "state"}}


@pytest.mark.parametrize(
    ("values", "strategy"),
    [
        ({}, "RollingUpdate"),
        ({"extraVolumes": [{"name": "state", "emptyDir": {}}]}, "RollingUpdate"),
        ({"extraVolumes": [CLAIM, {"name": "tmp", "emptyDir": {}}]}, "Recreate"),
        ({"extraVolumes": [CLAIM], "strategy": "RollingUpdate"}, "RollingUpdate"),
        ({"strategy": "Recreate"}, "Recreate"),
        ({"extraVolumes": [CLAIM], "shards": 2}, None),
    ],
)
def test_pod_stops_before_the_next_one_starts_with_the_only_volume(
    engine: Engine, values: Values, strategy: str | None
) -> None:
    """Only one pod can use a state file: with RollingUpdate the new one would never start."""
    manifests = engine.render(**values)
    assert [*kubernetes(manifests)] == []
    (workload,) = workloads(manifests)
    assert workload.manifest["spec"].get("strategy", {}).get("type") == strategy


def test_text_of_values_is_neither_a_template_nor_read_as_another_type(
    everything: list[Manifest],
) -> None:
    config_map = next(of_kind(everything, "ConfigMap"))
    settings = yaml.safe_load(config_map["data"]["exporter.yml"])
    assert settings["clouds"][0]["images"] == [{"id": "{{ . }}"}]
    secret = only(everything, "Secret")
    for key in ("clouds.yaml", "secure.yaml"):
        assert yaml.safe_load(secret["stringData"][key]) == CLOUDS


def test_users_of_the_web_configuration_need_no_tls(everything: list[Manifest]) -> None:
    (web,) = (
        manifest["data"]["web.yml"]
        for manifest in of_kind(everything, "ConfigMap")
        if "web.yml" in manifest["data"]
    )
    assert yaml.safe_load(web) == {"basic_auth_users": {"prometheus": "$2y$10$abc"}}
    (workload,) = workloads(everything)
    assert "exec" in workload.containers[0]["readinessProbe"]
    assert "scheme" not in only(everything, "ServiceMonitor")["spec"]["endpoints"][0]


def test_service_monitor_in_another_namespace_selects_the_one_of_the_release(
    everything: list[Manifest],
) -> None:
    monitor = only(everything, "ServiceMonitor")
    assert monitor["metadata"]["namespace"] == "monitoring"
    assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": [RELEASE]}
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["relabelings"][1:] == endpoint["metricRelabelings"] == [RELABELING]
    assert endpoint["basicAuth"] == {"username": {"name": "a", "key": "user"}}
    assert endpoint["params"] == {"cloud": ["mycloud", "on"]}
    assert monitor["spec"]["sampleLimit"] == 100000
    assert monitor["spec"]["targetLabels"] == ["tier"]


def test_alerts_have_the_severities_labels_and_runbooks_of_the_values(
    everything: list[Manifest],
) -> None:
    rule = only(everything, "PrometheusRule")
    assert rule["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    alerts = [
        rule for group in rule["spec"]["groups"] for rule in group["rules"] if "alert" in rule
    ]
    assert {alert["labels"]["severity"] for alert in alerts} == {"P1", "warning", "info"}
    assert {alert["labels"]["team"] for alert in alerts} == {"platform"}
    names = {alert["alert"] for alert in alerts}
    assert "OpenStackImageBecamePublic" not in names
    assert len(names) == len(alert_names()) - 1
    for alert in alerts:
        name = f"dashboards/runbooks/{alert['alert']}.md"
        assert alert["annotations"]["runbook_url"] == f"https://wiki.example.org/images/{name}"


def test_alerts_have_the_namespace_of_the_release(engine: Engine) -> None:
    files = engine.files({"prometheusRule": {"enabled": True}}, "images")
    rule = yaml.safe_load(files["prometheusrule.yaml"])
    rules = [each for group in rule["spec"]["groups"] for each in group["rules"]]
    labels = [each.get("labels", {}) for each in rules]
    assert {label["namespace"] for label in labels if "namespace" in label} == {"images"}
    assert rule["metadata"]["namespace"] == "images"


def test_names_stay_text(engine: Engine) -> None:
    """YAML 1.1 reads the plain letter as true."""
    manifests = engine.render(nameOverride="y", fullnameOverride="n", shards=2)
    assert {manifest["metadata"]["name"] for manifest in manifests} == {"n"}
    assert [*kubernetes(manifests)] == []


def test_large_numbers_of_the_settings_stay_numbers(engine: Engine) -> None:
    size = 2_361_393_152_000
    manifests = engine.render(config={"clouds": [{"images": [{"expect": {"size": size}}]}]})
    (config_map,) = of_kind(manifests, "ConfigMap")
    settings = yaml.safe_load(config_map["data"]["exporter.yml"])
    assert settings["clouds"][0]["images"][0]["expect"]["size"] == size


def test_existing_objects_are_used_and_not_created(engine: Engine) -> None:
    manifests = engine.render(
        existingConfigMap="settings",
        credentials={"existingSecret": "clouds"},
        tls={"enabled": True, "existingSecret": "pair"},
        serviceAccount={"create": False, "name": "account"},
        podDisruptionBudget={"enabled": False},
        networkPolicy={"enabled": False},
    )
    kinds = {manifest["kind"] for manifest in manifests}
    assert kinds == {"ConfigMap", "Deployment", "Service"}  # the ConfigMap of web.yml
    (workload,) = workloads(manifests)
    assert workload.volumes["config"]["configMap"]["name"] == "settings"
    assert workload.volumes["clouds"]["secret"]["secretName"] == "clouds"
    assert workload.volumes["tls"]["secret"]["secretName"] == "pair"
    assert workload.pod["serviceAccountName"] == "account"


def test_chart_runs_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["version"] == chart["appVersion"] == __version__


def test_changed_settings_start_new_pods(engine: Engine) -> None:
    annotations = [
        next(iter(workloads(engine.render(**values)))).manifest["spec"]["template"]["metadata"]
        for values in ({}, {"config": {"interval": "30s"}})
    ]
    assert annotations[0] != annotations[1]


def test_default_settings_are_valid(engine: Engine, tmp_path: Any) -> None:
    (config_map,) = of_kind(engine.render(), "ConfigMap")
    (tmp_path / "exporter.yml").write_text(config_map["data"]["exporter.yml"])
    (cloud,) = parse([f"--config.file={tmp_path / 'exporter.yml'}"], {}).settings.clouds
    assert cloud.name == "mycloud"


def test_notes_name_the_secret_that_is_missing(engine: Engine) -> None:
    assert f"create secret generic {RELEASE}-clouds" in engine.files({})[NOTES]
    created = engine.files({"credentials": {"clouds": CLOUDS}, "shards": 2})[NOTES]
    assert "create secret" not in created
    assert f"port-forward statefulset/{RELEASE}" in created


def test_schema_has_the_current_types_of_kubernetes() -> None:
    text = FILE.read_text("utf-8")
    assert rendered(text) == text, "run .venv/bin/python -m tests.k8s.chart_schema"


def test_schema_accepts_as_many_shards_as_the_exporter() -> None:
    schema = json.loads(FILE.read_text("utf-8"))
    assert schema["properties"]["shards"]["maximum"] == MOST_SHARDS


def test_schema_knows_exactly_the_keys_of_the_values() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    schema = json.loads(FILE.read_text("utf-8"))
    assert schema["properties"].keys() - {"global"} == values.keys()
    for key, fields in values.items():
        properties = schema["properties"][key].get("properties")
        if properties is not None and key != "webConfig":
            assert properties.keys() == fields.keys(), key
