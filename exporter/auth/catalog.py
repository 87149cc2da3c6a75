"""Choice of the Image service's endpoint in Keystone's catalog.

Two regions, or two image services of one region, have different images. An endpoint that was chosen
by the order of the catalog would make every image of the other one look deleted, so a choice that
the configuration leaves open is refused.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from keystoneauth1.access.service_catalog import ServiceCatalog
from keystoneauth1.discover import EndpointData

from exporter.auth.base import AuthError
from exporter.text import single_line
from exporter.transport.url import base_url

MAX_NAMES = 10
"""Names of the catalog that an error lists."""

MAX_NAME = 60
"""Characters of a name in an error."""

REGION_KEYS = "region_name in clouds.yaml, region in the settings, or OS_REGION_NAME"
SERVICE_KEYS = "image_service_name in clouds.yaml or in the settings, or OS_IMAGE_SERVICE_NAME"


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """The entry of the catalog to use. ``override`` is an endpoint to use instead."""

    region: str | None
    interface: str | list[str]
    service_type: str = "image"
    service_name: str | None = None
    override: str | None = None


class Endpoint(NamedTuple):
    """An endpoint in the catalog: its base URL, its region and the name of its service."""

    url: str
    region: str | None
    service: str | None

    def is_moved_from(self, first: "Endpoint") -> bool:
        """Return True if this is another region or another service than ``first``."""
        return self.url != first.url and self[1:] != first[1:]


def find_endpoint(catalog: ServiceCatalog, entry: CatalogEntry) -> Endpoint:
    """Return the endpoint that the entry selects, whatever the order of the catalog.

    Raises:
        AuthError: The entry selects no endpoint, or more than one.
    """
    interfaces = _interfaces(catalog, entry)
    endpoints = catalog.get_endpoint_data_list(entry.service_type, interface=None)
    if not endpoints:
        types = _listed(service["type"] for service in catalog.normalize_catalog())
        problem = f"has no {entry.service_type} endpoint; service types in it: {types or 'none'}"
        raise _rejected(f"{problem}; correct image_service_type, or the project")
    if entry.service_name:
        endpoints = _select(
            endpoints,
            # keystoneauth accepts a service without name, too.
            lambda endpoint: endpoint.service_name in {None, entry.service_name},
            f"has no {entry.service_type} service named {_shown(entry.service_name)}",
            lambda endpoint: endpoint.service_name,
            SERVICE_KEYS,
        )
    if entry.region:
        endpoints = _select(
            endpoints,
            lambda endpoint: endpoint.region_name == entry.region,
            f"has no {entry.service_type} endpoint for region {_shown(entry.region)}",
            lambda endpoint: endpoint.region_name,
            REGION_KEYS,
        )
    endpoints = _select(
        endpoints,
        lambda endpoint: endpoint.interface in interfaces,
        f"has no {entry.service_type} endpoint for region {_shown(entry.region or 'any')}, "
        f"interface {' or '.join(map(_shown, interfaces))}",
        lambda endpoint: endpoint.interface,
        "interface, or OS_INTERFACE",
    )
    return _only_endpoint(endpoints, interfaces, entry)


def _select(
    endpoints: Sequence[EndpointData],
    is_selected: Callable[[EndpointData], bool],
    problem: str,
    name_of: Callable[[EndpointData], str | None],
    keys: str,
) -> list[EndpointData]:
    selected = [endpoint for endpoint in endpoints if is_selected(endpoint)]
    if not selected:
        raise _rejected(f"{problem}; it has {_listed(map(name_of, endpoints))}; correct {keys}")
    return selected


def _only_endpoint(
    endpoints: Sequence[EndpointData], interfaces: Sequence[str], entry: CatalogEntry
) -> Endpoint:
    """Return the endpoint if all regions and services of these endpoints share one URL."""

    def preference(endpoint: EndpointData) -> tuple[int, bool, str]:
        url = str(endpoint.url)
        return interfaces.index(endpoint.interface or ""), not url.startswith("https:"), url

    best: dict[object, EndpointData] = {}
    for endpoint in sorted(endpoints, key=preference):
        best.setdefault(
            (endpoint.region_name, endpoint.service_id, endpoint.service_name), endpoint
        )
    candidates = [
        Endpoint(_base_url(endpoint, entry), endpoint.region_name, endpoint.service_name)
        for endpoint in best.values()
    ]
    if len({candidate.url for candidate in candidates}) == 1:
        return candidates[0]
    kind = entry.service_type
    if len({candidate.region for candidate in candidates}) > 1:
        names = _listed(candidate.region for candidate in candidates)
        raise _rejected(f"has {kind} endpoints in several regions, {names}; set {REGION_KEYS}")
    names = _listed(candidate.service for candidate in candidates)
    problem = f"has several {kind} services in region {_shown(candidates[0].region)}, {names}"
    if len({candidate.service for candidate in candidates}) > 1:
        raise _rejected(f"{problem}; set {SERVICE_KEYS}")
    raise _rejected(f"{problem}, that share this name; set image_endpoint_override in clouds.yaml")


def _base_url(endpoint: EndpointData, entry: CatalogEntry) -> str:
    try:
        return base_url(str(endpoint.url))
    except ValueError:
        region, interface = _shown(endpoint.region_name), _shown(endpoint.interface)
        raise _rejected(
            f"has an unusable URL for the {entry.service_type} endpoint for region {region}, "
            f"interface {interface}"
        ) from None


def _interfaces(catalog: ServiceCatalog, entry: CatalogEntry) -> list[str]:
    names = [entry.interface] if isinstance(entry.interface, str) else entry.interface
    return [catalog.normalize_interface(name) for name in names]


def _rejected(problem: str) -> AuthError:
    return AuthError("rejected", f"the catalog {problem}")


def _listed(names: Iterable[str | None]) -> str:
    """Return the different names, sorted, and only the number of those beyond ten."""
    different = sorted({_shown(name) for name in names})
    more = len(different) - MAX_NAMES
    return ", ".join(different[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def _shown(name: str | None) -> str:
    return single_line(str(name), MAX_NAME) if name else "(without name)"
