"""What is wrong with a cloud."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from exporter.model.cloud import CloudState

Sign = Callable[[CloudState, float], bool]
"""Whether a trouble is there at a time, in seconds since the epoch."""


def _is_late(cloud: CloudState, now: float) -> bool:
    return cloud.next_cycle_at is not None and now > cloud.next_cycle_at + cloud.interval


_SIGNS: Mapping[str, tuple[str, Sign]] = MappingProxyType(
    {
        "api_down": (
            "no request of the last cycle was answered with accepted credentials",
            lambda cloud, _: cloud.api_up is False,
        ),
        "polling_late": ("the next cycle is late by more than an interval", _is_late),
        "mass_disappearance": (
            "all images vanished at once: role, project, region or policy?",
            lambda cloud, _: cloud.mass_disappearance,
        ),
        "sign_in_failing": (
            "the last sign-in failed",
            lambda cloud, _: cloud.sign_in_failure is not None,
        ),
        "breaker_open": (
            "polling is reduced to one probe a cycle",
            lambda cloud, _: cloud.breaker_open,
        ),
        "discovery_failing": (
            "the last list for discovery failed",
            lambda cloud, _: cloud.discovery_failure is not None,
        ),
        "alias_unresolved": (
            "there is no image for an alias of a discovery",
            lambda cloud, _: cloud.discovered_at is not None and bool(unresolved(cloud)),
        ),
    }
)

CLOUD_PROBLEMS: Mapping[str, str] = MappingProxyType(
    {name: each for name, (each, _) in _SIGNS.items()}
)
"""Every trouble that a cloud can have, worst first, and what it means."""


def cloud_problems(cloud: CloudState, now: float) -> tuple[str, ...]:
    """The keys of ``CLOUD_PROBLEMS`` that are there at ``now``, in seconds since the epoch."""
    return tuple(name for name, (_, sign) in _SIGNS.items() if sign(cloud, now))


def unresolved(cloud: CloudState) -> tuple[str, ...]:
    """The aliases of a discovery for which there is no image."""
    return tuple(alias for alias in cloud.resolved_changes if alias not in cloud.resolved)
