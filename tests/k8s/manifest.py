"""Reading manifests: what the checks ask of them, in one place."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]

WORKLOADS = frozenset({"Deployment", "StatefulSet"})
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def title(manifest: Manifest) -> str:
    """What a problem calls a manifest: its kind and name."""
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def of_kind(manifests: Sequence[Manifest], *kinds: str) -> Iterator[Manifest]:
    """The manifests of these kinds."""
    return (each for each in manifests if each["kind"] in kinds)


def labels(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The labels of a manifest, or of a pod's template."""
    found: dict[str, str] = manifest["metadata"].get("labels", {})
    return found


@dataclass(frozen=True)
class Workload:
    """A manifest that makes pods."""

    manifest: Manifest

    @property
    def title(self) -> str:
        """What a problem calls it."""
        return title(self.manifest)

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its pods."""
        return labels(self.manifest["spec"]["template"])

    @property
    def pod(self) -> Manifest:
        """What its pods are to be."""
        found: Manifest = self.manifest["spec"]["template"]["spec"]
        return found

    @property
    def containers(self) -> list[Manifest]:
        """The containers of its pods, those that come first included."""
        return [*self.pod.get("initContainers", ()), *self.pod["containers"]]

    @property
    def ports(self) -> list[Manifest]:
        """The ports of all its containers."""
        return [port for each in self.containers for port in each.get("ports", ())]

    def has_port(self, port: str | int) -> bool:
        """Whether a container has this port, by name or number."""
        key = "name" if isinstance(port, str) else "containerPort"
        return any(each.get(key) == port for each in self.ports)

    @property
    def volumes(self) -> dict[str, Manifest]:
        """The volumes by name."""
        return {each["name"]: each for each in self.pod.get("volumes", ())}


def workloads(manifests: Sequence[Manifest]) -> list[Workload]:
    """All that make pods."""
    return [Workload(each) for each in of_kind(manifests, *WORKLOADS)]


def selected(selector: Mapping[str, str], manifests: Sequence[Manifest]) -> list[Workload]:
    """The workloads whose pods have all these labels."""
    return [each for each in workloads(manifests) if selector.items() <= each.labels.items()]


def probes(container: Manifest) -> Iterator[tuple[str, Manifest]]:
    """The probes that a container has, by name."""
    return ((name, container[name]) for name in PROBES if name in container)
