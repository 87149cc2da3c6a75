"""Accessors for manifests."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]

WORKLOADS = frozenset({"Deployment", "StatefulSet"})
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def title(manifest: Manifest) -> str:
    """Return kind and name, as shown in the description of a problem."""
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def of_kind(manifests: Sequence[Manifest], *kinds: str) -> Iterator[Manifest]:
    """Return the manifests of these kinds."""
    return (manifest for manifest in manifests if manifest["kind"] in kinds)


def labels(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of a manifest or of a pod template."""
    own_labels: dict[str, str] = manifest["metadata"].get("labels", {})
    return own_labels


@dataclass(frozen=True)
class Workload:
    """A manifest that creates pods."""

    manifest: Manifest

    @property
    def title(self) -> str:
        """Kind and name, as shown in the description of a problem."""
        return title(self.manifest)

    @property
    def labels(self) -> dict[str, str]:
        """Labels of its pods."""
        return labels(self.manifest["spec"]["template"])

    @property
    def pod(self) -> Manifest:
        """Specification of its pods."""
        spec: Manifest = self.manifest["spec"]["template"]["spec"]
        return spec

    @property
    def containers(self) -> list[Manifest]:
        """Containers of its pods, including init containers."""
        return [*self.pod.get("initContainers", ()), *self.pod["containers"]]

    @property
    def ports(self) -> list[Manifest]:
        """Ports of all its containers."""
        return [port for container in self.containers for port in container.get("ports", ())]

    def has_port(self, port: str | int) -> bool:
        """Return True if a container has this port, by name or number."""
        key = "name" if isinstance(port, str) else "containerPort"
        return any(own_port.get(key) == port for own_port in self.ports)

    @property
    def volumes(self) -> dict[str, Manifest]:
        """Volumes by name."""
        return {volume["name"]: volume for volume in self.pod.get("volumes", ())}


def workloads(manifests: Sequence[Manifest]) -> list[Workload]:
    """Return the manifests that create pods."""
    return [Workload(manifest) for manifest in of_kind(manifests, *WORKLOADS)]


def selected(selector: Mapping[str, str], manifests: Sequence[Manifest]) -> list[Workload]:
    """Return the workloads whose pods have all these labels."""
    return [
        workload for workload in workloads(manifests) if selector.items() <= workload.labels.items()
    ]


def probes(container: Manifest) -> Iterator[tuple[str, Manifest]]:
    """Return the probes of a container with their names."""
    return ((name, container[name]) for name in PROBES if name in container)
