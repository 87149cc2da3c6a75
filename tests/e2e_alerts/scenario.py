"""Scenarios: an action in a cloud, and the alerts that it must cause."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from exporter.simulator import Balancing, SimulatedImage
from tests.e2e_alerts.scaled import seconds
from tests.support.program import GOLDEN, UBUNTU, simulated

if TYPE_CHECKING:
    from tests.e2e_alerts.scenario_cloud import ScenarioCloud

INTERVAL = seconds("1m")
TIMEOUT = seconds("1m")
SCRAPE = seconds("30s")
EVALUATION_INTERVAL = "30s"
EVALUATION = seconds(EVALUATION_INTERVAL)

IMAGE_NAME = "Golden base 2025.06"
IMAGES: Mapping[str, SimulatedImage] = MappingProxyType(
    {
        "golden": simulated(GOLDEN, IMAGE_NAME, protected=True),
        "other": simulated(UBUNTU, "Ubuntu 24.04"),
    }
)
"""Default images of a cloud, by alias."""

Action: TypeAlias = "Callable[[ScenarioCloud], None]"


def do_nothing(_: ScenarioCloud) -> None:
    """Do nothing: the default of optional actions."""


@dataclass(frozen=True, slots=True)
class AlertScenario:
    """A cloud, an action in it, and the alerts that must follow, by their short names.

    Attributes:
        name: Name of the cloud.
        description: Description of the action.
        notified: Alerts of which people must be notified.
        inhibited: Alerts that must reach Alertmanager and be inhibited there.
        action: The action. It runs while the exporter is down if its lifecycle stops it.
        setup: Action before that.
        prepare: Action before the exporter starts.
        exporter: Name of the exporter that polls the cloud.
        images: Images of the cloud by alias.
        settings: Further settings of the cloud. ``{}`` in ``endpoint`` is the URL of the service.
        uses_keystone: True if the exporter signs in with Keystone.
        cycles: Poll cycles that the exporter needs to detect the result of the action.
        servers: Number of API servers of the cloud.
        balancing: How connections or requests are distributed to the servers.
        idle_timeout: Seconds after which a server closes an idle connection, None if it does not.
    """

    name: str
    description: str
    notified: frozenset[str]
    inhibited: frozenset[str]
    action: Action
    setup: Action = do_nothing
    prepare: Action = do_nothing
    exporter: str = "steady"
    images: Mapping[str, SimulatedImage] = field(default_factory=lambda: IMAGES)
    settings: Mapping[str, Any] = field(default_factory=dict)
    uses_keystone: bool = False
    cycles: int = 1
    servers: int = 1
    balancing: Balancing = Balancing()  # noqa: RUF009 - immutable
    idle_timeout: float | None = None


SCENARIOS: dict[str, AlertScenario] = {}
"""All scenarios by name."""


def scenario(
    description: str,
    *,
    name: str | None = None,
    notified: str = "",
    inhibited: str = "",
    **more: Any,
) -> Callable[[Action], Action]:
    """Register an action as a scenario, by default under the name of its function.

    ``notified`` and ``inhibited`` separate names by commas.
    """

    def register(action: Action) -> Action:
        unique_name = name or action.__name__.replace("_", "-")
        assert unique_name not in SCENARIOS
        SCENARIOS[unique_name] = AlertScenario(
            unique_name, description, alert_names(notified), alert_names(inhibited), action, **more
        )
        return action

    return register


def alert_names(text: str) -> frozenset[str]:
    """Split short names of alerts that are separated by commas."""
    return frozenset(filter(None, (name.strip() for name in text.split(","))))
