"""One watched image."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from exporter.model.image import Image
from exporter.text import escape, is_larger

DEFAULT_LABEL_VALUE_LIMIT = 512
"""The default of the setting ``label_value_limit``."""


INFO_ATTRIBUTES = ("name", "project_id", "disk_format", "container_format", "visibility")
"""The attributes of an image that are labels of ``openstack_image_info``."""

info_values = attrgetter(*INFO_ATTRIBUTES)
"""Returns these attributes of an image; None if unknown."""

OperatorLabels = tuple[tuple[str, str], ...]
"""Names and values of the labels that the operator gives to an image, sorted by name.

All images have the same names. A label that an image lacks is empty.
"""


class TargetKey(NamedTuple):
    """Identity of a target: the cloud's configured name and the image's ID."""

    cloud: str
    image_id: str


@dataclass(frozen=True, slots=True)
class Target:
    """A watched image with its labels and expectations.

    Attributes:
        alias: The configured name, or the ID without one.
        source: ``configured`` or ``discovered``.
        expect: Pairs of expectation and expected value, see ``expectations.checks``.
        property_names: The properties to export, or None for all that are known.
        label_value_limit: Maximum size of a label value from the API, in bytes of UTF-8.
        operator_labels: The labels of ``openstack_image_labels``.
        key: The target's identity.
    """

    cloud: str
    image_id: str
    alias: str
    source: str = "configured"
    expect: tuple[tuple[str, object], ...] = ()
    property_names: frozenset[str] | None = None
    label_value_limit: int = DEFAULT_LABEL_VALUE_LIMIT
    operator_labels: OperatorLabels = ()
    key: TargetKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the key once: every poll and every rendering looks the target up."""
        object.__setattr__(self, "key", TargetKey(self.cloud, self.image_id))

    @property
    def labels(self) -> tuple[str, str, str]:
        """The values of the labels of every series of the image."""
        return (self.cloud, self.image_id, self.alias)

    def select_properties(
        self, properties: tuple[tuple[str, str], ...]
    ) -> tuple[tuple[str, str], ...]:
        """Return the properties to export. Other properties are requested for expectations only."""
        if self.property_names is None:
            return properties
        return tuple((name, value) for name, value in properties if name in self.property_names)

    def has_cut_labels(self, image: Image) -> bool:
        """Return True if a label value of the image is longer than the limit, and so is cut."""
        values = map(escape, self._label_values(image))
        return any(is_larger(value, self.label_value_limit) for value in values)

    def _label_values(self, image: Image) -> Iterator[str]:
        """Yield the label values of the image's series that the API provides."""
        yield from filter(None, info_values(image))
        for digest in image.digests:
            yield from digest
        for _, value in self.select_properties(image.properties):
            yield value
