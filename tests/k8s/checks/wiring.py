"""What one manifest says of another is so: labels, ports, volumes, names."""

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
"""The key of what --web.config.file names."""


def selectors(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Whatever selects by labels selects what is there."""
    for workload in workloads(manifests):
        wanted = workload.manifest["spec"]["selector"]["matchLabels"]
        if not wanted.items() <= workload.labels.items():
            yield f"{workload.title}: its selector does not match its own pods"
        for spread in workload.pod.get("topologySpreadConstraints", ()):
            if not spread["labelSelector"]["matchLabels"].items() <= workload.labels.items():
                yield f"{workload.title}: it spreads pods that are not its own"
    for each in of_kind(manifests, "Service"):
        if not selected(each["spec"]["selector"], manifests):
            yield f"{title(each)}: selects no pod"
    for each in of_kind(manifests, "PodDisruptionBudget", "NetworkPolicy"):
        key = "selector" if each["kind"] == "PodDisruptionBudget" else "podSelector"
        if not selected(each["spec"][key]["matchLabels"], manifests):
            yield f"{title(each)}: selects no pod"
    services = [*of_kind(manifests, "Service")]
    for each in of_kind(manifests, "ServiceMonitor"):
        wanted = each["spec"]["selector"]["matchLabels"]
        if not any(wanted.items() <= labels(service).items() for service in services):
            yield f"{title(each)}: selects no Service"


def ports(manifests: Sequence[Manifest]) -> Iterator[str]:
    """A port has a name of its own, and what names a port names one that is there."""
    for workload in workloads(manifests):
        yield from (f"{workload.title}: {problem}" for problem in _own_ports(workload))
    for by, selector, port in _ports_of_others(manifests):
        for workload in selected(selector, manifests):
            if not workload.has_port(port):
                yield f"{by}: {workload.title} has no port {port}"
    services = of_kind(manifests, "Service")
    names = {port.get("name") for each in services for port in each["spec"]["ports"]}
    for each in of_kind(manifests, "ServiceMonitor"):
        for endpoint in each["spec"]["endpoints"]:
            if endpoint.get("port") not in names:
                yield f"{title(each)}: no Service has a port named {endpoint.get('port')}"


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
                yield f"its {kind} asks at port {port}, which is not there"


def _ports_of_others(
    manifests: Sequence[Manifest],
) -> Iterator[tuple[str, dict[str, str], str | int]]:
    """Who names a port of pods, by which labels the pods are selected, and the port."""
    for each in of_kind(manifests, "Service"):
        for port in each["spec"]["ports"]:
            yield title(each), each["spec"]["selector"], port.get("targetPort", port["port"])
    for each in of_kind(manifests, "NetworkPolicy"):
        for rule in each["spec"].get("ingress", ()):
            for port in rule.get("ports", ()):
                yield title(each), each["spec"]["podSelector"]["matchLabels"], port["port"]


def volumes(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Every mount has its volume, every volume a mount, and no two are at one place."""
    for workload in workloads(manifests):
        mounts = [each for one in workload.containers for each in one.get("volumeMounts", ())]
        mounted = {each["name"] for each in mounts}
        for name in sorted(mounted - workload.volumes.keys()):
            yield f"{workload.title}: volume {name} is mounted and not declared"
        for name in sorted(workload.volumes.keys() - mounted):
            yield f"{workload.title}: volume {name} is declared and not mounted"
        for container in workload.containers:
            places = Counter(each["mountPath"] for each in container.get("volumeMounts", ()))
            for place, count in places.items():
                if count > 1:
                    yield f"{workload.title}: {count} volumes are mounted at {place}"


def references(manifests: Sequence[Manifest]) -> Iterator[str]:
    """ConfigMaps, Secrets, keys, accounts and Services that are named exist."""
    there = {(each["kind"], each["metadata"]["name"]): each for each in manifests}
    named = [
        *((each.title, *rest) for each in workloads(manifests) for rest in _named(each)),
        *(
            (title(each), *rest)
            for each in of_kind(manifests, "ServiceMonitor")
            for rest in _named_by_monitor(each)
        ),
    ]
    for by, kind, name, key in named:
        found = there.get((kind, name))
        if found is None:
            yield f"{by}: there is no {kind} {name}"
        elif key is not None and key not in _keys(found):
            yield f"{by}: {kind} {name} has no key {key}"


def _named_by_monitor(monitor: Manifest) -> Iterator[tuple[str, str, str]]:
    for endpoint in monitor["spec"]["endpoints"]:
        if secret := endpoint.get("tlsConfig", {}).get("ca", {}).get("secret"):
            yield "Secret", secret["name"], secret["key"]


def _named(workload: Workload) -> Iterator[tuple[str, str, str | None]]:
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
    """A file that a flag names, or the web configuration, is a key of what is mounted there."""
    there = {(each["kind"], each["metadata"]["name"]): each for each in manifests}
    for workload in workloads(manifests):
        for container in workload.containers:
            sources = {
                mount["mountPath"]: _source(workload.volumes.get(mount["name"], {}))
                for mount in container.get("volumeMounts", ())
            }
            paths = [word.partition("=")[::2] for word in container.get("args", ()) if "=/" in word]
            for by, path in paths:
                folder, _, name = path.rpartition("/")
                found = there.get(sources.get(folder, ("", "")), {})
                if name not in _keys(found):
                    yield f"{workload.title}: {by} names {path}, and nothing mounted has it"
                elif name == WEB_FILE:
                    tls = yaml.safe_load(found["data"][name])["tls_server_config"]
                    paths += [(key, file) for key, file in tls.items() if key.endswith("_file")]


def scheme(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Prometheus asks by TLS, and checks who answers, just where the pods speak TLS."""
    speaks_tls = any(
        word.startswith("--web.config.file")
        for workload in workloads(manifests)
        for container in workload.containers
        for word in container.get("args", ())
    )
    for monitor in of_kind(manifests, "ServiceMonitor"):
        for endpoint in monitor["spec"]["endpoints"]:
            if (endpoint.get("scheme", "http") == "https") != speaks_tls:
                yield f"{title(monitor)}: the pods speak {'TLS' if speaks_tls else 'no TLS'}"
            config = endpoint.get("tlsConfig", {})
            if speaks_tls and ("ca" not in config or config.get("insecureSkipVerify")):
                yield f"{title(monitor)}: does not check who answers"
    if speaks_tls:
        for workload in workloads(manifests):
            for container in workload.containers:
                for kind, probe in probes(container):
                    if "httpGet" in probe:
                        yield f"{workload.title}: its {kind} is plain, and the pod speaks TLS"


def _source(volume: Manifest) -> tuple[str, str]:
    if "configMap" in volume:
        return "ConfigMap", volume["configMap"]["name"]
    return "Secret", volume.get("secret", {}).get("secretName", "")


def _keys(manifest: Manifest) -> set[str]:
    return {
        key for place in ("data", "stringData", "binaryData") for key in manifest.get(place, ())
    }
