"""Scenarios with one API server that is out of step with the others.

Nothing else happens, unless the description says so: all images exist and do not change.
"""

from dataclasses import replace
from itertools import product

from exporter.simulator import BackendFault, Balancing, SimulatedImage, Unit
from tests.e2e_alerts.scaled import seconds
from tests.e2e_alerts.scenario import IMAGES, INTERVAL, scenario
from tests.e2e_alerts.scenario_cloud import ScenarioCloud

DISAGREE = "ApiServersDisagree"
IDLE_TIMEOUT = seconds("15s")
"""Seconds after which a server closes an idle connection. Common defaults are shorter than an
interval, so every cycle starts with a new connection."""
SETTINGS = {"interval": f"{2 * INTERVAL:g}s"}
"""Each cycle takes a hundred connections per cloud, which this machine serves for all clouds."""


def empty_database(cloud: ScenarioCloud) -> None:
    """Let one server respond with 404 to every image, and with empty lists.

    By chance it responds so seldom for an hour that the alert ends, and fires again later.
    """
    cloud.permit(DISAGREE)
    cloud.service.backends[-1].fail(BackendFault.EMPTY_DATABASE)


for servers, unit, api in product((2, 3), Unit, ("v1", "v2")):
    scenario(
        f"one of {servers} servers has no images, balanced per {unit.value} ({api})",
        name=f"one-bad-server-of-{servers}-per-{unit.value}-{api}",
        notified=DISAGREE,
        servers=servers,
        balancing=Balancing(unit, seed=servers),
        idle_timeout=IDLE_TIMEOUT,
        settings={"api": api, **SETTINGS},
    )(empty_database)


def one_image_missing(cloud: ScenarioCloud) -> None:
    """Let one server respond with 404 to one image, and not list it."""
    cloud.service.backends[-1].fail(BackendFault.IMAGES_MISSING, missing={cloud.id("golden")})


for api in ("v1", "v2"):
    scenario(
        f"one of two servers lacks one image, balanced per request ({api})",
        name=f"incomplete-server-{api}",
        notified=DISAGREE,
        servers=2,
        balancing=Balancing(Unit.REQUEST, seed=2),
        idle_timeout=IDLE_TIMEOUT,
        settings={"api": api, **SETTINGS},
    )(one_image_missing)


def up_to_date(image: SimulatedImage) -> SimulatedImage:
    """Return an image that has changed since it was created."""
    return replace(image, updated_at="2026-11-24T08:00:00.000000")


OLD_IMAGES = (
    replace(
        IMAGES["golden"], checksum="0" * 32, size=15, protected=False, visibility="public", name="x"
    ),
)
"""The images before the last change; one of today's did not exist yet."""


def stale_replica(cloud: ScenarioCloud) -> None:
    """Let one server show the images as they were long ago."""
    cloud.service.backends[-1].fail(BackendFault.STALE_REPLICA, images=OLD_IMAGES)


for unit, api in product(Unit, ("v1", "v2")):
    scenario(
        f"one of two servers has an old database, balanced per {unit.value} ({api})",
        name=f"stale-replica-per-{unit.value}-{api}",
        notified=DISAGREE,
        images={alias: up_to_date(image) for alias, image in IMAGES.items()},
        servers=2,
        balancing=Balancing(unit, seed=2),
        idle_timeout=IDLE_TIMEOUT,
        settings={"api": api, **SETTINGS},
    )(stale_replica)


@scenario(
    "an image is deleted while one of three servers has no images",
    notified=f"{DISAGREE}, Gone golden",
    servers=3,
    balancing=Balancing(Unit.REQUEST, seed=3),
    idle_timeout=IDLE_TIMEOUT,
    settings={"api": "v1"},
    cycles=3,
)
def deletion_behind_a_bad_server(cloud: ScenarioCloud) -> None:
    """Delete the image when people know of the bad server."""
    empty_database(cloud)
    cloud.wait_for_alerts(DISAGREE)
    cloud.note_change()
    cloud.remove("golden")
