"""What Keystone says of a token: whose it is, how long it lasts, and the catalogue."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class CatalogueEndpoint:
    """One address of one service, as the catalogue lists it."""

    url: str
    region: str = "RegionOne"
    interface: str = "public"
    service_type: str = "image"


def token_document(
    methods: list[str], endpoints: Iterable[CatalogueEndpoint], issued: float, life: float
) -> dict[str, Any]:
    """The body of the answer that carries a token; ``issued`` is Unix seconds, ``life`` seconds."""
    services: dict[str, list[dict[str, str]]] = {}
    for number, endpoint in enumerate(endpoints):
        services.setdefault(endpoint.service_type, []).append(
            {
                "id": f"endpoint-{number}",
                "interface": endpoint.interface,
                "region": endpoint.region,
                "region_id": endpoint.region,
                "url": endpoint.url,
            }
        )
    domain = {"id": "default", "name": "Default"}
    return {
        "token": {
            "methods": methods,
            "user": {"id": "u1", "name": "demo", "domain": domain},
            "project": {"id": "p1", "name": "demo", "domain": domain},
            "roles": [{"id": "r1", "name": "reader"}],
            "audit_ids": ["simulated"],
            "issued_at": _isotime(issued),
            "expires_at": _isotime(issued + life),
            "catalog": [
                {"id": f"service-{kind}", "type": kind, "name": kind, "endpoints": listed}
                for kind, listed in services.items()
            ],
        }
    }


def _isotime(moment: float) -> str:
    """As Keystone writes times: ``2026-01-01T00:00:00.000000Z``."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
