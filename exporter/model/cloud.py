"""State of one cloud, and the problems that follow from it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from exporter.model.outcome import Failed, Reason

CONTRADICTION_MEMORY = 3600.0
"""Seconds for which a contradiction between API servers is remembered and reported as a problem."""


@dataclass(frozen=True, slots=True)
class CycleSummary:
    """Results of one cycle.

    Attributes:
        polls: Number of images that were polled.
        failures: Number of failed polls by reason.
        retries: Number of requests that were sent again.
        found: Number of images that were found.
        requests: Number of requests that were sent.
        accepted: The Image service itself responded and accepted the credentials.
        breaker_open: The circuit breaker is open.
        mass_disappearance: All existing images are gone.
        ended_at: Unix time at which the cycle ended.
        duration: Seconds that the cycle took.
        concurrency_needed: Requests in flight that would poll all images in time, None if unknown.
        unavailable: A 503 with Retry-After forbids all requests until after the cycle.
    """

    polls: int
    failures: Mapping[Reason, int]
    retries: int
    found: int
    requests: int
    accepted: bool
    breaker_open: bool
    mass_disappearance: bool
    ended_at: float
    duration: float
    concurrency_needed: float | None
    unavailable: bool = False


@dataclass(frozen=True, slots=True)
class ClientTotals:
    """Counters of a cloud's client since it was created, and the client's current state.

    Attributes:
        rate_limit_wait: Seconds for which requests were held back.
        authentications: Number of authentication attempts.
        authentication_failures: Number of failed authentication attempts.
        api_version: Version of the API in use.
        clock_skew: Seconds by which the service's clock is ahead.
        token_expires_at: Unix time at which the token in use expires.
        auth_failure: Failure of the last authentication attempt, None if it succeeded.
        capabilities: What the endpoint is known to lack, in one line; None if nothing.
    """

    rate_limit_wait: float
    authentications: int
    authentication_failures: int
    api_version: str | None
    clock_skew: float | None
    token_expires_at: float | None
    auth_failure: Failed | None
    capabilities: str | None = None


@dataclass(frozen=True, slots=True)
class CloudState:
    """State of one cloud at the end of its last cycle.

    Times are seconds since the Unix epoch, durations are seconds, and ``None`` means not known yet.

    Attributes:
        next_cycle_at: Planned start of the next cycle, known once the first has started.
        auth_failure: Failure of the last authentication attempt, None if it succeeded.
        discovery_interval: None without discovery.
        discovery_failure: Failure of the last list request, None if the last one succeeded.
        discovered_at: Time of the last complete list.
        resolved: The image ID that each discovery alias resolved to in the last list.
        resolved_changes: Number of changes of the image ID, for each configured alias.
        contradictions: Number of contradictions between responses of the Image service.
        contradicted_at: Time of the last contradiction, None before the first one.
        capabilities: What the endpoint is known to lack, in one line; None if nothing.
        cut_images: Number of images with a label value that is cut at ``label_value_limit``.
    """

    name: str
    interval: float
    targets: int = 0
    cut_images: int = 0
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
    auth_failure: Failed | None = None
    discovery_interval: float | None = None
    discovery_failure: Failed | None = None
    discovered_at: float | None = None
    resolved: Mapping[str, str] = field(default_factory=dict)
    resolved_changes: Mapping[str, int] = field(default_factory=dict)
    contradictions: int = 0
    contradicted_at: float | None = None
    capabilities: str | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The values of the labels of every series of the cloud."""
        return (self.name,)

    def with_cycle_started(self, lag: float, skipped: int, next_cycle_at: float) -> "CloudState":
        """Return the state when a cycle starts ``lag`` seconds late, after ``skipped`` others."""
        return replace(
            self,
            cycle_lag=lag,
            cycles_skipped=self.cycles_skipped + skipped,
            next_cycle_at=next_cycle_at,
        )

    def with_api_version(self, version: str | None) -> "CloudState":
        """Return the state with the version of the API that was chosen for the next requests."""
        return replace(self, api_version=version)

    def with_open_breaker(self) -> "CloudState":
        """Return the state when the circuit breaker opens in the middle of a cycle."""
        return replace(self, api_up=False, breaker_open=True)

    def with_contradictions(self, count: int, at: float) -> "CloudState":
        """Return the state after ``count`` more contradictions, the last one at ``at``."""
        if not count:
            return self
        return replace(self, contradictions=self.contradictions + count, contradicted_at=at)

    def after_cycle(
        self, cycle: CycleSummary, client: ClientTotals, inherited: "CloudState"
    ) -> "CloudState":
        """Return the state after a cycle.

        Args:
            cycle: Results of the cycle.
            client: Totals of the client that was used, which a reload may have created.
            inherited: State before the client's first cycle: the totals of pollers replaced by a
                reload. They are added so that counters never decrease.
        """
        failures = dict(self.failures)
        for reason, count in cycle.failures.items():
            failures[reason] = failures.get(reason, 0) + count
        return replace(
            self,
            api_up=self._api_up_after(cycle),
            breaker_open=cycle.breaker_open,
            mass_disappearance=cycle.mass_disappearance
            or (self.mass_disappearance and not cycle.found),
            polls=self.polls + cycle.polls,
            failures=failures,
            retries=self.retries + cycle.retries,
            rate_limit_wait=inherited.rate_limit_wait + client.rate_limit_wait,
            last_cycle_at=cycle.ended_at,
            last_cycle_duration=cycle.duration,
            concurrency_needed=cycle.concurrency_needed,
            api_version=client.api_version,
            clock_skew=client.clock_skew,
            token_expires_at=client.token_expires_at,
            authentications=inherited.authentications + client.authentications,
            authentication_failures=inherited.authentication_failures
            + client.authentication_failures,
            auth_failure=client.auth_failure,
            capabilities=client.capabilities,
        )

    def _api_up_after(self, cycle: CycleSummary) -> bool | None:
        if cycle.unavailable:
            return False
        if not cycle.requests and not cycle.breaker_open:
            # Retry-After of a 429 forbade all requests.
            return self.api_up
        return cycle.accepted and not cycle.breaker_open

    def reconfigured(
        self, interval: float, discovery_interval: float | None, aliases: Iterable[str]
    ) -> "CloudState":
        """Return the state with which a new poller continues after a reload.

        ``aliases`` are the discovery aliases of the new configuration. ``discovery_interval`` is
        None without discovery. A failure of the discovery and an open circuit breaker belonged to
        the old poller, so they are reset.
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


class CloudProblem(NamedTuple):
    """Meaning of a problem, and its test at a time in seconds since the epoch."""

    meaning: str
    is_present: Callable[[CloudState, float], bool]


def _is_late(cloud: CloudState, now: float) -> bool:
    return cloud.next_cycle_at is not None and now > cloud.next_cycle_at + cloud.interval


def _servers_disagree(cloud: CloudState, now: float) -> bool:
    return cloud.contradicted_at is not None and now < cloud.contradicted_at + CONTRADICTION_MEMORY


_PROBLEMS: Mapping[str, CloudProblem] = MappingProxyType(
    {
        "api_down": CloudProblem(
            "the Image service accepted no request of the last cycle",
            lambda cloud, _: cloud.api_up is False,
        ),
        "polling_late": CloudProblem("the next cycle is late by more than an interval", _is_late),
        "mass_disappearance": CloudProblem(
            "all images vanished at once: role, project, region or policy?",
            lambda cloud, _: cloud.mass_disappearance,
        ),
        "servers_disagree": CloudProblem(
            "API servers behind the endpoint contradict each other", _servers_disagree
        ),
        "sign_in_failing": CloudProblem(
            "the last sign-in failed",
            lambda cloud, _: cloud.auth_failure is not None,
        ),
        "breaker_open": CloudProblem(
            "polling is reduced to one probe per cycle",
            lambda cloud, _: cloud.breaker_open,
        ),
        "discovery_failing": CloudProblem(
            "the last list request of the discovery failed",
            lambda cloud, _: cloud.discovery_failure is not None,
        ),
        "alias_unresolved": CloudProblem(
            "no image matches an alias of the discovery",
            lambda cloud, _: cloud.discovered_at is not None and bool(unresolved(cloud)),
        ),
    }
)

CLOUD_PROBLEMS: Mapping[str, str] = MappingProxyType(
    {name: problem.meaning for name, problem in _PROBLEMS.items()}
)
"""Every problem that a cloud can have, worst first, and its meaning."""


def cloud_problems(cloud: CloudState, now: float) -> tuple[str, ...]:
    """Return the problems at ``now``, in seconds since the epoch, as keys of ``CLOUD_PROBLEMS``."""
    return tuple(name for name, problem in _PROBLEMS.items() if problem.is_present(cloud, now))


def unresolved(cloud: CloudState) -> tuple[str, ...]:
    """Return the discovery aliases without an image."""
    return tuple(alias for alias in cloud.resolved_changes if alias not in cloud.resolved)
