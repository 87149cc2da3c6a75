"""Scenarios of clouds whose gateway, catalog or policy serves the API in part."""

from exporter.simulator.keystone import CatalogEndpoint
from tests.e2e_alerts.scenario import scenario
from tests.e2e_alerts.scenario_cloud import ScenarioCloud

STALE_DATA = "DataStale golden, DataStale other"


@scenario(
    "a renewal finds a second region in the catalog, listed first",
    notified="ApiDown, SignInFailing",
    inhibited=f"PollFailures rejected, {STALE_DATA}",
    uses_keystone=True,
)
def wrong_region(cloud: ScenarioCloud) -> None:
    """Refuse one token, so that it is renewed. The images of the other region are not these."""
    assert cloud.keystone
    other = CatalogEndpoint("http://other.invalid/", "Other")
    cloud.keystone.endpoints = [other, *cloud.keystone.endpoints]
    cloud.service.faults.set("status", code=401, times=1)


def refuse_lists(cloud: ScenarioCloud) -> None:
    """Forbid lists, as a policy or access rules do."""
    cloud.fail(403, on="list")


@scenario(
    "an image is deleted where lists are refused",
    notified="Gone golden",
    settings={"api": "v2"},
    prepare=refuse_lists,
)
def lists_refused(cloud: ScenarioCloud) -> None:
    """Delete an image that is polled by itself, and keep another one that proves it."""
    cloud.remove("golden")


@scenario(
    "a proxy responds to HEAD with an error page",
    notified="ApiDown",
    inhibited=f"PollFailures server_error, {STALE_DATA}",
    settings={"api": "v1"},
)
def error_pages(cloud: ScenarioCloud) -> None:
    """Send a body in response to HEAD, which must have an empty one; its status code counts."""
    cloud.service.faults.set("error_page", code=503)
