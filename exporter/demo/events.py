"""The events of the demo: one loop of four minutes, after which everything is as before."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from exporter.demo.images import IMAGES
from exporter.demo.services import DemoServices
from exporter.demo.v2_images import NEW_UBUNTU, V2_IMAGES
from exporter.simulator.image import SimulatedImages

LOOP_SECONDS = 240.0

ALL_IMAGES = {**IMAGES, **V2_IMAGES}
"""The images of both clouds at the start of a loop. No name is in both."""

Change: TypeAlias = Callable[[DemoServices, str], object]
"""Changes the services. The text is the current time in Glance's format."""


@dataclass(frozen=True, slots=True)
class StoryEvent:
    """A change of the services.

    Attributes:
        at: Seconds after the start of a loop.
        description: Its subject, a colon, and what happens.
        see: The metric of the subject that the next poll changes.
        change: Makes the change.
    """

    at: float
    description: str
    see: str
    change: Change

    @property
    def line(self) -> str:
        """The line that is printed when it happens."""
        return f"{self.description}; see {self.see}"


def _images(services: DemoServices, alias: str) -> SimulatedImages:
    """Return the images of the service that has the image with this alias."""
    return (services.first if alias in IMAGES else services.second).images


def _edit(alias: str, **fields: Any) -> Change:  # fields of SimulatedImage
    image_id = ALL_IMAGES[alias].id
    return lambda services, now: _images(services, alias).change(image_id, updated_at=now, **fields)


def _restore(alias: str) -> Change:
    image = ALL_IMAGES[alias]
    return lambda services, now: _images(services, alias).put(replace(image, updated_at=now))


def _purge(alias: str) -> Change:
    """Remove an image, which an administrator would still see if it were only deleted."""
    return lambda services, _: _images(services, alias).remove(ALL_IMAGES[alias].id)


def _upload_ubuntu(services: DemoServices, now: str) -> None:
    services.second.images.put(replace(NEW_UBUNTU, created_at=now, updated_at=now))


def _withdraw_ubuntu(services: DemoServices, _: str) -> None:
    services.second.images.remove(NEW_UBUNTU.id)


def _lose_an_image(services: DemoServices, _: str) -> None:
    """Respond twice as a server that lacks an image, and then as the others, which have it."""
    services.first.faults.set("status", on=IMAGES["rocky-9"].id, times=2, code=404)


def _repair_server(services: DemoServices, _: str) -> None:
    services.first.faults.clear(IMAGES["rocky-9"].id)


def _revoke_token(services: DemoServices, _: str) -> None:
    services.keystone.revoke()


def _fail(services: DemoServices, _: str) -> None:
    services.first.faults.set("status", code=503)


def _recover(services: DemoServices, _: str) -> None:
    services.first.faults.clear()


def _stop(services: DemoServices, _: str) -> None:
    services.first.stop()


def _start(services: DemoServices, _: str) -> None:
    services.first.start()


EVENTS = (
    StoryEvent(
        10,
        "appliance: upload started, queued -> saving",
        'openstack_image_status{image="appliance"}',
        _edit("appliance", status="saving", size=1_073_741_824),
    ),
    StoryEvent(
        20,
        "ubuntu-latest: a newer image was uploaded, the alias moves to it",
        'openstack_image_resolved_info{image="ubuntu-latest"}',
        _upload_ubuntu,
    ),
    StoryEvent(
        25,
        "appliance: upload finished, saving -> active",
        'openstack_image_content_info{image="appliance"}',
        _edit("appliance", status="active", checksum="3f8c1f0d5b2e4a6978c0d1e2f3a4b5c6"),
    ),
    StoryEvent(
        35,
        "ci-runner: deactivated by an administrator, instances can no longer boot from it",
        'openstack_image_expectation_met{image="ci-runner"}',
        _edit("ci-runner", status="deactivated"),
    ),
    StoryEvent(
        45,
        "batch-worker: protected, as expected of every golden image",
        'openstack_image_expectation_met{expectation="protected"}',
        _edit("batch-worker", protected=True),
    ),
    StoryEvent(
        50,
        "k8s-node: deleted and purged, HEAD returns 404",
        'openstack_image_exists{image="k8s-node"}',
        _purge("k8s-node"),
    ),
    StoryEvent(
        60,
        "ci-runner: active again",
        'openstack_image_status{image="ci-runner"}',
        _restore("ci-runner"),
    ),
    StoryEvent(
        65,
        "debian-lts: hidden from lists",
        'openstack_image_hidden{image="debian-lts"}',
        _edit("debian-lts", hidden=True),
    ),
    StoryEvent(
        70,
        "debian-12: content replaced under the same ID, checksum and size change",
        'openstack_image_content_changes_total{image="debian-12"}',
        _edit("debian-12", size=355_926_016, checksum="c2d4e6f8091a2b3c4d5e6f708192a3b4"),
    ),
    StoryEvent(
        80,
        "postgres: made public, including the customer schema in it",
        'openstack_image_public{image="postgres"}',
        _edit("postgres", visibility="public"),
    ),
    StoryEvent(
        85,
        "toolbox: made public, so every project has it in its list",
        'openstack_image_info{image="toolbox"}',
        _edit("toolbox", visibility="public"),
    ),
    StoryEvent(
        90,
        "k8s-node: available again under the same ID",
        'openstack_image_existence_changes_total{image="k8s-node"}',
        _restore("k8s-node"),
    ),
    StoryEvent(
        100,
        "golden-base: protection removed, the image can be deleted",
        'openstack_image_protected{image="golden-base"}',
        _edit("golden-base", protected=False),
    ),
    StoryEvent(
        105,
        "cloud demo: an API server returns 404 for rocky-9, but others have it: it is not gone",
        'openstack_image_exporter_contradictions_total{cloud="demo"}',
        _lose_an_image,
    ),
    StoryEvent(
        110,
        "postgres: private again",
        'openstack_image_attribute_changes_total{image="postgres"}',
        _restore("postgres"),
    ),
    StoryEvent(
        120,
        "nightly: upload started, queued -> saving",
        'openstack_image_status{image="nightly"}',
        _edit("nightly", status="saving", size=734_003_200),
    ),
    StoryEvent(
        125,
        "cloud demo: all API servers agree again, and contradictions are no longer counted",
        'openstack_image_exporter_contradictions_total{cloud="demo"}',
        _repair_server,
    ),
    StoryEvent(
        130,
        "golden-base: protected again",
        'openstack_image_expectation_met{image="golden-base"}',
        _restore("golden-base"),
    ),
    StoryEvent(
        135,
        "nightly: upload does not match its checksum, saving -> killed",
        'openstack_image_status_changes_total{image="nightly"}',
        _edit("nightly", status="killed", size=0, checksum="0" * 32),
    ),
    StoryEvent(
        140,
        "cloud demo-v2: Keystone revokes the token, the exporter signs in again after a 401",
        'openstack_image_exporter_authentications_total{cloud="demo-v2"}',
        _revoke_token,
    ),
    StoryEvent(
        150,
        "cloud demo: the Image service returns 503 to everything, no image may be reported as gone",
        'openstack_image_api_up{cloud="demo"}',
        _fail,
    ),
    StoryEvent(
        170,
        "cloud demo: the Image service works again",
        'openstack_image_poll_success{cloud="demo"}',
        _recover,
    ),
    StoryEvent(
        185,
        "cloud demo: the Image service refuses connections",
        'openstack_image_exporter_poll_failures_total{cloud="demo"}',
        _stop,
    ),
    StoryEvent(
        200,
        "cloud demo: the Image service accepts connections again",
        'openstack_image_api_up{cloud="demo"}',
        _start,
    ),
    StoryEvent(
        205,
        "toolbox: an image of the community again, which lists leave out",
        'openstack_image_info{image="toolbox"}',
        _restore("toolbox"),
    ),
    StoryEvent(
        210,
        "debian-12: original content restored",
        'openstack_image_content_info{image="debian-12"}',
        _restore("debian-12"),
    ),
    StoryEvent(
        215,
        "ubuntu-latest: the newer image is withdrawn and deleted, the alias moves back",
        'openstack_image_resolved_changes_total{image="ubuntu-latest"}',
        _withdraw_ubuntu,
    ),
    StoryEvent(
        220,
        "nightly: ready for a new upload, queued",
        'openstack_image_status{image="nightly"}',
        _restore("nightly"),
    ),
    StoryEvent(
        225,
        "batch-worker: protection removed",
        'openstack_image_expectation_met{expectation="protected"}',
        _restore("batch-worker"),
    ),
    StoryEvent(
        230,
        "appliance: ready for a new upload, queued",
        'openstack_image_status{image="appliance"}',
        _restore("appliance"),
    ),
    StoryEvent(
        235,
        "debian-lts: listed again",
        'openstack_image_hidden{image="debian-lts"}',
        _restore("debian-lts"),
    ),
)
"""The events of one loop in order. Afterwards all images are as before and nothing fails."""
