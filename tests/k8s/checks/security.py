"""Check of the Pod Security level `restricted` and of this project's own rules.

See https://kubernetes.io/docs/concepts/security/pod-security-standards/ (Linux pods).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.k8s.manifest import Manifest, Workload, of_kind, title, workloads

VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
PROFILES = frozenset({"RuntimeDefault", "Localhost"})
OLDEST_VERSION = "v1.29"
"""The oldest version of Kubernetes that the manifests support, whose level they enforce."""

Context = dict[str, Any]

POD_RULES: dict[str, Callable[[Manifest], bool]] = {
    "shares the node's namespaces": lambda pod: (
        not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
    ),
    "has a volume that is not allowed": lambda pod: all(
        set(volume) - {"name"} <= VOLUMES for volume in pod.get("volumes", ())
    ),
    "sets sysctls": lambda pod: not pod.get("securityContext", {}).get("sysctls"),
    "gets a Kubernetes API token": lambda pod: pod.get("automountServiceAccountToken") is False,
}
"""Problem of a pod, and the condition that excludes it."""

IDENTITY = ("runAsUser", "runAsGroup", "fsGroup")
REQUIRED_SCC = "openshift.io/required-scc"
"""Annotation that names a security context constraint of OpenShift, which chooses the identity."""

CONTAINER_RULES: dict[str, Callable[[Context], bool]] = {
    "may run as root": lambda context: context.get("runAsNonRoot") is True,
    "is privileged": lambda context: not context.get("privileged"),
    "may gain privileges": lambda context: context.get("allowPrivilegeEscalation") is False,
    "keeps capabilities": lambda context: (
        context.get("capabilities", {}).get("drop") == ["ALL"]
        and not context.get("capabilities", {}).get("add")
    ),
    "has no seccomp profile": lambda context: (
        context.get("seccompProfile", {}).get("type") in PROFILES
    ),
    "unmasks /proc": lambda context: context.get("procMount", "Default") == "Default",
    "chooses its SELinux user": lambda context: not context.get("seLinuxOptions"),
    "disables AppArmor": lambda context: (
        context.get("appArmorProfile", {}).get("type", "RuntimeDefault") in PROFILES
    ),
    "can write to its root": lambda context: context.get("readOnlyRootFilesystem") is True,
}
"""Problem of a container, and the condition on its security context that excludes it."""


def security(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Check that pods satisfy `restricted`, write nothing and get no API token."""
    for workload in workloads(manifests):
        yield from (f"{workload.title}: {problem}" for problem in _of_pod(workload))
    for account in of_kind(manifests, "ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"{title(account)}: its token is mounted"
    for namespace in of_kind(manifests, "Namespace"):
        labels = namespace["metadata"]["labels"]
        for mode in ("enforce", "warn"):
            level = labels.get(f"pod-security.kubernetes.io/{mode}")
            if level != "restricted":
                yield f"{title(namespace)}: has the level {level} to {mode}"
            version = labels.get(f"pod-security.kubernetes.io/{mode}-version")
            if version != OLDEST_VERSION:
                yield f"{title(namespace)}: has the level of version {version} to {mode}"


def _of_pod(workload: Workload) -> Iterator[str]:
    yield from (problem for problem, holds in POD_RULES.items() if not holds(workload.pod))
    shared = workload.pod.get("securityContext", {})
    yield from _identity(workload.manifest["spec"]["template"]["metadata"], shared)
    for container in workload.containers:
        context = {**shared, **container.get("securityContext", {})}
        for problem, holds in CONTAINER_RULES.items():
            if not holds(context):
                yield f"{container['name']} {problem}"
        if any("hostPort" in port for port in container.get("ports", ())):
            yield f"{container['name']} uses a host port"
        for mount in container.get("volumeMounts", ()):
            if not mount.get("readOnly"):
                yield f"{mount['name']} is writable"


def _identity(metadata: Manifest, context: Context) -> Iterator[str]:
    """Check that user and groups are fixed, and not root; on OpenShift that they are not fixed."""
    is_on_openshift = metadata.get("annotations", {}).get(REQUIRED_SCC) == "restricted-v2"
    for key in IDENTITY:
        if is_on_openshift and key in context:
            yield f"fixes {key}, which OpenShift refuses"
        elif not is_on_openshift and context.get(key, 0) <= 0:
            yield f"has no {key} or that of root"
