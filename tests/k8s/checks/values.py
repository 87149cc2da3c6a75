"""Checks of values that the schemas accept as text but Kubernetes rejects or misreads."""

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
"""Largest size of all annotations of an object, in bytes.

`kubectl apply` stores the whole object in an annotation.
"""


def quantity(text: str) -> Decimal | None:
    """Return the number of a quantity such as ``128Mi``, or None if it is not a quantity."""
    match = QUANTITY.match(str(text))
    return match and Decimal(match["number"]) * UNITS.get(match["unit"], Decimal(1))


def quantities(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Check that resources are quantities and that no request exceeds its limit."""
    for workload in workloads(manifests):
        for container in workload.containers:
            place = f"{workload.title}: {container['name']}"
            resources = container.get("resources", {})
            requests, limits = resources.get("requests", {}), resources.get("limits", {})
            for name in sorted({"cpu", "memory"} - requests.keys()):
                yield f"{place} requests no {name}"
            if "memory" not in limits:
                yield f"{place} has no memory limit"
            for kind, resource_values in (("requests", requests), ("limits", limits)):
                for name, text in resource_values.items():
                    value = quantity(text)
                    if value is None:
                        yield f"{place} {kind} {text} of {name}, which is not a quantity"
                    elif name == "memory" and value < 2**20:
                        yield f"{place} {kind} {text} of memory, which is less than 1Mi"
            for name in requests.keys() & limits.keys():
                request, limit = quantity(requests[name]), quantity(limits[name])
                if request is not None and limit is not None and request > limit:
                    yield f"{place} requests more {name} than its limit"


def names(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Check the syntax of names, keys and labels."""
    for manifest in manifests:
        name = manifest["metadata"]["name"]
        form = DNS_LABEL if manifest["kind"] in {"Service", "Namespace"} else SUBDOMAIN
        if not form.match(name):
            yield f"{title(manifest)}: {name} is not a valid name"
        yield from (f"{title(manifest)}: {problem}" for problem in _bad_labels(labels(manifest)))
        if manifest["kind"] in {"ConfigMap", "Secret"}:
            for key in {**manifest.get("data", {}), **manifest.get("stringData", {})}:
                if not CONFIG_KEY.match(key):
                    yield f"{title(manifest)}: {key} is not a valid key"
    for workload in workloads(manifests):
        yield from (f"{workload.title}: {problem}" for problem in _bad_labels(workload.labels))
        for container in workload.containers:
            if not DNS_LABEL.match(container["name"]):
                yield f"{workload.title}: {container['name']} is not a valid container name"
            for variable in container.get("env", ()):
                if not VARIABLE.match(variable["name"]):
                    yield f"{workload.title}: {variable['name']} is not a valid variable name"
        for port in workload.ports:
            if not PORT_NAME.match(port.get("name", "-")):
                yield f"{workload.title}: {port.get('name')} is not a valid port name"


def _bad_labels(own_labels: dict[str, str]) -> Iterator[str]:
    for key, value in own_labels.items():
        if not LABEL_KEY.match(key):
            yield f"{key} is not a valid label key"
        if not LABEL_VALUE.match(str(value)):
            yield f"{value} is not a valid value of label {key}"


def images(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Check that every image names a registry and is pinned by tag or digest."""
    for workload in workloads(manifests):
        for container in workload.containers:
            match = IMAGE.match(container["image"])
            if match is None or "." not in match["name"].split("/")[0]:
                yield f"{workload.title}: image {container['image']} names no registry"
            elif match["digest"] is None and match["tag"] in {None, "latest"}:
                yield f"{workload.title}: image {container['image']} is not pinned"


def places(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Check that every object exists once, and in the one namespace."""
    titles = Counter(map(title, manifests))
    yield from (f"{name}: exists {count} times" for name, count in titles.items() if count > 1)
    namespaces = [manifest["metadata"]["name"] for manifest in of_kind(manifests, "Namespace")]
    for manifest in manifests:
        if (
            manifest["kind"] != "Namespace"
            and manifest["metadata"].get("namespace") not in namespaces
        ):
            yield f"{title(manifest)}: not in the namespace {', '.join(namespaces)}"


def sizes(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Check that `kubectl apply` can store every object in an annotation."""
    for manifest in manifests:
        if (size := len(json.dumps(manifest).encode())) >= LARGEST_APPLIED:
            yield f"{title(manifest)}: {size} bytes; kubectl apply accepts {LARGEST_APPLIED}"
