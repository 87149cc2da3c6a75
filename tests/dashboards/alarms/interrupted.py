"""The scenarios in which the exporter, or Prometheus, is not there for a while."""

from tests.dashboards.alarms.cloud import Cloud
from tests.dashboards.alarms.scenario import IMAGES, scenario
from tests.support.program import ABSENT, simulated

# The exporter is restarted at once


@scenario("the exporter is restarted", exporter="restarted")
def restart(cloud: Cloud) -> None:
    """Nothing else happens."""


def gone_already(cloud: Cloud) -> None:
    """One image is gone, and its alert fires."""
    cloud.remove("golden")
    cloud.reaches("Gone golden")


@scenario(
    "the exporter is restarted with the API down, while an image is gone",
    tells="Gone golden, ApiDown",
    held="PollFailures connection, DataStale golden, DataStale other",
    before=gone_already,
    exporter="restarted",
)
def restart_in_an_outage(cloud: Cloud) -> None:
    """What is gone stays gone."""
    cloud.service.stop()


# The exporter is killed, and comes back where it was after more than "ExporterDown" waits for


@scenario("the exporter is killed", exporter="killed")
def kill(cloud: Cloud) -> None:
    """Nothing else happens."""


@scenario("an image is deleted while it is dead", tells="Gone golden", exporter="killed")
def kill_and_deletion(cloud: Cloud) -> None:
    """The exporter that starts has never seen it."""
    cloud.remove("golden")


@scenario("content swapped while it is dead", tells="ContentChanged golden", exporter="killed")
def kill_and_content_swap(cloud: Cloud) -> None:
    """The size is the same."""
    cloud.change("golden", checksum="f" * 32)


@scenario("published while it is dead", tells="BecamePublic golden", exporter="killed")
def kill_and_publish(cloud: Cloud) -> None:
    """To every project."""
    cloud.change("golden", visibility="public")


@scenario(
    "deactivated while it is dead",
    tells="Deactivated golden, StatusChanged golden",
    held="NotActive golden",
    exporter="killed",
)
def kill_and_deactivation(cloud: Cloud) -> None:
    """By an administrator."""
    cloud.change("golden", status="deactivated")


# The exporter is stopped for longer than a change is told of, and is another instance then


@scenario("the exporter is away for over an hour, and moves", exporter="moved")
def move(cloud: Cloud) -> None:
    """Nothing else happens."""


@scenario("an image is deleted while it is away", tells="Gone golden", exporter="moved")
def move_and_deletion(cloud: Cloud) -> None:
    """The exporter that starts has never seen it."""
    cloud.remove("golden")


@scenario("content swapped while it is away", tells="ContentChanged golden", exporter="moved")
def move_and_content_swap(cloud: Cloud) -> None:
    """The size is the same."""
    cloud.change("golden", checksum="f" * 32)


@scenario("published while it is away", tells="BecamePublic golden", exporter="moved")
def move_and_publish(cloud: Cloud) -> None:
    """To every project."""
    cloud.change("golden", visibility="public")


@scenario("unprotected while it is away", tells="ProtectionLost golden", exporter="moved")
def move_and_unprotect(cloud: Cloud) -> None:
    """By its owner."""
    cloud.change("golden", protected=False)


@scenario(
    "deactivated while it is away",
    tells="Deactivated golden, StatusChanged golden",
    held="NotActive golden",
    exporter="moved",
)
def move_and_deactivation(cloud: Cloud) -> None:
    """By an administrator."""
    cloud.change("golden", status="deactivated")


@scenario(
    "all images deleted while it is away",
    tells="MassDisappearance",
    held="Gone golden, Gone other",
    exporter="moved",
)
def move_and_mass_deletion(cloud: Cloud) -> None:
    """The exporter that starts does not know that they were there."""
    cloud.remove("golden", "other")


# Prometheus has its eyes shut, or is restarted; the exporter goes on


@scenario(
    "a status goes away and comes back between two scrapes",
    tells="StatusChanged golden",
    exporter="unseen",
)
def flap(cloud: Cloud) -> None:
    """Only the exporter has seen it."""
    for status in ("deactivated", "active"):
        with cloud.counted("openstack_image_status_changes_total", image="golden"):
            cloud.change("golden", status=status)


@scenario(
    "an image is gone and back between two scrapes",
    tells="Gone golden",
    exporter="unseen",
)
def gone_and_back(cloud: Cloud) -> None:
    """Only the exporter has seen it."""
    with cloud.counted("openstack_image_existence_changes_total", image="golden"):
        cloud.remove("golden")
    with cloud.counted("openstack_image_existence_changes_total", image="golden"):
        cloud.service.images.put(IMAGES["golden"])


@scenario(
    "public and private again between two scrapes",
    tells="BecamePublic golden",
    exporter="unseen",
)
def public_for_a_moment(cloud: Cloud) -> None:
    """Only the exporter has seen it."""
    for visibility in ("public", "private"):
        with cloud.counted("openstack_image_attribute_changes_total", attribute="public"):
            cloud.change("golden", visibility=visibility)


@scenario(
    "Prometheus is restarted while an image is gone",
    tells="Gone golden",
    before=gone_already,
    exporter="apart",
)
def prometheus_restart(cloud: Cloud) -> None:
    """What is gone stays gone."""


@scenario(
    "content swapped while Prometheus is down",
    tells="ContentChanged golden",
    exporter="apart",
)
def prometheus_restart_and_content_swap(cloud: Cloud) -> None:
    """The exporter has counted it."""
    with cloud.counted("openstack_image_content_changes_total", image="golden"):
        cloud.change("golden", checksum="f" * 32)


# The exporter is given other settings


def retired_is_gone(cloud: Cloud) -> None:
    """One that is about to be taken off the list is gone."""
    cloud.remove("retired")
    cloud.reaches("Gone retired")


@scenario(
    "images are taken off the list, one of them gone",
    tells="Gone retired",
    images={**IMAGES, "retired": simulated(ABSENT)},
    before=retired_is_gone,
    exporter="reloaded",
)
def taken_off(cloud: Cloud) -> None:
    """Its alert ends, and none begins for the other."""
    cloud.resolves()
