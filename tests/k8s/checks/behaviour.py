"""What this program needs of Kubernetes: its pages as probes, its shards, its networks."""

from collections.abc import Iterator, Sequence

from tests.k8s.manifest import Manifest, of_kind, probes, title, workloads

HEALTH = {"startupProbe": "healthy", "livenessProbe": "healthy", "readinessProbe": "ready"}
"""What each probe asks for."""

INDEX, TOTAL = "IMAGE_EXPORTER_SHARD__INDEX", "IMAGE_EXPORTER_SHARD__TOTAL"
OPENSTACK_PORTS = {443, 5000, 9292}
DNS = {(53, "UDP"), (53, "TCP")}


def probing(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Each probe asks the page that is for it, by HTTP or by the exporter's own command."""
    for workload in workloads(manifests):
        for container in workload.containers:
            found = dict(probes(container))
            for kind in HEALTH.keys() - found.keys():
                yield f"{workload.title}: no {kind}"
            for kind, probe in found.items():
                page = HEALTH[kind]
                asks = probe.get("httpGet", {}).get("path"), probe.get("exec", {}).get("command")
                command = ["python", "-m", "exporter.healthcheck", page]
                if asks not in [(f"/-/{page}", None), (None, command)]:
                    yield f"{workload.title}: its {kind} does not ask for /-/{page}"


def shards(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Several pods of one workload are shards, which know which they are, and how many."""
    for workload in workloads(manifests):
        replicas = workload.manifest["spec"].get("replicas", 1)
        for container in workload.containers:
            env = {each["name"]: each for each in container.get("env", ())}
            if workload.manifest["kind"] == "Deployment":
                if replicas > 1 or INDEX in env:
                    yield f"{workload.title}: pods of a Deployment have no number"
                continue
            index = env.get(INDEX, {}).get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
            if index != "metadata.name":
                yield f"{workload.title}: {INDEX} is {index}"
            if env.get(TOTAL, {}).get("value") != str(replicas):
                yield f"{workload.title}: {TOTAL} is not {replicas}, as its replicas"
    stateful = {each["spec"]["serviceName"] for each in of_kind(manifests, "StatefulSet")}
    for service in of_kind(manifests, "Service"):
        is_headless = service["spec"].get("clusterIP") == "None"
        if (service["metadata"]["name"] in stateful) != is_headless:
            yield f"{title(service)}: shards have no address in common, and only they have none"


def draining(manifests: Sequence[Manifest]) -> Iterator[str]:
    """A node can be drained, also of the only pod."""
    for budget in of_kind(manifests, "PodDisruptionBudget"):
        spec = budget["spec"]
        if "minAvailable" in spec or spec.get("maxUnavailable") in {None, 0, "0%"}:
            yield f"{title(budget)}: keeps its node from being drained"


def network(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Only Prometheus comes in, and only names and OpenStack are asked for."""
    for policy in of_kind(manifests, "NetworkPolicy"):
        spec = policy["spec"]
        if set(spec["policyTypes"]) != {"Ingress", "Egress"}:
            yield f"{title(policy)}: not of both directions"
        if not spec.get("ingress"):
            yield f"{title(policy)}: lets nobody in"
        if not all(rule.get("from") for rule in spec.get("ingress", ())):
            yield f"{title(policy)}: lets everybody in"
        out = [
            {(port["port"], port["protocol"]) for port in rule.get("ports", ())}
            for rule in spec.get("egress", ())
        ]
        if set() in out:
            yield f"{title(policy)}: lets everything out"
        if not any(ports >= DNS for ports in out):
            yield f"{title(policy)}: lets no name be looked up"
        if not any({port for port, _ in ports} >= OPENSTACK_PORTS for ports in out):
            yield f"{title(policy)}: lets OpenStack not be asked"
