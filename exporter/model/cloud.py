"""State of one cloud, and the problems that it shows."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from exporter.model.outcome import Failed, Reason


@dataclass(frozen=True, slots=True)
class CloudState:
    """One cloud, as of its last finished cycle where nothing else is said.

    Times are seconds since the Unix epoch, durations are seconds; ``None`` is not known yet.
    ``sign_in_failure`` says why the last sign-in failed, None where it did not.
    ``next_cycle_at`` is when the next cycle is to start, known once the first has begun.
    ``resolved`` has the image ID that each alias of a discovery stands for, as of the last list;
    ``discovery_interval`` is None where nothing is to be discovered, ``discovery_failure`` says
    why the last list that was asked for is not there.
    """

    name: str
    interval: float
    targets: int = 0
    api_up: bool | None = None
    breaker_open: bool = False
    mass_disappearance: bool = False
    polls: int = 0
    failures: Mapping[Reason, int] = field(default_factory=dict)
    retries: int = 0
    rate_limit_wait: float = 0.0
    last_cycle_at: float | None = None
    last_cycle_duration: float | None = None
    next_cycle_at: float | None = None
    cycles_skipped: int = 0
    cycle_lag: float | None = None
    concurrency_needed: float | None = None
    api_version: str | None = None
    clock_skew: float | None = None
    token_expires_at: float | None = None
    authentications: int = 0
    authentication_failures: int = 0
    sign_in_failure: str | None = None
    discovery_interval: float | None = None
    discovery_failure: Failed | None = None
    discovered_at: float | None = None
    resolved: Mapping[str, str] = field(default_factory=dict)
    resolved_changes: Mapping[str, int] = field(default_factory=dict)

    def reconfigured(
        self, interval: float, discovery_interval: float | None, aliases: Iterable[str]
    ) -> "CloudState":
        """Return the state with which a new poller continues after a reload.

        ``aliases`` are those of the new configuration, and ``discovery_interval`` is None without
        discovery. A failure of the discovery and an open circuit breaker belonged to the old
        poller.
        """
        changes = {alias: self.resolved_changes.get(alias, 0) for alias in aliases}
        return replace(
            self,
            interval=interval,
            discovery_interval=discovery_interval,
            discovery_failure=None,
            breaker_open=False,
            discovered_at=None if discovery_interval is None else self.discovered_at,
            resolved={alias: self.resolved[alias] for alias in self.resolved if alias in changes},
            resolved_changes=changes,
        )


Check = Callable[[CloudState, float], bool]
"""Whether a trouble is there at a time, in seconds since the epoch."""


def _is_late(cloud: CloudState, now: float) -> bool:
    return cloud.next_cycle_at is not None and now > cloud.next_cycle_at + cloud.interval


_CHECKS: Mapping[str, tuple[str, Check]] = MappingProxyType(
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
    {name: meaning for name, (meaning, _) in _CHECKS.items()}
)
"""Every trouble that a cloud can have, worst first, and what it means."""


def cloud_problems(cloud: CloudState, now: float) -> tuple[str, ...]:
    """The keys of ``CLOUD_PROBLEMS`` that are there at ``now``, in seconds since the epoch."""
    return tuple(name for name, (_, check) in _CHECKS.items() if check(cloud, now))


def unresolved(cloud: CloudState) -> tuple[str, ...]:
    """The aliases of a discovery for which there is no image."""
    return tuple(alias for alias in cloud.resolved_changes if alias not in cloud.resolved)
