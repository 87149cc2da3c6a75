"""Scenarios in which the exporter runs continuously and all API servers agree."""

import time
from datetime import UTC, datetime

from exporter.simulator.keystone import KeystoneFault
from tests.e2e_alerts.scaled import seconds
from tests.e2e_alerts.scenario import IMAGES, INTERVAL, TIMEOUT, scenario
from tests.e2e_alerts.scenario_cloud import ScenarioCloud, wait_patiently
from tests.support.program import ABSENT, simulated

STALE_DATA = "DataStale golden, DataStale other"
NEW_IMAGE = "0ddba11a-0000-4000-8000-000000000000"

# Changes of an image


@scenario("nothing happens", settings={"api": "v2"})
def quiet(cloud: ScenarioCloud) -> None:
    """Do nothing."""


@scenario("name, properties and minimum disk change", settings={"api": "v1"})
def harmless_changes(cloud: ScenarioCloud) -> None:
    """Change attributes that no alert is about."""
    cloud.change("golden", name="x", min_disk=9, properties={"os_distro": "y"})
    cloud.wait_for_metric(
        "openstack_image_attribute_changes_total", 1, image="golden", attribute="name"
    )


@scenario("an image is deleted (v1)", notified="Gone golden", settings={"api": "v1"})
def deletion_v1(cloud: ScenarioCloud) -> None:
    """Respond with 404 to its owner."""
    cloud.remove("golden")


@scenario("an image is deleted (v2)", notified="Gone golden", settings={"api": "v2"})
def deletion_v2(cloud: ScenarioCloud) -> None:
    """Respond with 404 to its owner."""
    cloud.remove("golden")


@scenario(
    "an image of a team is deactivated",
    notified="Deactivated golden, StatusChanged golden",
    inhibited="NotActive golden",
    settings={"labels": {"team": "platform"}},
)
def deactivation_of_a_team(cloud: ScenarioCloud) -> None:
    """Deactivate an image that has labels of the operator."""
    cloud.change("golden", status="deactivated")


def as_administrator(cloud: ScenarioCloud) -> None:
    """Let the exporter see deleted images."""
    cloud.service.api.admin = True


@scenario(
    "an image is deleted, and the exporter is an administrator",
    notified="Gone golden",
    prepare=as_administrator,
    settings={"api": "v1"},
)
def deletion_seen_by_an_administrator(cloud: ScenarioCloud) -> None:
    """Respond with 200 and ``Deleted: True``."""
    cloud.service.images.delete(cloud.id("golden"), at=datetime.now(UTC).isoformat())


@scenario(
    "a configured ID never existed",
    notified="Gone typo",
    images={**IMAGES, "typo": simulated(ABSENT)},
    prepare=lambda cloud: cloud.remove("typo"),
)
def never_there(cloud: ScenarioCloud) -> None:
    """Do nothing else."""


@scenario(
    "an image is deactivated",
    notified="Deactivated golden, StatusChanged golden",
    inhibited="NotActive golden",
)
def deactivation(cloud: ScenarioCloud) -> None:
    """Deactivate the image as an administrator does."""
    cloud.change("golden", status="deactivated")


@scenario("an image is published", notified="BecamePublic golden")
def publish(cloud: ScenarioCloud) -> None:
    """Change the image as its owner does."""
    cloud.change("golden", visibility="public")


@scenario("an image loses its protection", notified="ProtectionLost golden")
def unprotect(cloud: ScenarioCloud) -> None:
    """Change the image as its owner does."""
    cloud.change("golden", protected=False)


@scenario(
    "other content under the same ID (v1)",
    notified="ContentChanged golden",
    settings={"api": "v1"},
)
def content_swap_v1(cloud: ScenarioCloud) -> None:
    """Keep the size, change the checksum."""
    cloud.change("golden", checksum="f" * 32)


@scenario(
    "other content under the same ID (v2)",
    notified="ContentChanged golden, SizeChanged golden",
    settings={"api": "v2"},
)
def content_swap_v2(cloud: ScenarioCloud) -> None:
    """Change size and checksum."""
    cloud.change("golden", checksum="f" * 32, size=17)


@scenario("another size, the same checksum", notified="SizeChanged golden")
def size_change(cloud: ScenarioCloud) -> None:
    """Change the size only, which should be impossible but happens in some clouds."""
    cloud.change("golden", size=17)


def uploading(cloud: ScenarioCloud) -> None:
    """Create the image without data."""
    cloud.change("golden", status="queued", size=0, checksum=None)


@scenario(
    "an upload gets stuck",
    notified="StatusChanged golden, NotActive golden, Stuck golden",
    prepare=uploading,
)
def stuck_upload(cloud: ScenarioCloud) -> None:
    """Change the status from queued to saving, and no further."""
    cloud.change("golden", status="saving")


@scenario(
    "an upload fails, the image is back to queued",
    notified="BackToQueued golden, StatusChanged golden",
    inhibited="NotActive golden",
)
def back_to_queued(cloud: ScenarioCloud) -> None:
    """Fail the upload, then upload the image again."""
    uploading(cloud)
    cloud.wait_for_alerts("BackToQueued golden", "StatusChanged golden", "NotActive golden")
    cloud.service.images.put(IMAGES["golden"])


@scenario(
    "an image is killed",
    notified="Killed golden, StatusChanged golden",
    inhibited="NotActive golden",
)
def killed(cloud: ScenarioCloud) -> None:
    """Kill the image, as Glance does if the data does not match the checksum."""
    cloud.change("golden", status="killed")


@scenario(
    "an image is not as expected",
    notified="NotAsExpected golden protected, ProtectionLost golden",
    settings={
        "images": [{"id": IMAGES["golden"].id, "alias": "golden", "expect": {"protected": True}}]
    },
)
def expectation(cloud: ScenarioCloud) -> None:
    """Remove the protection that is expected."""
    cloud.change("golden", protected=False)


def deactivated(cloud: ScenarioCloud) -> None:
    """Deactivate the image."""
    cloud.change("golden", status="deactivated")


@scenario(
    "an image is deactivated, as expected",
    prepare=deactivated,
    settings={"expect": {"status": ["active", "deactivated"]}},
)
def deactivated_as_expected(cloud: ScenarioCloud) -> None:
    """Do nothing else."""


@scenario(
    "an image does not exist, as expected",
    prepare=lambda cloud: cloud.remove("golden"),
    settings={
        "images": [
            {"id": IMAGES["golden"].id, "alias": "golden", "expect": {"exists": False}},
            {"id": IMAGES["other"].id, "alias": "other"},
        ]
    },
)
def gone_as_expected(cloud: ScenarioCloud) -> None:
    """Do nothing else."""


@scenario(
    "a new image is discovered and uploaded",
    notified=f"StatusChanged {NEW_IMAGE}",
    settings={
        "discover": [{"name": "nightly-*"}],
        "discovery_interval": f"{INTERVAL:g}s",
        "api": "v2",
    },
)
def upload(cloud: ScenarioCloud) -> None:
    """Upload a new image that becomes active soon."""
    started = time.monotonic()
    new = simulated(NEW_IMAGE, "nightly-1", status="saving", size=0, checksum=None)
    cloud.service.images.put(new)
    cloud.wait_for_metric("openstack_image_status", 1, image=NEW_IMAGE, status="saving")
    # Prometheus computes an increase from an existing sample.
    cloud.wait_for_scrape("openstack_image_status", image=NEW_IMAGE)
    cloud.note_change()
    cloud.service.images.put(simulated(NEW_IMAGE, "nightly-1"))
    cloud.wait_for_metric("openstack_image_status", 1, image=NEW_IMAGE, status="active")
    if time.monotonic() - started > seconds("5m"):
        cloud.permit(f"NotActive {NEW_IMAGE}")


# Changes of all images at once


@scenario(
    "every image is gone at once",
    notified="MassDisappearance",
    inhibited="Gone golden, Gone other",
    settings={"api": "v1"},
    cycles=2,
)
def mass_deletion(cloud: ScenarioCloud) -> None:
    """Delete all images. With v1, one may be polled before and the other after the deletion."""
    cloud.remove("golden", "other")
    cloud.wait_for_alerts("MassDisappearance", *cloud.scenario.inhibited)
    for record in cloud.records:
        first = min(record.starts(cloud.name, alert)[0] for alert in cloud.scenario.inhibited)
        if record.starts(cloud.name, "MassDisappearance")[0] - first > seconds("1m"):
            cloud.permit(*cloud.scenario.inhibited)


@scenario(
    "every image is gone at once, and all come back",
    notified="MassDisappearance",
    inhibited="Gone golden, Gone other",
    settings={"api": "v2"},
    cycles=2,
)
def mass_return(cloud: ScenarioCloud) -> None:
    """Move the credentials to another project and back."""
    project = cloud.service.api.project
    cloud.service.api.project = "f" * 32
    cloud.wait_for_alerts("MassDisappearance", *cloud.scenario.inhibited)
    cloud.service.api.project = project
    cloud.wait_until_resolved()


@scenario(
    "404 by a lost role, lists are empty",
    notified="MassDisappearance",
    inhibited="Gone golden, Gone other",
    settings={"api": "v2"},
    cycles=2,
)
def lost_role(cloud: ScenarioCloud) -> None:
    """Move the credentials to another project."""
    cloud.service.api.project = "f" * 32


@scenario(
    "404 by a lost role, lists are forbidden",
    notified="ApiDown",
    inhibited=f"PollFailures unconfirmed, {STALE_DATA}",
    settings={"api": "v1"},
)
def lost_role_without_lists(cloud: ScenarioCloud) -> None:
    """Forbid lists, so that nothing proves that an image is gone."""
    cloud.fail(404, on="images")
    cloud.fail(403, on="list")


# Failures of the API


@scenario(
    "the API is down for long, and comes back",
    notified="ApiDown",
    inhibited=f"PollFailures connection, {STALE_DATA}",
)
def api_down(cloud: ScenarioCloud) -> None:
    """Stop the service for longer than the alert waits."""
    cloud.service.stop()
    cloud.wait_for_alerts(*cloud.scenario.inhibited)
    cloud.service.start()
    cloud.wait_until_resolved()


@scenario("the API is down for a moment")
def api_blip(cloud: ScenarioCloud) -> None:
    """Stop the service for less time than the alert waits."""
    started = time.monotonic()
    cloud.service.stop()
    cloud.wait_for_metric("openstack_image_api_up", 0)
    cloud.service.start()
    cloud.wait_for_metric("openstack_image_api_up", 1)
    if time.monotonic() - started > seconds("4m"):
        cloud.permit("ApiDown")


@scenario(
    "an image is deleted while the API is down",
    notified="ApiDown, Gone golden",
    inhibited=f"PollFailures connection, {STALE_DATA}",
)
def deletion_in_an_outage(cloud: ScenarioCloud) -> None:
    """Delete the image while the service is stopped; the alert fires when it is back."""
    cloud.service.stop()
    cloud.wait_for_alerts(*cloud.scenario.inhibited)
    cloud.remove("golden")
    cloud.note_change()
    cloud.service.start()


@scenario("the API is slow")
def api_slow(cloud: ScenarioCloud) -> None:
    """Delay responses within the timeout."""
    cloud.service.faults.set("latency", seconds=TIMEOUT / 4, jitter=TIMEOUT / 8)


@scenario(
    "the API is too slow for the timeout",
    notified="ApiDown",
    inhibited=f"PollFailures timeout, {STALE_DATA}",
)
def api_too_slow(cloud: ScenarioCloud) -> None:
    """Send no response."""
    cloud.service.faults.set("hang")


@scenario(
    "401 to everything, whatever the token",
    notified="ApiDown",
    inhibited=f"PollFailures unauthorized, {STALE_DATA}",
    uses_keystone=True,
)
def storm_401(cloud: ScenarioCloud) -> None:
    """Reject every token, although Keystone works."""
    cloud.fail(401)


@scenario("429 to everything", notified=f"RateLimited, {STALE_DATA}")
def storm_429(cloud: ScenarioCloud) -> None:
    """Limit every request, so that the API is up but no image is polled."""
    cloud.fail(429, Retry_After="1")


@scenario(
    "500 for one image",
    notified="PollFailures server_error, DataStale golden",
    settings={"api": "v1"},
)
def error_500(cloud: ScenarioCloud) -> None:
    """Fail the requests for one image."""
    cloud.fail(500, on=cloud.id("golden"))


@scenario("503 to one request in five", settings={"api": "v1"})
def error_503_sometimes(cloud: ScenarioCloud) -> None:
    """Fail some requests, which are retried."""
    cloud.service.faults.set("status", code=503, share=0.2)


@scenario(
    "maintenance with a long Retry-After that begins in the middle of a cycle",
    notified="ApiDown",
    inhibited=f"PollFailures not_polled, {STALE_DATA}",
    settings={"api": "v1", "concurrency": 1},
)
def maintenance(cloud: ScenarioCloud) -> None:
    """Begin after the first image of the cycle was found; then nothing is requested for long."""
    cloud.fail(503, on=cloud.id("other"), Retry_After="3600")
    cloud.wait_for_metric("openstack_image_api_up", 0)
    cloud.fail(503, Retry_After="3600")


@scenario(
    "a wrong endpoint that refuses connections",
    notified="ApiDown",
    inhibited="PollFailures connection, NeverPolled golden, NeverPolled other",
    prepare=lambda cloud: cloud.service.stop(),
)
def wrong_endpoint(cloud: ScenarioCloud) -> None:
    """Use a port on which nothing has ever listened."""


@scenario(
    "a wrong endpoint that responds with 404",
    notified="ApiDown",
    inhibited="PollFailures api_version, NeverPolled golden, NeverPolled other",
    settings={"endpoint": "{}/nowhere", "api": "v1"},
)
def wrong_path(cloud: ScenarioCloud) -> None:
    """Use a path that does not exist; that does not make an image gone."""


# Failures of Keystone


@scenario(
    "signing in fails, and the token is refused",
    notified="ApiDown, SignInFailing",
    inhibited=f"PollFailures unauthorized, {STALE_DATA}",
    uses_keystone=True,
)
def sign_in_fails(cloud: ScenarioCloud) -> None:
    """Reject the credentials and the token, as after a change of the password."""
    assert cloud.keystone
    cloud.keystone.fault = KeystoneFault(status=401)
    cloud.fail(401)


@scenario(
    "a token cannot be renewed, and ends",
    notified="SignInFailing, TokenNotRenewed, ApiDown",
    inhibited=f"PollFailures server_error, {STALE_DATA}",
    uses_keystone=True,
)
def token_not_renewed(cloud: ScenarioCloud) -> None:
    """Let the token expire, then bring Keystone back."""
    assert cloud.keystone
    cloud.keystone.token_life = max(75.0, seconds("30m"))
    with cloud.one_more_counted("openstack_image_exporter_authentications_total"):
        cloud.service.faults.set("status", code=401, times=1)
    cloud.keystone.fault = KeystoneFault(status=503)
    (expires_at,) = cloud.metrics().values(
        "openstack_image_exporter_token_expiry_timestamp_seconds", cloud=cloud.name
    )
    wait_patiently(lambda: time.time() > expires_at)
    cloud.note_change()
    cloud.wait_for_alerts(*cloud.scenario.notified, *cloud.scenario.inhibited)
    cloud.keystone.token_life = 3600.0
    cloud.keystone.fault = None
    cloud.wait_until_resolved()


def refuse_v1(cloud: ScenarioCloud) -> None:
    """Respond with 404 to all of v1, as a gateway does that serves v2 only."""
    cloud.service.faults.set("status", on="v1", code=404)


@scenario(
    "a gateway serves v2 only, although the version document has v1 as well",
    cycles=2,
    prepare=refuse_v1,
)
def v1_only_in_document(cloud: ScenarioCloud) -> None:
    """Wait until the images are found by v2; nothing else happens."""
    cloud.wait_for_metric("openstack_image_exists", 1)
