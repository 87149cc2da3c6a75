"""State of one image in one word, and its problems."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from exporter.model.expectations.checks import EXISTS, CheckResult, evaluate
from exporter.model.image import STATUSES
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.target import Target

STATES: Mapping[str, str] = MappingProxyType(
    {
        "gone": "proved not to be visible to these credentials",
        "unknown": "no poll has succeeded, or not recently enough",
        "pending": "no poll has finished yet",
        "other": "a status that Glance does not document",
        "queued": "registered, but without data",
        "saving": "its data is being uploaded",
        "uploading": "its data is being uploaded for an import",
        "importing": "its data is being imported",
        "active": "complete, machines can boot from it",
        "deactivated": "only administrators can read its data",
        "killed": "its upload has failed",
        "deleted": "deleted, as an administrator still sees it",
        "pending_delete": "deleted, but its data is kept for a while",
    }
)
"""Every state of an image, and its meaning."""

assert STATES.keys() >= set(STATUSES), (  # noqa: S101  # every status needs its meaning
    f"STATES lacks {set(STATUSES) - STATES.keys()}"
)


def state_of(observation: Observation) -> str:
    """Return the state, a key of ``STATES``.

    ``observation`` must be one as of now, see ``Observation.as_of``.
    """
    if observation.image is not None:
        return observation.image.status if observation.image.status in STATUSES else "other"
    if observation.exists is False:
        return "gone"
    return "pending" if observation.polled_at is None else "unknown"


def severity(state: str) -> Literal["good", "bad", "unknown"]:
    """Return the severity of a state. Machines boot only from an active image."""
    if state in {"pending", "unknown"}:
        return "unknown"
    return "good" if state == "active" else "bad"


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """State and problems of a target at one moment.

    Attributes:
        target: The watched image.
        observation: The observation as of that moment, without expired values.
        check_results: One result for each expectation.
        state: A key of ``STATES``.
        problems: Keys of ``PROBLEMS``, worst first.
    """

    target: Target
    observation: Observation
    check_results: tuple[CheckResult, ...]
    state: str
    problems: tuple[str, ...]

    @property
    def rank(self) -> int:
        """Sort key by worst problem: 0 for the worst, images without problems last."""
        if self.problems:
            return RANKS[self.problems[0]]
        return len(RANKS) + (self.state != "pending")

    @property
    def failed_checks(self) -> tuple[CheckResult, ...]:
        """Results of the expectations that are not met."""
        return tuple(result for result in self.check_results if result.met is False)

    @property
    def unverifiable(self) -> tuple[str, ...]:
        """Expectations of an existing image that cannot be evaluated from the API's response."""
        if self.observation.image is None or not self.observation.exists:
            return ()
        return tuple(result.expectation for result in self.check_results if result.met is None)


class ImageProblem(NamedTuple):
    """Meaning of a problem, and its test by the observation and the results of expectations."""

    meaning: str
    is_present: Callable[[Observation, Mapping[str, bool | None]], bool]


def _is_gone(observation: Observation, met: Mapping[str, bool | None]) -> bool:
    return observation.exists is False and not met.get(EXISTS)


def _is_not_active(observation: Observation, met: Mapping[str, bool | None]) -> bool:
    image = observation.image
    is_inactive = bool(observation.exists and image and not image.is_active)
    return is_inactive and not met.get("status")


def _is_unexpected(_: Observation, met: Mapping[str, bool | None]) -> bool:
    return False in met.values()


def _is_unknown(observation: Observation, _: Mapping[str, bool | None]) -> bool:
    return observation.exists is None and observation.polled_at is not None


def _is_failing(observation: Observation, _: Mapping[str, bool | None]) -> bool:
    return observation.failure is not None


_PROBLEMS: Mapping[str, ImageProblem] = MappingProxyType(
    {
        "gone": ImageProblem("it is gone or deleted, and not expected to be", _is_gone),
        "not_active": ImageProblem(
            "its status is neither active nor an expected one", _is_not_active
        ),
        "unexpected": ImageProblem("an expectation is not met", _is_unexpected),
        "unknown": ImageProblem("its state is not known, or no longer", _is_unknown),
        "failing": ImageProblem("its last poll failed", _is_failing),
    }
)

PROBLEMS: Mapping[str, str] = MappingProxyType(
    {name: problem.meaning for name, problem in _PROBLEMS.items()}
)
"""Every problem that an image can have, worst first, and its meaning."""

RANKS: Mapping[str, int] = MappingProxyType({name: rank for rank, name in enumerate(PROBLEMS)})
"""The rank of each problem, 0 for the worst."""


def image_status(target: Target, observation: Observation, now: Instant) -> ImageStatus:
    """Return the status of ``target`` at ``now``."""
    current = observation.as_of(now)
    results = evaluate(target.expect, current, now)
    met = {result.expectation: result.met for result in results}
    problems = tuple(
        name for name, problem in _PROBLEMS.items() if problem.is_present(current, met)
    )
    return ImageStatus(target, current, results, state_of(current), problems)
