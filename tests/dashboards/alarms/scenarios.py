"""The scenarios in which the exporter runs on; those in which it does not are in interrupted.py."""

import time

from tests.dashboards.alarms.cloud import Cloud, wait_long
from tests.dashboards.alarms.scaled import seconds
from tests.dashboards.alarms.scenario import IMAGES, TIMEOUT, scenario
from tests.support.fakes.keystone import KeystoneFault
from tests.support.program import ABSENT, simulated

UNASKED = "DataStale golden, DataStale other"
NEW = "0ddba11a-0000-4000-8000-000000000000"

# What happens to an image


@scenario("nothing happens", settings={"api": "v2"})
def quiet(cloud: Cloud) -> None:
    """Nothing."""


@scenario("name, properties and minimum disk change", settings={"api": "v1"})
def harmless_changes(cloud: Cloud) -> None:
    """No alert is about these."""
    cloud.change("golden", name="x", min_disk=9, properties={"os_distro": "y"})
    cloud.exports("openstack_image_attribute_changes_total", 1, image="golden", attribute="name")


@scenario("an image is deleted (v1)", tells="Gone golden", settings={"api": "v1"})
def deletion_v1(cloud: Cloud) -> None:
    """404 to its owner."""
    cloud.remove("golden")


@scenario("an image is deleted (v2)", tells="Gone golden", settings={"api": "v2"})
def deletion_v2(cloud: Cloud) -> None:
    """404 to its owner."""
    cloud.remove("golden")


def as_administrator(cloud: Cloud) -> None:
    """Callers see deleted images."""
    cloud.service.api.admin = True


@scenario(
    "an image is deleted, as an administrator sees it",
    tells="Gone golden",
    prepared=as_administrator,
    settings={"api": "v1"},
)
def deletion_seen_by_an_administrator(cloud: Cloud) -> None:
    """200 with ``Deleted: True``."""
    cloud.service.images.delete(cloud.id("golden"))


@scenario(
    "an ID on the list that was never there",
    tells="Gone typo",
    images={**IMAGES, "typo": simulated(ABSENT)},
    prepared=lambda cloud: cloud.remove("typo"),
)
def never_there(cloud: Cloud) -> None:
    """Nothing else happens."""


@scenario(
    "an image is deactivated",
    tells="Deactivated golden, StatusChanged golden",
    held="NotActive golden",
)
def deactivation(cloud: Cloud) -> None:
    """By an administrator."""
    cloud.change("golden", status="deactivated")


@scenario("an image is published", tells="BecamePublic golden")
def publish(cloud: Cloud) -> None:
    """By its owner."""
    cloud.change("golden", visibility="public")


@scenario("an image loses its protection", tells="ProtectionLost golden")
def unprotect(cloud: Cloud) -> None:
    """By its owner."""
    cloud.change("golden", protected=False)


@scenario(
    "other content under the same ID (v1)",
    tells="ContentChanged golden",
    settings={"api": "v1"},
)
def content_swap_v1(cloud: Cloud) -> None:
    """The same size, another checksum."""
    cloud.change("golden", checksum="f" * 32)


@scenario(
    "other content under the same ID (v2)",
    tells="ContentChanged golden, SizeChanged golden",
    settings={"api": "v2"},
)
def content_swap_v2(cloud: Cloud) -> None:
    """Another size and another checksum."""
    cloud.change("golden", checksum="f" * 32, size=17)


@scenario("another size, the same checksum", tells="SizeChanged golden")
def size_change(cloud: Cloud) -> None:
    """That cannot be, and some clouds do it."""
    cloud.change("golden", size=17)


def uploading(cloud: Cloud) -> None:
    """The image is there without data."""
    cloud.change("golden", status="queued", size=0, checksum=None)


@scenario(
    "an upload gets stuck",
    tells="StatusChanged golden, NotActive golden, Stuck golden",
    prepared=uploading,
)
def stuck_upload(cloud: Cloud) -> None:
    """From queued it goes to saving, and no further."""
    cloud.change("golden", status="saving")


@scenario(
    "an upload fails, the image is back to queued",
    tells="BackToQueued golden, StatusChanged golden",
    held="NotActive golden",
)
def back_to_queued(cloud: Cloud) -> None:
    """In the end it is uploaded again."""
    uploading(cloud)
    cloud.reaches("BackToQueued golden", "StatusChanged golden", "NotActive golden")
    cloud.service.images.put(IMAGES["golden"])


@scenario(
    "an image is killed",
    tells="Killed golden, StatusChanged golden",
    held="NotActive golden",
)
def killed(cloud: Cloud) -> None:
    """Its upload did not match its checksum."""
    cloud.change("golden", status="killed")


@scenario(
    "an image is not as expected",
    tells="NotAsExpected golden protected, ProtectionLost golden",
    settings={
        "images": [{"id": IMAGES["golden"].id, "alias": "golden", "expect": {"protected": True}}]
    },
)
def expectation(cloud: Cloud) -> None:
    """It should be protected."""
    cloud.change("golden", protected=False)


@scenario(
    "a new image is discovered and uploaded",
    tells=f"StatusChanged {NEW}",
    settings={"discover": [{"name": "nightly-*"}], "discovery_interval": "2s", "api": "v2"},
)
def upload(cloud: Cloud) -> None:
    """It is active soon."""
    begun = time.monotonic()
    new = simulated(NEW, "nightly-1", status="saving", size=0, checksum=None)
    cloud.service.images.put(new)
    cloud.exports("openstack_image_status", 1, image=NEW, status="saving")
    # An increase is one on a sample that Prometheus has.
    cloud.scraped("openstack_image_status", image=NEW)
    cloud.mark()
    cloud.service.images.put(simulated(NEW, "nightly-1"))
    cloud.exports("openstack_image_status", 1, image=NEW, status="active")
    if time.monotonic() - begun > seconds("5m"):
        cloud.permit(f"NotActive {NEW}")


# What happens to all images at once


@scenario(
    "every image is gone at once",
    tells="MassDisappearance",
    held="Gone golden, Gone other",
    settings={"api": "v1"},
    cycles=2,
)
def mass_deletion(cloud: Cloud) -> None:
    """And the list is empty. By v1, one may be asked for before and the other one after."""
    cloud.remove("golden", "other")
    cloud.reaches("MassDisappearance", *cloud.scenario.held)
    first = min(cloud.record.begun(cloud.name, each)[0] for each in cloud.scenario.held)
    if cloud.record.begun(cloud.name, "MassDisappearance")[0] - first > seconds("1m"):
        cloud.permit(*cloud.scenario.held)


@scenario(
    "404 by a lost role, lists are empty",
    tells="MassDisappearance",
    held="Gone golden, Gone other",
    settings={"api": "v2"},
    cycles=2,
)
def lost_role(cloud: Cloud) -> None:
    """The credentials are of another project now."""
    cloud.service.api.project = "f" * 32


@scenario(
    "404 by a lost role, lists are forbidden",
    tells="ApiDown",
    held=f"PollFailures unconfirmed, {UNASKED}",
    settings={"api": "v1"},
)
def lost_role_without_lists(cloud: Cloud) -> None:
    """Nothing proves that any image is gone."""
    cloud.fail(404, on="images")
    cloud.fail(403, on="list")


# What happens to the API


@scenario(
    "the API is down for long, and comes back",
    tells="ApiDown",
    held=f"PollFailures connection, {UNASKED}",
)
def api_down(cloud: Cloud) -> None:
    """Nothing listens."""
    cloud.service.stop()
    cloud.reaches(*cloud.scenario.held)
    cloud.service.start()
    cloud.resolves()


@scenario("the API is down for a moment")
def api_blip(cloud: Cloud) -> None:
    """Shorter than it takes to speak of it."""
    begun = time.monotonic()
    cloud.service.stop()
    cloud.exports("openstack_image_api_up", 0)
    cloud.service.start()
    cloud.exports("openstack_image_api_up", 1)
    if time.monotonic() - begun > seconds("4m"):
        cloud.permit("ApiDown")


@scenario(
    "an image is deleted while the API is down",
    tells="ApiDown, Gone golden",
    held=f"PollFailures connection, {UNASKED}",
)
def deletion_in_an_outage(cloud: Cloud) -> None:
    """It is told of when the API is back."""
    cloud.service.stop()
    cloud.reaches(*cloud.scenario.held)
    cloud.remove("golden")
    cloud.mark()
    cloud.service.start()


@scenario("the API is slow")
def api_slow(cloud: Cloud) -> None:
    """Slower than it should be, and within the timeout."""
    cloud.service.faults.set("latency", seconds=TIMEOUT / 4, jitter=TIMEOUT / 8)


@scenario(
    "the API is too slow for the timeout",
    tells="ApiDown",
    held=f"PollFailures timeout, {UNASKED}",
)
def api_too_slow(cloud: Cloud) -> None:
    """No answer comes in time."""
    cloud.service.faults.set("hang")


@scenario(
    "401 to everything, whatever the token",
    tells="ApiDown",
    held=f"PollFailures unauthorized, {UNASKED}",
    signs_in=True,
)
def storm_401(cloud: Cloud) -> None:
    """Keystone is well."""
    cloud.fail(401)


@scenario("429 to everything", tells=f"RateLimited, {UNASKED}")
def storm_429(cloud: Cloud) -> None:
    """The API is up, and does not answer about images."""
    cloud.fail(429, Retry_After="1")


@scenario(
    "500 for one image",
    tells="PollFailures server_error, DataStale golden",
    settings={"api": "v1"},
)
def error_500(cloud: Cloud) -> None:
    """The API is up."""
    cloud.fail(500, on=cloud.id("golden"))


@scenario("503 to one request in five", settings={"api": "v1"})
def error_503_sometimes(cloud: Cloud) -> None:
    """Polls are tried again."""
    cloud.service.faults.set("status", code=503, share=0.2)


@scenario(
    "a wrong endpoint that refuses connections",
    tells="ApiDown",
    held="PollFailures connection, NeverPolled golden, NeverPolled other",
    prepared=lambda cloud: cloud.service.stop(),
)
def wrong_endpoint(cloud: Cloud) -> None:
    """Nothing ever listened there."""


@scenario(
    "a wrong endpoint that answers 404",
    tells="ApiDown",
    held="PollFailures api_version, NeverPolled golden, NeverPolled other",
    settings={"endpoint": "{}/nowhere", "api": "v1"},
)
def wrong_path(cloud: Cloud) -> None:
    """No image is called gone by that."""


# What happens to Keystone


@scenario(
    "signing in fails, and the token is refused",
    tells="ApiDown, SignInFailing",
    held=f"PollFailures unauthorized, {UNASKED}",
    signs_in=True,
)
def sign_in_fails(cloud: Cloud) -> None:
    """The password was changed, say."""
    assert cloud.keystone
    cloud.keystone.fault = KeystoneFault(status=401)
    cloud.fail(401)


@scenario(
    "a token cannot be renewed, and ends",
    tells="SignInFailing, TokenNotRenewed, ApiDown",
    held=f"PollFailures server_error, {UNASKED}",
    signs_in=True,
)
def token_not_renewed(cloud: Cloud) -> None:
    """In the end Keystone is back."""
    assert cloud.keystone
    cloud.keystone.token_life = 75.0
    with cloud.counted("openstack_image_exporter_authentications_total"):
        cloud.service.faults.set("status", code=401, times=1)
    cloud.keystone.fault = KeystoneFault(status=503)
    (ends,) = cloud.metrics().values(
        "openstack_image_exporter_token_expiry_timestamp_seconds", cloud=cloud.name
    )
    wait_long(lambda: time.time() > ends)
    cloud.mark()
    cloud.reaches(*cloud.scenario.tells, *cloud.scenario.held)
    cloud.keystone.token_life = 3600.0
    cloud.keystone.fault = None
    cloud.resolves()
