"""Values that a schema takes for text, and Kubernetes refuses, or takes for something else."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal

from tests.k8s.manifest import Manifest, labels, of_kind, title, workloads

SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")
PORT_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*$")
CONFIG_KEY = re.compile(r"[A-Za-z0-9._-]{1,253}$")
LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$")
IMAGE = re.compile(
    r"(?P<name>[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)+)"
    r"(:(?P<tag>[\w][\w.-]{0,127}))?(@sha256:(?P<digest>[0-9a-f]{64}))?$"
)
QUANTITY = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")
UNITS = {
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
    "m": Decimal("0.001"),
}

LARGEST_APPLIED = 262_144
"""Bytes of all annotations of one object: `kubectl apply` keeps the whole object in one."""


def quantity(text: str) -> Decimal | None:
    """The number that a quantity such as ``128Mi`` is; ``None`` for what is none."""
    found = QUANTITY.match(str(text))
    return found and Decimal(found["number"]) * UNITS.get(found["unit"], Decimal(1))


def quantities(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Resources are quantities, memory in bytes, and nothing asks for more than its limit."""
    for workload in workloads(manifests):
        for container in workload.containers:
            place = f"{workload.title}: {container['name']}"
            resources = container.get("resources", {})
            requests, limits = resources.get("requests", {}), resources.get("limits", {})
            for name in sorted({"cpu", "memory"} - requests.keys()):
                yield f"{place} requests no {name}"
            if "memory" not in limits:
                yield f"{place} has no limit of its memory"
            for kind, given in (("requests", requests), ("limits", limits)):
                for name, text in given.items():
                    value = quantity(text)
                    if value is None:
                        yield f"{place} {kind} {text} of {name}, which is no quantity"
                    elif name == "memory" and value < 2**20:
                        yield f"{place} {kind} {text} of memory, which is less than 1Mi"
            for name in requests.keys() & limits.keys():
                asked, most = quantity(requests[name]), quantity(limits[name])
                if asked is not None and most is not None and asked > most:
                    yield f"{place} requests more {name} than its limit"


def names(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Names of objects, containers, ports, variables, keys and labels can be such."""
    for each in manifests:
        name = each["metadata"]["name"]
        form = DNS_LABEL if each["kind"] in {"Service", "Namespace"} else SUBDOMAIN
        if not form.match(name):
            yield f"{title(each)}: {name} cannot be a name"
        yield from (f"{title(each)}: {problem}" for problem in _bad_labels(labels(each)))
        if each["kind"] in {"ConfigMap", "Secret"}:
            for key in {**each.get("data", {}), **each.get("stringData", {})}:
                if not CONFIG_KEY.match(key):
                    yield f"{title(each)}: {key} cannot be a key"
    for workload in workloads(manifests):
        yield from (f"{workload.title}: {problem}" for problem in _bad_labels(workload.labels))
        for container in workload.containers:
            if not DNS_LABEL.match(container["name"]):
                yield f"{workload.title}: {container['name']} cannot be a container's name"
            for variable in container.get("env", ()):
                if not VARIABLE.match(variable["name"]):
                    yield f"{workload.title}: {variable['name']} cannot be a variable's name"
        for port in workload.ports:
            if not PORT_NAME.match(port.get("name", "-")):
                yield f"{workload.title}: {port.get('name')} cannot be a port's name"


def _bad_labels(found: dict[str, str]) -> Iterator[str]:
    for key, value in found.items():
        if not LABEL_KEY.match(key):
            yield f"{key} cannot be a label"
        if not LABEL_VALUE.match(str(value)):
            yield f"{value} cannot be the value of label {key}"


def images(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Every image is of a registry, and is pinned, by tag or digest."""
    for workload in workloads(manifests):
        for container in workload.containers:
            found = IMAGE.match(container["image"])
            if found is None or "." not in found["name"].split("/")[0]:
                yield f"{workload.title}: image {container['image']} names no registry"
            elif found["digest"] is None and found["tag"] in {None, "latest"}:
                yield f"{workload.title}: image {container['image']} is not pinned"


def places(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Every object is there once, and all are in the one namespace."""
    counted = Counter(title(each) for each in manifests)
    yield from (f"{name}: there {count} times" for name, count in counted.items() if count > 1)
    namespaces = [each["metadata"]["name"] for each in of_kind(manifests, "Namespace")]
    for each in manifests:
        if each["kind"] != "Namespace" and each["metadata"].get("namespace") not in namespaces:
            yield f"{title(each)}: not in the namespace {', '.join(namespaces)}"


def sizes(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Every object can be applied from the client, which keeps it in an annotation."""
    for each in manifests:
        if (size := len(json.dumps(each).encode())) >= LARGEST_APPLIED:
            yield f"{title(each)}: {size} bytes, kubectl apply takes {LARGEST_APPLIED}"
