"""How one target stands: its state in a word, and what is wrong with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from exporter.model.expectations.checks import EXISTS, CheckResult, evaluate
from exporter.model.image import STATUSES
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.target import Target

STATES: Mapping[str, str] = MappingProxyType(
    {
        "gone": "proved not to be visible to these credentials",
        "unknown": "nothing is known, or not any more",
        "pending": "not polled yet",
        "other": "a status that is none of Glance's",
        **{status: f"its status is {status}" for status in STATUSES},
    }
)
"""Every state that a target can be in, and what it means."""


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """A target as it stands at one moment.

    ``seen`` is the observation with values past their time dropped, ``verdicts`` has one for each
    expectation, ``state`` is a key of ``STATES``, ``problems`` keys of ``PROBLEMS``, worst first.
    """

    target: Target
    observation: Observation
    check_results: tuple[CheckResult, ...]
    state: str
    problems: tuple[str, ...]

    @property
    def rank(self) -> int:
        """The place of its worst problem, 0 for the worst; one without any comes last."""
        if self.problems:
            return RANKS[self.problems[0]]
        return len(RANKS) + (self.state != "pending")

    @property
    def failed_checks(self) -> tuple[CheckResult, ...]:
        """The verdicts on expectations that are not met."""
        return tuple(each for each in self.check_results if each.met is False)

    @property
    def unverifiable(self) -> tuple[str, ...]:
        """The expectations that cannot be judged, since the API does not say, of a living image."""
        if self.observation.image is None or not self.observation.exists:
            return ()
        return tuple(each.expectation for each in self.check_results if each.met is None)


Sign = Callable[[Observation, Mapping[str, bool | None]], bool]
"""Whether a problem is there, by what is seen and which expectations are met."""


def _is_gone(seen: Observation, met: Mapping[str, bool | None]) -> bool:
    return seen.exists is False and not met.get(EXISTS)


def _is_not_active(seen: Observation, met: Mapping[str, bool | None]) -> bool:
    return bool(seen.exists and seen.image and not seen.image.is_active) and not met.get("status")


def _is_unexpected(_: Observation, met: Mapping[str, bool | None]) -> bool:
    return False in met.values()


def _is_unknown(seen: Observation, _: Mapping[str, bool | None]) -> bool:
    return seen.exists is None and seen.polled_at is not None


def _is_failing(seen: Observation, _: Mapping[str, bool | None]) -> bool:
    return seen.failure is not None


_SIGNS: Mapping[str, tuple[str, Sign]] = MappingProxyType(
    {
        "gone": ("it is gone or deleted, and not expected to be", _is_gone),
        "not_active": ("its status is not active, nor one that is expected", _is_not_active),
        "unexpected": ("an expectation is not met", _is_unexpected),
        "unknown": ("nothing is known of it, or not any more", _is_unknown),
        "failing": ("its last poll failed", _is_failing),
    }
)

PROBLEMS: Mapping[str, str] = MappingProxyType({name: each for name, (each, _) in _SIGNS.items()})
"""Every problem that an image can have, worst first, and what it means."""

RANKS: Mapping[str, int] = MappingProxyType({name: place for place, name in enumerate(PROBLEMS)})
"""The place of each problem, 0 for the worst."""


def image_status(target: Target, observation: Observation, now: Instant) -> ImageStatus:
    """How ``target`` stands at ``now``."""
    seen = observation.as_of(now)
    found = evaluate(target.expect, seen, now)
    met = {each.expectation: each.met for each in found}
    problems = tuple(name for name, (_, sign) in _SIGNS.items() if sign(seen, met))
    return ImageStatus(target, seen, found, _state(seen), problems)


def _state(seen: Observation) -> str:
    if seen.image is not None:
        return seen.image.status if seen.image.status in STATUSES else "other"
    if seen.exists is False:
        return "gone"
    return "pending" if seen.polled_at is None else "unknown"
