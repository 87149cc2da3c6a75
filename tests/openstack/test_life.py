"""The lifecycle of an image in simulated v1 and v2 and in a real Glance, as polled."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest

from exporter.auth.static_token import StaticTokenAuthenticator
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.transport.tls_files import ClientTls
from tests.openstack.stack import OpenStack
from tests.support.lifecycle import (
    API_DIFFERENCES,
    DATA,
    LIFECYCLE,
    NO_DIFFERENCES,
    Comparable,
    comparable_samples,
)
from tests.support.polled_cloud import PolledCloud, polled_cloud

pytestmark = pytest.mark.slow

IMAGE, *NEIGHBOURS = (str(uuid4()) for _ in range(4))
"""Enough images to be polled by list requests."""

CREATED: Mapping[str, Any] = {"name": "newborn", "min_disk": 2, "min_ram": 512}

ACTIONS: Mapping[str, Callable[[OpenStack], object]] = {
    "queued": lambda cloud: cloud.demo.create(IMAGE, **CREATED),
    "active": lambda cloud: cloud.demo.upload(IMAGE, DATA),
    "protected": lambda cloud: cloud.demo.change(IMAGE, protected=True),
    "public": lambda cloud: cloud.admin.change(IMAGE, visibility="public"),
    "deactivated": lambda cloud: cloud.admin.act(IMAGE, "deactivate"),
    "active again": lambda cloud: cloud.admin.act(IMAGE, "reactivate"),
    "renamed": lambda cloud: cloud.demo.change(IMAGE, name=LIFECYCLE["renamed"]["name"]),
    "private again": lambda cloud: cloud.admin.change(IMAGE, visibility="private", protected=False),
    "hidden": lambda cloud: cloud.demo.change(IMAGE, os_hidden=True),
    "deleted": lambda cloud: cloud.demo.delete(IMAGE),
}
"""The actions that apply each step in a real Glance."""


def times(openstack: OpenStack, image_id: str) -> dict[str, Any]:
    """Return the timestamps of a real image, which only the real service can choose."""
    document = openstack.demo.image_api("GET", f"/v2/images/{image_id}").json()
    return {name: document[name].rstrip("Z") for name in ("created_at", "updated_at")}


@pytest.fixture
def service(openstack: OpenStack) -> Iterator[SimulatedImageService]:
    """Run a simulated service with the same additional images as the real one."""
    no_data: dict[str, Any] = {"status": "queued", "size": None, "checksum": None}
    simulated = []
    for image_id in NEIGHBOURS:
        openstack.demo.create(image_id, "neighbour")
        fields = {**no_data, **times(openstack, image_id), "owner": openstack.demo.project_id}
        simulated.append(SimulatedImage(image_id, name="neighbour", **fields))
    with SimulatedImageService(simulated) as running:
        running.api.project = openstack.demo.project_id
        yield running
    for image_id in NEIGHBOURS:
        openstack.demo.delete(image_id)


def apply_step(openstack: OpenStack, service: SimulatedImageService, step: str) -> None:
    """Apply one step in both services."""
    ACTIONS[step](openstack)
    fields: dict[str, Any] = dict(LIFECYCLE[step])
    if step == "queued":
        service.images.put(SimulatedImage(IMAGE, owner=openstack.demo.project_id, **CREATED))
    if step != "deleted":
        fields |= times(openstack, IMAGE)
    service.images.change(IMAGE, **fields)


def test_lifecycle_gives_the_same_series_with_a_real_glance(
    openstack: OpenStack, service: SimulatedImageService
) -> None:
    """Series of v2 are equal; series of v1 are equal as far as v1 has the data."""
    real = openstack.glance.url
    signed_in = StaticTokenAuthenticator(real, openstack.demo.sign_in(), ClientTls())
    variants: tuple[tuple[str, dict[str, Any], Mapping[str, Comparable]], ...] = (
        (
            real,
            {"api": "v2", "signin": signed_in, "interval": 60.0, "timeout": 30.0},
            NO_DIFFERENCES,
        ),
        (service.url, {"api": "v2", "timeout": 0.9}, NO_DIFFERENCES),
        (service.url, {"api": "v1", "timeout": 0.9}, API_DIFFERENCES),
    )
    with ExitStack() as stack:
        labs: list[PolledCloud] = [
            stack.enter_context(polled_cloud(url, [IMAGE, *NEIGHBOURS], **more))
            for url, more, _ in variants
        ]
        before: list[Any] = [{} for _ in variants]
        for step in ACTIONS:
            apply_step(openstack, service, step)
            for lab, (_, _, differences), last in zip(labs, variants, before, strict=True):
                lab.cycle()
                assert set(lab.reasons().values()) == {""}, step
                assert comparable_samples(lab.store, differences) != last or step == "hidden", step
                assert comparable_samples(lab.store, differences) == comparable_samples(
                    labs[0].store, differences
                ), step
            before = [
                comparable_samples(w.store, e) for w, (_, _, e) in zip(labs, variants, strict=True)
            ]
        counts = {lab.observation(IMAGE).change_counts for lab in labs[:2]}
        (same,) = counts
        assert (same.status, same.content, same.existence, same.name) == (3, 0, 1, 1)
        assert [lab.observation(IMAGE).exists for lab in labs] == [False] * 3
