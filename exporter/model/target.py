"""One image that is watched."""

from dataclasses import dataclass
from typing import NamedTuple


class TargetKey(NamedTuple):
    """What a target is known by: the cloud's configured name and the image's ID."""

    cloud: str
    image_id: str


@dataclass(frozen=True, slots=True)
class Target:
    """A watched image: its labels, and what the operator expects of it.

    ``alias`` is the configured name, or the ID where none is given; ``expect`` holds pairs of
    expectation and wanted value, see ``expectations``. ``properties`` are those that are shown,
    all that are known where it is ``None``.
    """

    cloud: str
    image_id: str
    alias: str
    source: str = "configured"
    expect: tuple[tuple[str, object], ...] = ()
    property_names: frozenset[str] | None = None

    @property
    def key(self) -> TargetKey:
        """What it is known by."""
        return TargetKey(self.cloud, self.image_id)

    @property
    def labels(self) -> tuple[str, str, str]:
        """The values of the labels that every series of an image carries."""
        return (self.cloud, self.image_id, self.alias)

    def select_properties(
        self, properties: tuple[tuple[str, str], ...]
    ) -> tuple[tuple[str, str], ...]:
        """Those of an image's properties that are shown; others are known to be judged only."""
        if self.property_names is None:
            return properties
        return tuple(each for each in properties if each[0] in self.property_names)
