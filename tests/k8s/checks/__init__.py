"""Checks of manifests. A check takes all manifests and yields a line for each problem."""

from collections.abc import Callable, Iterator, Sequence

from tests.k8s.checks.behaviour import draining, network, probing, shards
from tests.k8s.checks.schema import kubernetes, operators
from tests.k8s.checks.security import security
from tests.k8s.checks.values import images, names, places, quantities, sizes
from tests.k8s.checks.wiring import files, ports, references, scheme, selectors, volumes
from tests.k8s.manifest import Manifest

Check = Callable[[Sequence[Manifest]], Iterator[str]]

CHECKS: tuple[Check, ...] = (
    kubernetes,
    operators,
    selectors,
    ports,
    volumes,
    references,
    files,
    scheme,
    quantities,
    names,
    images,
    places,
    sizes,
    security,
    probing,
    shards,
    draining,
    network,
)
