"""The simulated services of the demo: two Image services, and a Keystone for the second one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from exporter.demo.images import BUILD, IMAGES
from exporter.demo.v2_images import V2_IMAGES
from exporter.simulator.keystone import DOMAIN, SimulatedKeystone
from exporter.simulator.service import SimulatedImageService

TOKEN_LIFE = 270.0
"""Seconds for which a token is valid.

One is renewed in every loop of the demo, at 54 seconds before its end. With less,
OpenStackImageTokenNotRenewed would fire although it is.
"""


@dataclass(frozen=True, slots=True)
class DemoServices:
    """The running services.

    Attributes:
        first: The Image service of the cloud ``demo``, which shows its callers what administrators
            see, as Glance does without Keystone.
        second: The Image service of the cloud ``demo-v2``.
        keystone: The Keystone whose tokens the second one accepts.
    """

    first: SimulatedImageService
    second: SimulatedImageService
    keystone: SimulatedKeystone


@contextmanager
def running_services() -> Iterator[DemoServices]:
    """Run the services with the images at the start of a loop."""
    with (
        SimulatedImageService(IMAGES.values()) as first,
        SimulatedImageService(V2_IMAGES.values()) as second,
        SimulatedKeystone() as keystone,
    ):
        first.api.admin = True
        second.api.v1_enabled = False
        second.api.keystone = keystone
        keystone.token_life = TOKEN_LIFE
        keystone.scope = {"project": {"id": BUILD, "name": "demo", "domain": DOMAIN}}
        keystone.offer_image(second.url)
        yield DemoServices(first, second, keystone)
