"""Labels that the operator gives to discovered images."""

from dataclasses import replace

from exporter.clock import now
from exporter.polling.discovery import Discovery
from tests.polling.test_discovery import GOLDEN, DiscoveredCloud, discovered_cloud, golden
from tests.support.polled_cloud import CLOUD, GENEROUS

WEB = replace(GOLDEN, operator_labels=(("team", "web"),))


def labels(discovery: Discovery) -> list[dict[str, str]]:
    """Return the labels of each watched image."""
    return [dict(target.operator_labels) for target in discovery.targets()]


def successor(cloud: DiscoveredCloud, **names: str) -> Discovery:
    """Return the discovery after a reload that gives these labels, before it has listed images."""
    rule = replace(GOLDEN, operator_labels=tuple(names.items()))
    discovery = Discovery(
        CLOUD,
        [rule],
        [],
        client=cloud.poller.client,
        store=cloud.store,
        interval=GENEROUS,
        forget_after=GENEROUS,
        clock=now,
    )
    discovery.take_over_from(cloud.discovery)
    return discovery


def test_discovered_image_has_the_labels_of_its_rule() -> None:
    with discovered_cloud(golden("a", 1), entries=[WEB]) as cloud:
        cloud.cycle()
        assert labels(cloud.discovery) == [{"team": "web"}]
        cloud.service.images.change("a", name="other")
        cloud.refresh()
        # It may be gone: an alert about it has to reach the same team.
        assert labels(cloud.discovery) == [{"team": "web"}]


def test_images_discovered_before_a_reload_have_the_names_of_the_new_labels() -> None:
    with discovered_cloud(golden("a", 1), entries=[WEB]) as cloud:
        cloud.cycle()
        assert labels(successor(cloud, team="ops", tier="gold")) == [{"team": "web", "tier": ""}]
        assert labels(successor(cloud)) == [{}]
