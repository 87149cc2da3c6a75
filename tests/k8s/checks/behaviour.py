"""Checks of what this exporter needs: probes, shards, disruption budget and network."""

from collections.abc import Iterator, Sequence

from tests.k8s.manifest import Manifest, of_kind, probes, title, workloads

HEALTH = {"startupProbe": "healthy", "livenessProbe": "healthy", "readinessProbe": "ready"}
"""Page that each probe requests."""

INDEX, TOTAL = "IMAGE_EXPORTER_SHARD__INDEX", "IMAGE_EXPORTER_SHARD__TOTAL"
OPENSTACK_PORTS = {443, 5000, 9292}
DNS = {(53, "UDP"), (53, "TCP")}


def probing(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Check that each probe requests its page, by HTTP or by the health check command."""
    for workload in workloads(manifests):
        for container in workload.containers:
            own_probes = dict(probes(container))
            for kind in HEALTH.keys() - own_probes.keys():
                yield f"{workload.title}: no {kind}"
            for kind, probe in own_probes.items():
                page = HEALTH[kind]
                request = probe.get("httpGet", {}).get("path"), probe.get("exec", {}).get("command")
                command = ["python", "-m", "exporter.healthcheck", page]
                if request not in [(f"/-/{page}", None), (None, command)]:
                    yield f"{workload.title}: its {kind} does not request /-/{page}"


def shards(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Check that several pods of one workload know their shard index and total."""
    for workload in workloads(manifests):
        replicas = workload.manifest["spec"].get("replicas", 1)
        for container in workload.containers:
            env = {variable["name"]: variable for variable in container.get("env", ())}
            if workload.manifest["kind"] == "Deployment":
                if replicas > 1 or INDEX in env:
                    yield f"{workload.title}: pods of a Deployment have no index"
                continue
            index = env.get(INDEX, {}).get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
            if index != "metadata.name":
                yield f"{workload.title}: {INDEX} is {index}"
            if env.get(TOTAL, {}).get("value") != str(replicas):
                yield f"{workload.title}: {TOTAL} is not the number of replicas, {replicas}"
    stateful = {manifest["spec"]["serviceName"] for manifest in of_kind(manifests, "StatefulSet")}
    for service in of_kind(manifests, "Service"):
        is_headless = service["spec"].get("clusterIP") == "None"
        if (service["metadata"]["name"] in stateful) != is_headless:
            yield f"{title(service)}: only the Service of shards is headless"


def draining(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Check that a node can be drained even if it runs the only pod."""
    for budget in of_kind(manifests, "PodDisruptionBudget"):
        spec = budget["spec"]
        if "minAvailable" in spec or spec.get("maxUnavailable") in {None, 0, "0%"}:
            yield f"{title(budget)}: prevents its node from being drained"


def network(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Check that only Prometheus gets in, and only DNS and OpenStack are reachable."""
    for policy in of_kind(manifests, "NetworkPolicy"):
        spec = policy["spec"]
        if set(spec["policyTypes"]) != {"Ingress", "Egress"}:
            yield f"{title(policy)}: does not cover both directions"
        if not spec.get("ingress"):
            yield f"{title(policy)}: allows no ingress"
        if not all(rule.get("from") for rule in spec.get("ingress", ())):
            yield f"{title(policy)}: allows ingress from everywhere"
        peers = [peer for rule in spec.get("ingress", ()) for peer in rule.get("from") or ()]
        if not all(peer.get("podSelector") or _is_of_openshift(peer) for peer in peers):
            yield f"{title(policy)}: allows ingress from all pods of a namespace"
        out = [
            {(port["port"], port["protocol"]) for port in rule.get("ports", ())}
            for rule in spec.get("egress", ())
        ]
        if set() in out:
            yield f"{title(policy)}: allows all egress"
        if not any(ports >= DNS for ports in out):
            yield f"{title(policy)}: allows no DNS"
        if not any({port for port, _ in ports} >= OPENSTACK_PORTS for ports in out):
            yield f"{title(policy)}: allows no requests to OpenStack"


def _is_of_openshift(peer: Manifest) -> bool:
    """Return True for the namespaces of OpenShift's monitoring, in which nobody else has pods."""
    labels = peer["namespaceSelector"]["matchLabels"]
    return bool(labels == {"network.openshift.io/policy-group": "monitoring"})
