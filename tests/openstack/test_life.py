"""The same life through v1, v2 and a real Glance, polled by the exporter's own parts."""

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

IMAGE, *NEIGHBOURS = (str(uuid4()) for _ in range(4))
"""Enough images to be asked for by a list."""

CREATED: Mapping[str, Any] = {"name": "newborn", "min_disk": 2, "min_ram": 512}

ACTS: Mapping[str, Callable[[OpenStack], object]] = {
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
"""What makes each step at a real Glance."""


def times(openstack: OpenStack, image_id: str) -> dict[str, Any]:
    """When a real image was created and updated, which only the real service can choose."""
    document = openstack.demo.image_api("GET", f"/v2/images/{image_id}").json()
    return {name: document[name].rstrip("Z") for name in ("created_at", "updated_at")}


@pytest.fixture
def service(openstack: OpenStack) -> Iterator[SimulatedImageService]:
    """A simulated service with the neighbours that the real one has too."""
    nothing: dict[str, Any] = {"status": "queued", "size": None, "checksum": None}
    simulated = []
    for image_id in NEIGHBOURS:
        openstack.demo.create(image_id, "neighbour")
        known = {**nothing, **times(openstack, image_id), "owner": openstack.demo.project_id}
        simulated.append(SimulatedImage(image_id, name="neighbour", **known))
    with SimulatedImageService(simulated) as running:
        running.api.project = openstack.demo.project_id
        yield running
    for image_id in NEIGHBOURS:
        openstack.demo.delete(image_id)


def live(openstack: OpenStack, service: SimulatedImageService, step: str) -> None:
    """Takes one step at both services."""
    ACTS[step](openstack)
    fields: dict[str, Any] = dict(LIFECYCLE[step])
    if step == "queued":
        service.images.put(SimulatedImage(IMAGE, owner=openstack.demo.project_id, **CREATED))
    if step != "deleted":
        fields |= times(openstack, IMAGE)
    service.images.change(IMAGE, **fields)


def test_the_same_life_gives_the_same_series_at_a_real_glance(
    openstack: OpenStack, service: SimulatedImageService
) -> None:
    """After each step simulated v2 shows what real v2 does, and v1 as much of it as it can know."""
    real = openstack.glance.url
    signed_in = StaticTokenAuthenticator(real, openstack.demo.sign_in(), ClientTls())
    ways: tuple[tuple[str, dict[str, Any], Mapping[str, Comparable]], ...] = (
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
            for url, more, _ in ways
        ]
        before: list[Any] = [{} for _ in ways]
        for step in ACTS:
            live(openstack, service, step)
            for lab, (_, _, exceptions), last in zip(labs, ways, before, strict=True):
                lab.cycle()
                assert set(lab.reasons().values()) == {""}, step
                assert comparable_samples(lab.store, exceptions) != last or step == "hidden", step
                assert comparable_samples(lab.store, exceptions) == comparable_samples(
                    labs[0].store, exceptions
                ), step
            before = [
                comparable_samples(w.store, e) for w, (_, _, e) in zip(labs, ways, strict=True)
            ]
        counts = {lab.observation(IMAGE).change_counts for lab in labs[:2]}
        (same,) = counts
        assert (same.status, same.content, same.existence, same.name) == (3, 0, 1, 1)
        assert [lab.observation(IMAGE).exists for lab in labs] == [False] * 3
