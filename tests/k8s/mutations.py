"""Manifests made wrong in one place: a place, what is put there, and what a check says of it."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.k8s.manifest import Manifest

REMOVED = object()
"""Put in a place, it removes what is there."""


@dataclass(frozen=True)
class Mutation:
    """A value in a place of the manifest of a kind; ``caught`` is in what the check says.

    ``among`` is the combination that is changed, in its first manifest of the kind. A place is the
    keys that lead there, with dots: a number is one of a list, and ``+`` one more.
    """

    check: str
    kind: str
    place: str
    value: Any
    caught: str
    among: str = "sharded with the operator"

    def __str__(self) -> str:
        value = "removed" if self.value is REMOVED else str(self.value)[:40]
        return f"{self.check}: {self.kind} {self.place} {value}"

    def applied(self, manifests: Sequence[Manifest]) -> list[Manifest]:
        """The manifests with the first of the kind changed."""
        changed = copy.deepcopy([*manifests])
        place: Any = next(each for each in changed if each["kind"] == self.kind)
        *keys, last = self.place.split(".")
        for key in keys:
            place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
        if isinstance(place, list):
            if last == "+":
                place.append(self.value)
            elif self.value is REMOVED:
                del place[int(last)]
            else:
                place[int(last)] = self.value
        elif self.value is REMOVED:
            del place[last.replace("~", ".")]
        else:
            place[last.replace("~", ".")] = self.value
        return changed


POD = "spec.template.spec"
ONE = f"{POD}.containers.0"
NAME = "app~kubernetes~io/name"
NO_POD = "selects no pod"
TLS = "sharded with TLS"


def _security() -> list[Mutation]:
    """One of each rule of `restricted`, and of what is asked for besides."""
    rules = [
        (f"{POD}.hostNetwork", True, "shares the node's namespaces"),
        (f"{POD}.hostPID", True, "shares the node's namespaces"),
        (f"{POD}.volumes.+", {"name": "x", "hostPath": {"path": "/"}}, "not allowed"),
        (f"{POD}.securityContext.sysctls", [{"name": "a", "value": "b"}], "sets sysctls"),
        (f"{POD}.automountServiceAccountToken", REMOVED, "gets a token"),
        (f"{POD}.securityContext.fsGroup", REMOVED, "read by root only"),
        (f"{POD}.securityContext.runAsNonRoot", False, "may run as root"),
        (f"{POD}.securityContext.runAsUser", 0, "runs as root"),
        (f"{POD}.securityContext.seccompProfile", REMOVED, "has no seccomp profile"),
        (f"{ONE}.securityContext.seccompProfile", {"type": "Unconfined"}, "no seccomp profile"),
        (f"{ONE}.securityContext.privileged", True, "is privileged"),
        (f"{ONE}.securityContext.allowPrivilegeEscalation", REMOVED, "may gain privileges"),
        (f"{ONE}.securityContext.capabilities", REMOVED, "keeps capabilities"),
        (f"{ONE}.securityContext.capabilities.add", ["NET_RAW"], "keeps capabilities"),
        (f"{ONE}.securityContext.procMount", "Unmasked", "unmasks /proc"),
        (f"{ONE}.securityContext.seLinuxOptions", {"user": "x"}, "SELinux"),
        (f"{ONE}.securityContext.appArmorProfile", {"type": "Unconfined"}, "AppArmor"),
        (f"{ONE}.securityContext.readOnlyRootFilesystem", False, "can write to its root"),
        (f"{ONE}.ports.0.hostPort", 80, "takes a port of the node"),
        (f"{ONE}.volumeMounts.0.readOnly", REMOVED, "can be written to"),
    ]
    others = [
        ("ServiceAccount", "automountServiceAccountToken", REMOVED, "its token is mounted"),
        ("Namespace", "metadata.labels.pod-security~kubernetes~io/enforce", "baseline", "enforces"),
    ]
    return [
        *(Mutation("security", "StatefulSet", place, value, said) for place, value, said in rules),
        *(Mutation("security", *other) for other in others),
    ]


MUTATIONS = (
    # Unknown fields and wrong types.
    Mutation("kubernetes", "StatefulSet", f"{ONE}.livenesProbe", {}, "livenesProbe"),
    Mutation("kubernetes", "StatefulSet", "spec.strategy", {"type": "Recreate"}, "strategy"),
    Mutation("kubernetes", "StatefulSet", "spec.replicas", "three", "three"),
    Mutation("kubernetes", "StatefulSet", "spec.selector", REMOVED, "selector"),
    Mutation("kubernetes", "Service", "spec.ports.0.port", "http", "http"),
    Mutation("kubernetes", "NetworkPolicy", "spec.ingress.0.form", [], "form"),
    Mutation("kubernetes", "PodDisruptionBudget", "apiVersion", "policy/v2", "policy/v2"),
    Mutation("kubernetes", "Secret", "stringDate", {}, "stringDate"),
    Mutation("prometheus_operator", "ServiceMonitor", "spec.endpoints.0.ports", "http", "ports"),
    Mutation("prometheus_operator", "ServiceMonitor", "spec.endpoints.0.interval", "30", "30"),
    Mutation("prometheus_operator", "ServiceMonitor", "spec.selector", REMOVED, "selector"),
    Mutation("prometheus_operator", "ServiceMonitor", "spec.endpoints", REMOVED, "endpoints"),
    Mutation(
        "prometheus_operator", "PrometheusRule", "spec.groups.0.rules.0.expr", REMOVED, "expr"
    ),
    Mutation("prometheus_operator", "PrometheusRule", "spec.groups.0.rules.0.fro", "1m", "fro"),
    Mutation("prometheus_operator", "PrometheusRule", "spec.groups.0.rules.0.for", "soon", "soon"),
    Mutation("prometheus_operator", "PrometheusRule", "spec.groups.0.name", "", "''"),
    # What selects, and what is selected.
    Mutation("selectors", "StatefulSet", f"spec.selector.matchLabels.{NAME}", "x", "its own pods"),
    Mutation("selectors", "StatefulSet", f"spec.template.metadata.labels.{NAME}", "x", NO_POD),
    Mutation(
        "selectors",
        "StatefulSet",
        f"{POD}.topologySpreadConstraints.0.labelSelector.matchLabels.{NAME}",
        "x",
        "not its own",
    ),
    Mutation(
        "selectors",
        "Service",
        f"spec.selector.{NAME}",
        "x",
        f"Service openstack-image-exporter: {NO_POD}",
    ),
    Mutation(
        "selectors",
        "PodDisruptionBudget",
        f"spec.selector.matchLabels.{NAME}",
        "x",
        f"PodDisruptionBudget openstack-image-exporter: {NO_POD}",
    ),
    Mutation(
        "selectors",
        "NetworkPolicy",
        f"spec.podSelector.matchLabels.{NAME}",
        "x",
        f"NetworkPolicy openstack-image-exporter: {NO_POD}",
    ),
    Mutation(
        "selectors",
        "ServiceMonitor",
        f"spec.selector.matchLabels.{NAME}",
        "x",
        "selects no Service",
    ),
    Mutation("selectors", "Service", f"metadata.labels.{NAME}", "x", "selects no Service"),
    # Ports.
    Mutation("ports", "StatefulSet", f"{ONE}.ports.0.name", "web", "has no port http"),
    Mutation("ports", "StatefulSet", f"{ONE}.ports.0.name", REMOVED, "a port has no name"),
    Mutation(
        "ports",
        "StatefulSet",
        f"{ONE}.ports.+",
        {"name": "http", "containerPort": 1},
        "2 ports have the name http",
    ),
    Mutation("ports", "StatefulSet", f"{ONE}.livenessProbe.httpGet.port", 8080, "8080"),
    Mutation("ports", "Service", "spec.ports.0.targetPort", "web", "has no port web"),
    Mutation("ports", "Service", "spec.ports.0.name", "web", "no Service has a port named http"),
    Mutation("ports", "NetworkPolicy", "spec.ingress.0.ports.0.port", 9090, "has no port 9090"),
    Mutation("ports", "ServiceMonitor", "spec.endpoints.0.port", "web", "a port named web"),
    # Volumes.
    Mutation("volumes", "StatefulSet", f"{POD}.volumes.0", REMOVED, "mounted and not declared"),
    Mutation(
        "volumes", "StatefulSet", f"{ONE}.volumeMounts.0", REMOVED, "declared and not mounted"
    ),
    Mutation(
        "volumes",
        "StatefulSet",
        f"{ONE}.volumeMounts.0.mountPath",
        "/etc/openstack",
        "2 volumes are mounted at /etc/openstack",
    ),
    # What is named elsewhere.
    Mutation("references", "StatefulSet", f"{POD}.serviceAccountName", "x", "no ServiceAccount x"),
    Mutation("references", "StatefulSet", "spec.serviceName", "x", "no Service x"),
    Mutation("references", "StatefulSet", f"{POD}.volumes.0.configMap.name", "x", "no ConfigMap x"),
    Mutation("references", "StatefulSet", f"{POD}.volumes.1.secret.secretName", "x", "no Secret x"),
    Mutation(
        "references",
        "StatefulSet",
        f"{POD}.volumes.1.secret.items",
        [{"key": "password", "path": "p"}],
        "has no key password",
    ),
    Mutation(
        "references",
        "StatefulSet",
        f"{ONE}.env.0.valueFrom",
        {"secretKeyRef": {"name": "openstack-image-exporter-clouds", "key": "token"}},
        "has no key token",
    ),
    Mutation(
        "references",
        "StatefulSet",
        f"{ONE}.envFrom",
        [{"configMapRef": {"name": "x"}}],
        "ConfigMap x",
    ),
    Mutation("references", "Secret", "metadata.name", "x", "no Secret openstack-image"),
    Mutation("files", "StatefulSet", f"{ONE}.args.1", "--config.file=/etc/x.yml", "/etc/x.yml"),
    Mutation("files", "StatefulSet", f"{ONE}.volumeMounts.0.mountPath", "/etc/x", "--config.file"),
    # TLS.
    Mutation(
        "references",
        "ServiceMonitor",
        "spec.endpoints.0.tlsConfig.ca.secret.key",
        "x",
        "ServiceMonitor openstack-image-exporter: Secret openstack-image-exporter-tls has no key x",
        TLS,
    ),
    Mutation("files", "StatefulSet", f"{ONE}.args.2", "--web.config.file=/x", "names /x", TLS),
    Mutation(
        "files", "StatefulSet", f"{ONE}.volumeMounts.3.mountPath", "/etc/x", "cert_file names", TLS
    ),
    Mutation("scheme", "ServiceMonitor", "spec.endpoints.0.scheme", REMOVED, "speak TLS", TLS),
    Mutation("scheme", "ServiceMonitor", "spec.endpoints.0.scheme", "https", "speak no TLS"),
    Mutation("scheme", "StatefulSet", f"{ONE}.args.2", REMOVED, "speak no TLS", TLS),
    Mutation(
        "scheme",
        "ServiceMonitor",
        "spec.endpoints.0.tlsConfig",
        {"insecureSkipVerify": True},
        "who answers",
        TLS,
    ),
    Mutation("scheme", "StatefulSet", f"{ONE}.livenessProbe.httpGet", {"port": 1}, "plain", TLS),
    # Values.
    Mutation("quantities", "StatefulSet", f"{ONE}.resources.limits.memory", "256MB", "256MB"),
    Mutation(
        "quantities", "StatefulSet", f"{ONE}.resources.limits.memory", "256m", "less than 1Mi"
    ),
    Mutation("quantities", "StatefulSet", f"{ONE}.resources.requests.cpu", "50 m", "50 m"),
    Mutation("quantities", "StatefulSet", f"{ONE}.resources.requests.memory", "1Gi", "its limit"),
    Mutation("quantities", "StatefulSet", f"{ONE}.resources.requests.cpu", REMOVED, "no cpu"),
    Mutation("quantities", "StatefulSet", f"{ONE}.resources.limits", REMOVED, "has no limit"),
    Mutation("names", "StatefulSet", "metadata.name", "Exporter", "cannot be a name"),
    Mutation("names", "Service", "metadata.name", "a.b", "cannot be a name"),
    Mutation("names", "Namespace", "metadata.name", "1st", "cannot be a name"),
    Mutation("names", "StatefulSet", f"{ONE}.name", "the_exporter", "a container's name"),
    Mutation("names", "StatefulSet", f"{ONE}.ports.0.name", "http-of-exporter", "a port's name"),
    Mutation("names", "StatefulSet", f"{ONE}.env.0.name", "A-B", "a variable's name"),
    Mutation("names", "ConfigMap", "data.a b", "x", "cannot be a key"),
    Mutation("names", "StatefulSet", "metadata.labels.a b", "x", "cannot be a label"),
    Mutation("names", "StatefulSet", "metadata.labels.a", "x y", "the value of label a"),
    Mutation(
        "names", "StatefulSet", "spec.template.metadata.labels.a", "-x", "the value of label a"
    ),
    Mutation("images", "StatefulSet", f"{ONE}.image", "openstack-image-exporter", "no registry"),
    Mutation("images", "StatefulSet", f"{ONE}.image", "r.example.com/x", "is not pinned"),
    Mutation("images", "StatefulSet", f"{ONE}.image", "r.example.com/x:latest", "is not pinned"),
    Mutation("images", "StatefulSet", f"{ONE}.image", "r.example.com/x@sha256:12", "no registry"),
    Mutation("places", "Service", "metadata.namespace", "default", "not in the namespace"),
    Mutation("places", "Service", "metadata.namespace", REMOVED, "not in the namespace"),
    Mutation("places", "Service", "kind", "ServiceAccount", "there 2 times"),
    Mutation("sizes", "ConfigMap", "data.x", "x" * 262_144, "kubectl apply takes 262144"),
    *_security(),
    # What is this program's.
    Mutation(
        "probing", "StatefulSet", f"{ONE}.livenessProbe.httpGet.path", "/-/ready", "/-/healthy"
    ),
    Mutation("probing", "StatefulSet", f"{ONE}.readinessProbe.httpGet.path", "/", "/-/ready"),
    Mutation("probing", "StatefulSet", f"{ONE}.startupProbe", REMOVED, "no startupProbe"),
    Mutation(
        "probing", "StatefulSet", f"{ONE}.livenessProbe", {"exec": {"command": ["true"]}}, "ask"
    ),
    Mutation("shards", "StatefulSet", "spec.replicas", 4, "SHARD__TOTAL is not 4"),
    Mutation("shards", "StatefulSet", f"{ONE}.env.0", REMOVED, "SHARD__INDEX is None"),
    Mutation("shards", "StatefulSet", f"{ONE}.env.1.value", "2", "SHARD__TOTAL is not 3"),
    Mutation("shards", "StatefulSet", "kind", "Deployment", "pods of a Deployment have no number"),
    Mutation("shards", "Service", "spec.clusterIP", REMOVED, "no address in common"),
    Mutation("network", "NetworkPolicy", "spec.policyTypes", ["Ingress"], "both directions"),
    Mutation("draining", "PodDisruptionBudget", "spec.maxUnavailable", 0, "from being drained"),
    Mutation("draining", "PodDisruptionBudget", "spec.minAvailable", 1, "from being drained"),
    Mutation("network", "NetworkPolicy", "spec.ingress.0", REMOVED, "lets nobody in"),
    Mutation("network", "NetworkPolicy", "spec.ingress.0.from", REMOVED, "lets everybody in"),
    Mutation("network", "NetworkPolicy", "spec.egress.+", {}, "lets everything out"),
    Mutation("network", "NetworkPolicy", "spec.egress.0", REMOVED, "no name be looked up"),
    Mutation(
        "network", "NetworkPolicy", "spec.egress.1.ports.0", REMOVED, "OpenStack not be asked"
    ),
)
"""One or more of each check, for the shards with the Prometheus Operator."""
