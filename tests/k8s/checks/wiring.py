"""Checks of references between manifests: labels, ports, volumes and names."""

from collections import Counter
from collections.abc import Iterator, Sequence

import yaml

from tests.k8s.manifest import (
    Manifest,
    Workload,
    labels,
    of_kind,
    probes,
    selected,
    title,
    workloads,
)

WEB_FILE = "web.yml"
"""Key of the web configuration file in its ConfigMap."""


def selectors(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Check that every label selector selects something."""
    for workload in workloads(manifests):
        selector = workload.manifest["spec"]["selector"]["matchLabels"]
        if not selector.items() <= workload.labels.items():
            yield f"{workload.title}: its selector does not match its own pods"
        for spread in workload.pod.get("topologySpreadConstraints", ()):
            if not spread["labelSelector"]["matchLabels"].items() <= workload.labels.items():
                yield f"{workload.title}: it spreads pods that are not its own"
    for manifest in of_kind(manifests, "Service"):
        if not selected(manifest["spec"]["selector"], manifests):
            yield f"{title(manifest)}: selects no pod"
    for manifest in of_kind(manifests, "PodDisruptionBudget", "NetworkPolicy"):
        key = "selector" if manifest["kind"] == "PodDisruptionBudget" else "podSelector"
        if not selected(manifest["spec"][key]["matchLabels"], manifests):
            yield f"{title(manifest)}: selects no pod"
    services = [*of_kind(manifests, "Service")]
    for manifest in of_kind(manifests, "ServiceMonitor"):
        selector = manifest["spec"]["selector"]["matchLabels"]
        if not any(selector.items() <= labels(service).items() for service in services):
            yield f"{title(manifest)}: selects no Service"


def ports(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Check that ports have unique names and that every reference to a port resolves."""
    for workload in workloads(manifests):
        yield from (f"{workload.title}: {problem}" for problem in _own_ports(workload))
    for by, selector, port in _port_references(manifests):
        for workload in selected(selector, manifests):
            if not workload.has_port(port):
                yield f"{by}: {workload.title} has no port {port}"
    services = of_kind(manifests, "Service")
    names = {port.get("name") for manifest in services for port in manifest["spec"]["ports"]}
    for manifest in of_kind(manifests, "ServiceMonitor"):
        for endpoint in manifest["spec"]["endpoints"]:
            if endpoint.get("port") not in names:
                yield f"{title(manifest)}: no Service has a port named {endpoint.get('port')}"


def _own_ports(workload: Workload) -> Iterator[str]:
    for name, count in Counter(port.get("name") for port in workload.ports).items():
        if name is None:
            yield "a port has no name"
        elif count > 1:
            yield f"{count} ports have the name {name}"
    for container in workload.containers:
        for kind, probe in probes(container):
            port = probe.get("httpGet", {}).get("port")
            if port is not None and not workload.has_port(port):
                yield f"its {kind} uses port {port}, which does not exist"


def _port_references(
    manifests: Sequence[Manifest],
) -> Iterator[tuple[str, dict[str, str], str | int]]:
    """Yield each reference to a port: its manifest, its pod selector and the port."""
    for manifest in of_kind(manifests, "Service"):
        for port in manifest["spec"]["ports"]:
            yield (
                title(manifest),
                manifest["spec"]["selector"],
                port.get("targetPort", port["port"]),
            )
    for manifest in of_kind(manifests, "NetworkPolicy"):
        for rule in manifest["spec"].get("ingress", ()):
            for port in rule.get("ports", ()):
                yield title(manifest), manifest["spec"]["podSelector"]["matchLabels"], port["port"]


def volumes(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Check that mounts and volumes match and that mount paths are unique."""
    for workload in workloads(manifests):
        mounted = {
            mount["name"]
            for container in workload.containers
            for mount in container.get("volumeMounts", ())
        }
        for name in sorted(mounted - workload.volumes.keys()):
            yield f"{workload.title}: volume {name} is mounted and not declared"
        for name in sorted(workload.volumes.keys() - mounted):
            yield f"{workload.title}: volume {name} is declared and not mounted"
        for container in workload.containers:
            paths = Counter(mount["mountPath"] for mount in container.get("volumeMounts", ()))
            for path, count in paths.items():
                if count > 1:
                    yield f"{workload.title}: {count} volumes are mounted at {path}"


def references(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Check that every named ConfigMap, Secret, key, service account and Service exists."""
    objects = {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in manifests}
    all_references = [
        *(
            (workload.title, *reference)
            for workload in workloads(manifests)
            for reference in _references_of_workload(workload)
        ),
        *(
            (title(monitor), *reference)
            for monitor in of_kind(manifests, "ServiceMonitor")
            for reference in _references_of_monitor(monitor)
        ),
        *(
            (
                title(dashboard),
                "ConfigMap",
                *map(dashboard["spec"]["configMapRef"].get, ("name", "key")),
            )
            for dashboard in of_kind(manifests, "GrafanaDashboard")
        ),
    ]
    for by, kind, name, key in all_references:
        manifest = objects.get((kind, name))
        if manifest is None:
            yield f"{by}: there is no {kind} {name}"
        elif key is not None and key not in _keys(manifest):
            yield f"{by}: {kind} {name} has no key {key}"


def _references_of_monitor(monitor: Manifest) -> Iterator[tuple[str, str, str]]:
    for endpoint in monitor["spec"]["endpoints"]:
        if secret := endpoint.get("tlsConfig", {}).get("ca", {}).get("secret"):
            yield "Secret", secret["name"], secret["key"]


def _references_of_workload(workload: Workload) -> Iterator[tuple[str, str, str | None]]:
    yield "ServiceAccount", workload.pod["serviceAccountName"], None
    if "serviceName" in workload.manifest["spec"]:
        yield "Service", workload.manifest["spec"]["serviceName"], None
    for volume in workload.volumes.values():
        for kind, source, name in (
            ("ConfigMap", "configMap", "name"),
            ("Secret", "secret", "secretName"),
        ):
            if source in volume:
                yield kind, volume[source][name], None
                for item in volume[source].get("items", ()):
                    yield kind, volume[source][name], item["key"]
    for container in workload.containers:
        for variable in container.get("env", ()):
            source = variable.get("valueFrom", {})
            for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
                if key in source:
                    yield kind, source[key]["name"], source[key]["key"]
        for source in container.get("envFrom", ()):
            for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                if key in source:
                    yield kind, source[key]["name"], None


def files(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Check that files named by flags and by the web configuration are mounted."""
    objects = {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in manifests}
    for workload in workloads(manifests):
        for container in workload.containers:
            sources = {
                mount["mountPath"]: _source(workload.volumes.get(mount["name"], {}))
                for mount in container.get("volumeMounts", ())
            }
            paths = [word.partition("=")[::2] for word in container.get("args", ()) if "=/" in word]
            for by, path in paths:
                folder, _, name = path.rpartition("/")
                source = objects.get(sources.get(folder, ("", "")), {})
                if name not in _keys(source):
                    yield f"{workload.title}: {by} names {path}, and nothing mounted has it"
                elif name == WEB_FILE:
                    tls = yaml.safe_load(source["data"][name]).get("tls_server_config", {})
                    paths += [(key, file) for key, file in tls.items() if key.endswith("_file")]


def scheme(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Check that Prometheus and the probes use TLS exactly if the pods do, and verify it."""
    uses_tls = any(
        word.startswith("--web.config.file")
        for workload in workloads(manifests)
        for container in workload.containers
        for word in container.get("args", ())
    )
    for monitor in of_kind(manifests, "ServiceMonitor"):
        for endpoint in monitor["spec"]["endpoints"]:
            if (endpoint.get("scheme", "http") == "https") != uses_tls:
                yield f"{title(monitor)}: the pods {'use' if uses_tls else 'do not use'} TLS"
            config = endpoint.get("tlsConfig", {})
            if uses_tls and ("ca" not in config or config.get("insecureSkipVerify")):
                yield f"{title(monitor)}: does not verify the certificate"
    if uses_tls:
        for workload in workloads(manifests):
            for container in workload.containers:
                for kind, probe in probes(container):
                    if "httpGet" in probe:
                        yield f"{workload.title}: its {kind} is plain HTTP, but the pod uses TLS"


def _source(volume: Manifest) -> tuple[str, str]:
    if "configMap" in volume:
        return "ConfigMap", volume["configMap"]["name"]
    return "Secret", volume.get("secret", {}).get("secretName", "")


def _keys(manifest: Manifest) -> set[str]:
    return {
        key for place in ("data", "stringData", "binaryData") for key in manifest.get(place, ())
    }
