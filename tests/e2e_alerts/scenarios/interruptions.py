"""Scenarios in which the exporter or Prometheus does not run for a while."""

from tests.e2e_alerts.scenario import IMAGES, scenario
from tests.e2e_alerts.scenario_cloud import ScenarioCloud
from tests.support.program import ABSENT, simulated

# The exporter is restarted immediately


@scenario("the exporter is restarted", exporter="restarted")
def restart(cloud: ScenarioCloud) -> None:
    """Do nothing else."""


def gone_already(cloud: ScenarioCloud) -> None:
    """Remove an image and wait for its alert."""
    cloud.remove("golden")
    cloud.wait_for_alerts("Gone golden")


@scenario(
    "the exporter is restarted with the API down, while an image is gone",
    notified="Gone golden, ApiDown",
    inhibited="PollFailures connection, DataStale golden, DataStale other",
    setup=gone_already,
    exporter="restarted",
)
def restart_in_an_outage(cloud: ScenarioCloud) -> None:
    """Change nothing: the image remains gone."""
    cloud.service.stop()


# The exporter is killed, and starts again after the alert ExporterDown has fired


@scenario("the exporter is killed", exporter="killed")
def kill(cloud: ScenarioCloud) -> None:
    """Do nothing else."""


@scenario(
    "an image is deleted while the exporter is dead", notified="Gone golden", exporter="killed"
)
def kill_and_deletion(cloud: ScenarioCloud) -> None:
    """Remove an image that the new process has never polled."""
    cloud.remove("golden")


@scenario(
    "content swapped while the exporter is dead",
    notified="ContentChanged golden",
    exporter="killed",
)
def kill_and_content_swap(cloud: ScenarioCloud) -> None:
    """Change the checksum, keep the size."""
    cloud.change("golden", checksum="f" * 32)


@scenario("published while the exporter is dead", notified="BecamePublic golden", exporter="killed")
def kill_and_publish(cloud: ScenarioCloud) -> None:
    """Publish the image to every project."""
    cloud.change("golden", visibility="public")


@scenario(
    "deactivated while the exporter is dead",
    notified="Deactivated golden, StatusChanged golden",
    inhibited="NotActive golden",
    exporter="killed",
)
def kill_and_deactivation(cloud: ScenarioCloud) -> None:
    """Deactivate the image as an administrator does."""
    cloud.change("golden", status="deactivated")


# The exporter is stopped for longer than alerts about a change fire, and is then another instance


@scenario("the exporter is away for over an hour, and moves", exporter="moved")
def move(cloud: ScenarioCloud) -> None:
    """Do nothing else."""


@scenario(
    "an image is deleted while the exporter is away", notified="Gone golden", exporter="moved"
)
def move_and_deletion(cloud: ScenarioCloud) -> None:
    """Remove an image that the new process has never polled."""
    cloud.remove("golden")


@scenario(
    "content swapped while the exporter is away", notified="ContentChanged golden", exporter="moved"
)
def move_and_content_swap(cloud: ScenarioCloud) -> None:
    """Change the checksum, keep the size."""
    cloud.change("golden", checksum="f" * 32)


@scenario("published while the exporter is away", notified="BecamePublic golden", exporter="moved")
def move_and_publish(cloud: ScenarioCloud) -> None:
    """Publish the image to every project."""
    cloud.change("golden", visibility="public")


@scenario(
    "unprotected while the exporter is away", notified="ProtectionLost golden", exporter="moved"
)
def move_and_unprotect(cloud: ScenarioCloud) -> None:
    """Remove the protection as the owner does."""
    cloud.change("golden", protected=False)


@scenario(
    "deactivated while the exporter is away",
    notified="Deactivated golden, StatusChanged golden",
    inhibited="NotActive golden",
    exporter="moved",
)
def move_and_deactivation(cloud: ScenarioCloud) -> None:
    """Deactivate the image as an administrator does."""
    cloud.change("golden", status="deactivated")


@scenario(
    "all images deleted while the exporter is away, which looks like a wrong project",
    notified="DataStale golden, DataStale other, PollFailures unconfirmed",
    exporter="moved",
)
def move_and_mass_deletion(cloud: ScenarioCloud) -> None:
    """Remove all images: an empty list proves nothing to a process that has found none of them."""
    cloud.remove("golden", "other")


# The exporter has a state file, and nobody else remembers


@scenario(
    "deactivated while the exporter with a state file is stopped",
    notified="Deactivated golden, StatusChanged golden",
    inhibited="NotActive golden",
    exporter="remembering",
)
def remembered_status(cloud: ScenarioCloud) -> None:
    """Deactivate the image as an administrator does."""
    cloud.change("golden", status="deactivated")


@scenario(
    "published while the exporter with a state file is stopped",
    notified="BecamePublic golden",
    exporter="remembering",
)
def remembered_visibility(cloud: ScenarioCloud) -> None:
    """Publish the image to every project."""
    cloud.change("golden", visibility="public")


@scenario(
    "content swapped while the exporter with a state file is stopped",
    notified="ContentChanged golden",
    exporter="remembering",
)
def remembered_content(cloud: ScenarioCloud) -> None:
    """Change the checksum, keep the size."""
    cloud.change("golden", checksum="f" * 32)


@scenario(
    "unprotected while the exporter with a state file is stopped",
    notified="ProtectionLost golden",
    exporter="remembering",
)
def remembered_protection(cloud: ScenarioCloud) -> None:
    """Remove the protection as the owner does."""
    cloud.change("golden", protected=False)


@scenario(
    "an image is deleted while the exporter with a state file is stopped",
    notified="Gone golden",
    exporter="remembering",
)
def remembered_image(cloud: ScenarioCloud) -> None:
    """Remove an image that only the state file knows."""
    cloud.remove("golden")


@scenario(
    "all images deleted while the exporter with a state file is stopped",
    notified="DataStale golden, DataStale other, PollFailures unconfirmed",
    exporter="remembering",
)
def remembered_images(cloud: ScenarioCloud) -> None:
    """Remove all images. An empty list proves nothing, as above."""
    cloud.remove("golden", "other")


@scenario(
    "an image was gone before the exporter with a state file is restarted with the API down",
    notified="Gone golden, ApiDown",
    inhibited="PollFailures connection, DataStale golden, DataStale other",
    setup=gone_already,
    exporter="remembering",
)
def remembered_outage(cloud: ScenarioCloud) -> None:
    """Change nothing: the image remains gone."""
    cloud.service.stop()


# Prometheus is paused or restarted while the exporter runs


@scenario(
    "a status goes away and comes back between two scrapes",
    notified="StatusChanged golden",
    exporter="unseen",
)
def flap(cloud: ScenarioCloud) -> None:
    """Make a change and revert it, so that only the exporter detects it."""
    for status in ("deactivated", "active"):
        with cloud.one_more_counted("openstack_image_status_changes_total", image="golden"):
            cloud.change("golden", status=status)


@scenario(
    "an image is gone and back between two scrapes",
    notified="Gone golden",
    exporter="unseen",
)
def gone_and_back(cloud: ScenarioCloud) -> None:
    """Make a change and revert it, so that only the exporter detects it."""
    with cloud.one_more_counted("openstack_image_existence_changes_total", image="golden"):
        cloud.remove("golden")
    with cloud.one_more_counted("openstack_image_existence_changes_total", image="golden"):
        cloud.service.images.put(IMAGES["golden"])


@scenario(
    "public and private again between two scrapes",
    notified="BecamePublic golden",
    exporter="unseen",
)
def public_for_a_moment(cloud: ScenarioCloud) -> None:
    """Make a change and revert it, so that only the exporter detects it."""
    for visibility in ("public", "private"):
        with cloud.one_more_counted("openstack_image_attribute_changes_total", attribute="public"):
            cloud.change("golden", visibility=visibility)


@scenario(
    "Prometheus is restarted while an image is gone",
    notified="Gone golden",
    setup=gone_already,
    exporter="apart",
)
def prometheus_restart(cloud: ScenarioCloud) -> None:
    """Change nothing: the image remains gone."""


@scenario(
    "content swapped while Prometheus is down",
    notified="ContentChanged golden",
    exporter="apart",
)
def prometheus_restart_and_content_swap(cloud: ScenarioCloud) -> None:
    """Swap the content, and let the exporter count it."""
    with cloud.one_more_counted("openstack_image_content_changes_total", image="golden"):
        cloud.change("golden", checksum="f" * 32)


# The exporter reloads its settings


def retired_is_gone(cloud: ScenarioCloud) -> None:
    """Remove an image that the next settings do not contain."""
    cloud.remove("retired")
    cloud.wait_for_alerts("Gone retired")


@scenario(
    "images are removed from the settings, one of them gone",
    notified="Gone retired",
    images={**IMAGES, "retired": simulated(ABSENT)},
    setup=retired_is_gone,
    exporter="reloaded",
)
def taken_off(cloud: ScenarioCloud) -> None:
    """Wait until its alert is resolved; no alert fires for the other image."""
    cloud.wait_until_resolved()


# The target of the exporter has labels with the names of the exporter's own


@scenario(
    "the target has a label cloud, the name of one of two clouds",
    notified="PollFailures connection, DataStale golden, DataStale other",
    exporter="renamed",
)
def renamed_cloud(cloud: ScenarioCloud) -> None:
    """Do nothing. The alerts are about the other cloud, which Prometheus takes for this one."""


@scenario("the other one is down, which is hidden", exporter="renamed")
def hidden_cloud(cloud: ScenarioCloud) -> None:
    """Stop the service. ApiDown does not fire, since a cloud of the same name is up."""
    cloud.service.stop()


@scenario("the target has a label image", exporter="masked")
def masked_images(cloud: ScenarioCloud) -> None:
    """Do nothing."""


@scenario(
    "an image is deleted while the exporter's labels are honored",
    notified="Gone golden",
    exporter="honored",
)
def honored_labels(cloud: ScenarioCloud) -> None:
    """Remove an image; its alert has its own cloud and image."""
    cloud.remove("golden")
