"""Capabilities of one endpoint, as far as refused requests have shown them.

A refusal of a list says little about the service: old releases lack some parameters, and gateways
refuse long requests or all lists, while single images work. So each refusal is remembered as a fact
of its own, for a limited time, because a service may be upgraded or a policy changed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf

PARAMETER_MEMORY = 3600.0
"""Seconds for which refused parameters and the length of lists are remembered."""

LIST_MEMORY = 900.0
"""Seconds after which a list is requested again at an endpoint that refused lists."""

_KEPT_PARAMETERS = frozenset({"id", "limit", "marker"})
"""Parameters without which a list would not have the images that are wanted."""

_PARAMETER = re.compile(r"[?&]([^&=]+)=([^&]*)")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Capabilities of an endpoint; immutable. Times are monotonic seconds.

    Attributes:
        refused: Parameters that lists do without, see ``parameters``.
        accepted: Parameters with which a list was not refused.
        tried_at: Time at which a parameter was tried last.
        max_id_bytes: Bytes of IDs that fit into a list, with a comma each; None if all lists fit.
        measured_at: Time at which ``max_id_bytes`` was found.
        lists_refused: How lists were refused while a single image was found, or an empty string.
        refused_at: Time at which they were refused.
    """

    refused: frozenset[str] = frozenset()
    accepted: frozenset[str] = frozenset()
    tried_at: float = -inf
    max_id_bytes: int | None = None
    measured_at: float = -inf
    lists_refused: str = ""
    refused_at: float = -inf

    @property
    def summary(self) -> str:
        """The capabilities that lack something, in one line; empty if nothing is known to lack."""
        parts = []
        if self.lists_refused:
            parts.append(f"refused with {self.lists_refused}, polling images one by one")
        if self.max_id_bytes is not None:
            parts.append(f"refused if they name more than {self.max_id_bytes:,} bytes of IDs")
        if self.refused:
            parts.append(f"refused with the parameters {', '.join(sorted(self.refused))}")
        return f"lists: {'; '.join(parts)}" if parts else ""

    @property
    def refused_visibilities(self) -> frozenset[str]:
        """The values of ``visibility`` that are refused."""
        prefix = "visibility="
        return frozenset(p.removeprefix(prefix) for p in self.refused if p.startswith(prefix))

    def untried(self, path: str) -> tuple[tuple[str, str], ...]:
        """Return the parameters of a list that were not tried by themselves, and their queries."""
        tried = self.refused | self.accepted
        return tuple((name, query) for name, query in parameters(path) if name not in tried)

    def accepted_path(self, path: str) -> str:
        """Return the path of a list without refused parameters.

        A value of ``visibility`` stays: without it, the list would lack images. ``ListFilters``
        replaces it.
        """
        for name, query in parameters(path):
            if name in self.refused and not name.startswith("visibility="):
                path = path.replace(f"&{query}", "", 1)
        return path

    def with_refused(self, parameter: str, now: float) -> "Capabilities":
        """Return the capabilities after a list with only this parameter was refused."""
        return replace(self, refused=self.refused | {parameter}, tried_at=now)

    def with_accepted(self, parameter: str, now: float) -> "Capabilities":
        """Return the capabilities after a list with only this parameter was not refused."""
        return replace(self, accepted=self.accepted | {parameter}, tried_at=now)

    def with_max_id_bytes(self, max_id_bytes: int, now: float) -> "Capabilities":
        """Return the capabilities after longer lists were refused."""
        return replace(self, max_id_bytes=max_id_bytes, measured_at=now)

    def with_lists_refused(self, how: str, now: float) -> "Capabilities":
        """Return the capabilities after lists were refused while a single image was found."""
        return replace(self, lists_refused=how, refused_at=now)

    def at(self, now: float) -> "Capabilities":
        """Return the capabilities without the facts that are too old."""
        fresh = self
        if now > self.tried_at + PARAMETER_MEMORY:
            fresh = replace(fresh, refused=frozenset(), accepted=frozenset())
        if now > self.measured_at + PARAMETER_MEMORY:
            fresh = replace(fresh, max_id_bytes=None)
        if now > self.refused_at + LIST_MEMORY:
            fresh = replace(fresh, lists_refused="")
        return fresh


def parameters(path: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters of a list that it can do without, and each one as a query.

    A parameter is known by its name, or a value of ``visibility`` as ``visibility=all``: services
    accept some of its values and refuse others.
    """
    for name, value in _PARAMETER.findall(path):
        if name not in _KEPT_PARAMETERS:
            query = f"{name}={value}"
            yield (query if name == "visibility" else name), query
