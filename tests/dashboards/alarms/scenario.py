"""What a scenario is: what happens, what people are told of it, and what is held back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from exporter.simulator import SimulatedImage
from tests.support.program import GOLDEN, UBUNTU, simulated

if TYPE_CHECKING:
    from tests.dashboards.alarms.cloud import Cloud

INTERVAL = 2.0
TIMEOUT = 2.0
SCRAPE = 1.0
EVALUATION = 1.0

NAME = "Golden base 2025.06"
IMAGES: Mapping[str, SimulatedImage] = MappingProxyType(
    {
        "golden": simulated(GOLDEN, NAME, protected=True),
        "other": simulated(UBUNTU, "Ubuntu 24.04"),
    }
)
"""The images of a cloud by alias, where a scenario says nothing else."""

Story: TypeAlias = "Callable[[Cloud], None]"


def nothing(_: Cloud) -> None:
    """What happens where nothing does."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One cloud and what happens in it.

    Attributes:
        name: the cloud's name.
        says: what happens, in words.
        tells: the alerts that people must be told of, by their short names.
        held: those that must reach Alertmanager and be held back there.
        story: what happens; while the exporter is down, where it goes down.
        before: what happens before that.
        prepared: what is done before the exporter starts.
        exporter: the name of the exporter that watches the cloud.
        images: its images by alias.
        settings: more settings of the cloud; ``{}`` in ``endpoint`` is the service's URL.
        signs_in: whether there is a Keystone.
        cycles: how many cycles it takes until the exporter is sure of what happened.
    """

    name: str
    says: str
    tells: frozenset[str]
    held: frozenset[str]
    story: Story
    before: Story = nothing
    prepared: Story = nothing
    exporter: str = "steady"
    images: Mapping[str, SimulatedImage] = field(default_factory=lambda: IMAGES)
    settings: Mapping[str, Any] = field(default_factory=dict)
    signs_in: bool = False
    cycles: int = 1


SCENARIOS: dict[str, Scenario] = {}
"""All scenarios by name."""


def scenario(
    says: str, *, tells: str = "", held: str = "", **more: Any
) -> Callable[[Story], Story]:
    """Make a scenario of a story; ``tells`` and ``held`` are short names with commas between."""

    def add(story: Story) -> Story:
        name = story.__name__.replace("_", "-")
        assert name not in SCENARIOS
        SCENARIOS[name] = Scenario(name, says, names(tells), names(held), story, **more)
        return story

    return add


def names(text: str) -> frozenset[str]:
    """The short names in a text with commas between them."""
    return frozenset(filter(None, (each.strip() for each in text.split(","))))
