"""Memory of paths that refuse every token with 401, so that none is renewed because of them.

Gateways refuse lists with 401 while they accept the same token for single images. A sign-in for
each such response would burden Keystone in every cycle.
"""

from dataclasses import dataclass, field
from math import inf

MEMORY = 900.0
"""Seconds after which a token is renewed again because of such a path."""


@dataclass(slots=True)
class TokenRefusals:
    """Paths that refused a new token; thread-safe. Times are monotonic seconds."""

    _refused_until: dict[str, float] = field(default_factory=dict)
    _accepted_generation: int = 0

    def may_renew(self, path: str, generation: int, now: float) -> bool:
        """Return True if the token itself may be the reason for a 401.

        It is not if the path refused a new token before, and another path has accepted this one.
        """
        is_accepted = generation <= self._accepted_generation
        return not is_accepted or self._refused_until.get(path, -inf) < now

    def on_accepted(self, path: str, generation: int) -> None:
        """Record that a request with the token was accepted."""
        self._refused_until.pop(path, None)
        self._accepted_generation = max(self._accepted_generation, generation)

    def on_new_token_refused(self, path: str, now: float) -> None:
        """Record that a request with a token that was just renewed is 401 as well."""
        self._refused_until[path] = now + MEMORY
