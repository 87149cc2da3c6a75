"""Records of the state file: what a restart must not lose, in a form that can be written.

A record keeps monotonic times of the process that wrote it. ``ClockShift`` converts them by the
wall clock, since another boot may have begun.

No evidence that is incomplete is in a record. An image becomes gone only by responses that the new
process has received itself; an image that was proved to be gone stays gone until it is found.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from exporter.model.changes import ChangeEvent
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.target import OperatorLabels, TargetKey
from exporter.model.units import SizeRange


@dataclass(frozen=True, slots=True)
class Sizes:
    """A ``SizeRange`` with the names of its fields: a list would look like a list of words."""

    least: int | None
    most: int | None


ExpectedValue = bool | str | float | tuple[str, ...] | tuple[tuple[str, str], ...] | Sizes
"""The value of an expectation, in a form that JSON can have."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One watched image.

    Attributes:
        cloud: Name of the cloud.
        image_id: ID of the image.
        observation: Its latest observation, without the image if that is the next attribute.
        is_as_described: The observation's image is that of its change baseline, as it mostly is.
        events: The latest polls that showed a change, the newest first.
    """

    cloud: str
    image_id: str
    observation: Observation
    is_as_described: bool = False
    events: tuple[ChangeEvent, ...] = ()

    @property
    def key(self) -> TargetKey:
        """The identity of the image's target."""
        return TargetKey(self.cloud, self.image_id)


@dataclass(frozen=True, slots=True)
class DiscoveredRecord:
    """One discovered image, see ``DiscoveredImage``."""

    label: str
    matches: bool = True
    gone_since: float | None = None
    expect: tuple[tuple[str, ExpectedValue], ...] = ()
    operator_labels: OperatorLabels = ()


@dataclass(frozen=True, slots=True)
class CloudRecord:
    """One cloud.

    Attributes:
        name: Name of the cloud.
        contradictions: Number of contradictions between responses.
        contradicted_at: Unix time of the last one.
        contradicted_until: Monotonic time until which contradictions are remembered.
        longest_run: See ``ContradictionMemory``.
        mass_disappearance: All images had vanished at once, and none was found since.
        discovered: The discovered images by ID.
        resolved: The image ID that each alias of the discovery last resolved to.
        resolved_changes: Number of changes of that image ID, for each alias.
    """

    name: str
    contradictions: int = 0
    contradicted_at: float | None = None
    contradicted_until: float | None = None
    longest_run: int = 0
    mass_disappearance: bool = False
    discovered: dict[str, DiscoveredRecord] = field(default_factory=dict)
    resolved: dict[str, str] = field(default_factory=dict)
    resolved_changes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SavedState:
    """The content of a state file.

    Attributes:
        saved_at: Time at which it was written.
        shard: Index of the shard and number of shards of the exporter.
        clouds: The clouds.
        images: The images.
    """

    saved_at: Instant
    shard: tuple[int, int]
    clouds: tuple[CloudRecord, ...]
    images: Iterable[ImageRecord]


def image_record(
    key: TargetKey, observation: Observation, events: Iterable[ChangeEvent]
) -> ImageRecord:
    """Return the record of an image."""
    is_as_described = (
        observation.image is not None and observation.image == observation.change_baseline.image
    )
    if is_as_described:
        observation = replace(observation, image=None)
    return ImageRecord(key.cloud, key.image_id, observation, is_as_described, tuple(events))


class ClockShift(NamedTuple):
    """Conversion of the times of an earlier process.

    Attributes:
        delta: Seconds to add to its monotonic times.
        now: The current time.
        is_age_known: False if the wall clock was set back meanwhile, so that time may have passed
            that no clock shows.
    """

    delta: float
    now: Instant
    is_age_known: bool

    @classmethod
    def between(cls, saved_at: Instant, now: Instant) -> "ClockShift":
        """Return the conversion of times at ``saved_at`` or before."""
        elapsed = now.wall - saved_at.wall
        delta = now.monotonic - max(0.0, elapsed) - saved_at.monotonic
        return cls(delta, now, is_age_known=elapsed >= 0)

    def monotonic(self, time: float) -> float:
        """Return a monotonic time of the earlier process as one of this process."""
        return time + self.delta

    def instant(self, instant: Instant) -> Instant:
        """Return an instant of the earlier process; its date stays."""
        return Instant(instant.monotonic + self.delta, instant.wall)

    def optional(self, instant: Instant | None) -> Instant | None:
        """Return an instant of the earlier process, if there is one."""
        return None if instant is None else self.instant(instant)

    def observation(self, record: ImageRecord) -> Observation:
        """Return the observation of an image with the times of this process.

        Values expire when they would have expired without a restart, and at once if their age is
        not known.
        """
        saved = record.observation
        valid_until = self.monotonic(saved.valid_until)
        if not self.is_age_known:
            valid_until = min(valid_until, self.now.monotonic)
        evidence = saved.gone_evidence
        if evidence is not None:
            evidence = replace(evidence, first_404_at=self.monotonic(evidence.first_404_at))
        return replace(
            saved,
            image=saved.change_baseline.image if record.is_as_described else saved.image,
            polled_at=self.optional(saved.polled_at),
            last_success_at=self.optional(saved.last_success_at),
            changed_at=self.optional(saved.changed_at),
            state_since=self.optional(saved.state_since),
            valid_until=valid_until,
            gone_evidence=evidence,
        )

    def events(self, record: ImageRecord) -> Iterable[tuple[TargetKey, ChangeEvent]]:
        """Yield the changes of an image with the times of this process, the oldest first."""
        for event in reversed(record.events):
            yield record.key, event._replace(at=self.instant(event.at))


def written_expectations(
    expect: Iterable[tuple[str, object]],
) -> tuple[tuple[str, ExpectedValue], ...]:
    """Return expectations in the form in which a record has them."""
    return tuple(
        (name, Sizes(*value) if isinstance(value, SizeRange) else value)  # type: ignore[misc]  # the settings have only values of these types
        for name, value in expect
    )


def read_expectations(
    expect: Iterable[tuple[str, ExpectedValue]],
) -> tuple[tuple[str, object], ...]:
    """Return expectations as the model has them."""
    return tuple(
        (name, SizeRange(value.least, value.most) if isinstance(value, Sizes) else value)
        for name, value in expect
    )
