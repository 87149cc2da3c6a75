import itertools
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from exporter.glance.versions import API_VERSIONS
from exporter.polling.engine.contradictions import USUAL
from exporter.simulator import Release, SimulatedImage, SimulatedImageService
from exporter.simulator.image import OWNER
from tests.polling.v2_services import FEW, serving
from tests.support.lifecycle import (
    ADMIN_DIFFERENCES,
    API_DIFFERENCES,
    LIFECYCLE,
    comparable_samples,
)
from tests.support.polled_cloud import PolledCloud, polled_cloud

OTHER = "f" * 32
IDS = [str(uuid.UUID(int=number)) for number in range(1, 1001)]

KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"visibility": "public", "owner": OTHER},
    {"visibility": "community", "owner": OTHER},
    {"visibility": "shared", "owner": OTHER, "members": {OWNER: "accepted"}},
    {"visibility": "shared", "owner": OTHER, "members": {OWNER: "pending"}},
    {"visibility": "shared", "owner": OTHER, "members": {OWNER: "rejected"}},
    {"hidden": True},
    {"visibility": "public", "owner": OTHER, "hidden": True},
    {"visibility": "community", "owner": OTHER, "hidden": True},
)
"""Kinds of images that a list may lack although they are visible."""


@pytest.fixture
def service(release: Release) -> Iterator[SimulatedImageService]:
    """Run a service without v1 that has a few images."""
    with serving(release=release) as running:
        yield running


@pytest.fixture
def lab(service: SimulatedImageService) -> Iterator[PolledCloud]:
    """Run a poller that has found all images by v2 in its first cycle."""
    with polled_cloud(service.url, FEW, api="v2") as made:
        made.cycle()
        assert made.exists() == dict.fromkeys(FEW, True)
        yield made


def request_count(service: SimulatedImageService) -> int:
    """Return the number of requests since the last call."""
    count = service.log.requests
    service.log.clear()
    return count


@pytest.mark.slow
def test_thousand_images_of_all_kinds_take_thirty_requests(release: Release) -> None:
    images = {
        image_id: SimulatedImage(image_id, **KINDS[number % len(KINDS)])
        for number, image_id in enumerate(IDS)
    }
    with (
        serving(images, release=release) as service,
        polled_cloud(
            service.url, IDS, interval=5.0, timeout=4.0, concurrency=16, api="auto"
        ) as lab,
    ):
        for _ in range(2):
            lab.cycle()
            assert lab.exists() == dict.fromkeys(IDS, True)
            assert request_count(service) <= 30
        gone = IDS[::40]
        for image_id in gone:
            service.images.delete(image_id)
        lab.cycle()
        assert {image_id for image_id, exists in lab.exists().items() if not exists} == set(gone)
        assert service.log.count(path="id=in:") <= 20
        assert request_count(service) <= 20 + 20 * len(gone)
        lab.cycle()
        assert request_count(service) <= 30 + len(gone)
        assert set(lab.reasons().values()) == {""}
        assert lab.state.polls == 4 * len(IDS)


def test_upgrade_or_downgrade_of_the_service_fails_no_poll() -> None:
    with (
        serving(release=Release.GLANCE_15) as service,
        polled_cloud(service.url, FEW, api="v2") as lab,
    ):
        service.images.change(FEW[0], visibility="community", owner=OTHER)
        for release in (Release.GLANCE_15, Release.GLANCE_33, Release.GLANCE_15):
            service.api.release = release
            service.images.change(FEW[1], hidden=True)
            lab.cycle()
            assert lab.exists() == dict.fromkeys(FEW, True)
            assert set(lab.reasons().values()) == {""}


def test_killed_image_is_in_no_list_but_found(
    service: SimulatedImageService, lab: PolledCloud
) -> None:
    service.images.change(FEW[0], status="killed")
    lab.cycle()
    seen = lab.observation(FEW[0])
    assert (seen.exists, seen.image and seen.image.status) == (True, "killed")


def test_short_pages_are_followed(service: SimulatedImageService, lab: PolledCloud) -> None:
    service.api.page_limit = 2
    request_count(service)
    lab.cycle()
    assert lab.exists() == dict.fromkeys(FEW, True)
    assert service.log.count(path="marker=") == 2
    assert request_count(service) == 3


def test_image_is_gone_and_returns(service: SimulatedImageService, lab: PolledCloud) -> None:
    service.images.delete(FEW[1])
    lab.cycle()
    assert lab.exists() == {**dict.fromkeys(FEW, True), FEW[1]: False}
    connections = [record.connection for record in service.log.records if record.status == 404]
    assert len(set(connections)) == len(connections) == 1 + USUAL.rechecks + USUAL.probes
    request_count(service)
    lab.cycle()
    assert request_count(service) == 2
    service.images.put(SimulatedImage(FEW[1]))
    lab.cycle()
    assert lab.exists() == dict.fromkeys(FEW, True)
    assert lab.observation(FEW[1]).change_counts.existence == 2


def test_no_image_is_gone_while_the_api_responds_404_to_all_requests(
    service: SimulatedImageService,
) -> None:
    with polled_cloud(service.url, FEW, api="v2") as lab:
        lab.cycle()
        service.faults.set("status", code=404)
        for _ in range(10):
            lab.cycle()
            assert lab.exists() == dict.fromkeys(FEW, True)
            assert set(lab.reasons().values()) == {"unconfirmed"}
        assert lab.state.api_up is False


def test_outage_changes_only_poll_success_and_api_up(
    service: SimulatedImageService, lab: PolledCloud
) -> None:
    service.stop()
    lab.cycle()
    assert lab.exists() == dict.fromkeys(FEW, True)
    assert set(lab.reasons().values()) == {"connection"}
    assert lab.state.api_up is False
    service.start()
    lab.cycle()
    assert set(lab.reasons().values()) == {""}


@pytest.mark.parametrize("fault", ["hang", "hang_in_head", "trickle"])
def test_batches_in_flight_at_the_deadline_time_out(
    service: SimulatedImageService, fault: str
) -> None:
    service.faults.set(fault, on="list")
    with polled_cloud(service.url, FEW, interval=0.5, timeout=30.0, api="v2") as lab:
        lab.cycle()
        assert lab.reasons() == dict.fromkeys(FEW, "timeout")
        assert lab.state.polls == len(FEW)


@pytest.mark.parametrize(
    ("fault", "options", "lists"),
    [
        # The third one is the list without parameters that could be to blame.
        ("status", {"code": 400}, {Release.GLANCE_15: 3, Release.GLANCE_33: 3}),
        ("status", {"code": 414}, {Release.GLANCE_15: 2, Release.GLANCE_33: 2}),
        ("status", {"code": 431}, {Release.GLANCE_15: 2, Release.GLANCE_33: 2}),
        # The fault keeps the status, which is 400 for Glance 15. It hides which parameter is to
        # blame, so that three short lists find out.
        ("other_body", {}, {Release.GLANCE_15: 4 + 3, Release.GLANCE_33: 3}),
    ],
    ids=["400", "414", "431", "other body"],
)
def test_server_without_lists_is_polled_one_by_one(
    service: SimulatedImageService,
    release: Release,
    fault: str,
    options: dict[str, Any],
    lists: Mapping[Release, int],
) -> None:
    service.faults.set(fault, on="list", **options)
    with polled_cloud(service.url, FEW, api="v2") as lab:
        lab.cycle()
        assert set(lab.reasons().values()) == {""}
        assert request_count(service) == lists[release] + len(FEW)


def test_rate_limited_lists_are_not_split(service: SimulatedImageService, lab: PolledCloud) -> None:
    service.faults.set("status", on="list", code=429)
    request_count(service)
    lab.cycle()
    assert set(lab.reasons().values()) == {"rate_limited"}
    assert service.log.count(path="/v2/images/") == 0
    assert request_count(service) <= 3


def test_stray_bytes_after_a_list_make_it_malformed(
    service: SimulatedImageService, lab: PolledCloud
) -> None:
    service.faults.set("leftover", on="list", data=b"HTTP/1.1 404 Not Found\r\n\r\n")
    lab.cycle()
    assert lab.exists() == dict.fromkeys(FEW, True)
    service.faults.clear()
    lab.cycle()
    assert set(lab.reasons().values()) == {""}


def test_401_to_a_list_takes_no_image() -> None:
    with serving(token="good") as service:
        with polled_cloud(service.url, FEW, api="v2") as lab:
            lab.cycle()
            assert set(lab.reasons().values()) == {"unauthorized"}
        assert set(lab.exists().values()) == {None}


# The same life through every version


@pytest.mark.parametrize("admin", [False, True])
def test_same_life_gives_the_same_series_through_every_version(
    admin: bool, release: Release
) -> None:
    with ExitStack() as stack:
        service = stack.enter_context(serving(release=release))
        service.api.v1_enabled = True
        service.api.admin = admin
        labs = [
            stack.enter_context(polled_cloud(service.url, FEW, api=api)) for api in API_VERSIONS
        ]
        seen = []
        for step, fields in LIFECYCLE.items():
            service.images.change(FEW[2], **fields)
            exceptions = dict(API_DIFFERENCES)
            if admin and step == "deleted":
                exceptions |= ADMIN_DIFFERENCES
            for lab in labs:
                lab.cycle()
            first, *others = (comparable_samples(lab.store, exceptions) for lab in labs)
            for api, samples in zip([*API_VERSIONS][1:], others, strict=True):
                assert samples == first, f"{step}, {api}"
            seen.append(first)
        unseen = [
            step
            for step, (before, after) in zip(
                [*LIFECYCLE][1:], itertools.pairwise(seen), strict=True
            )
            if before == after
        ]
        assert unseen == ["hidden"], "what all can know of a step is shown"
        counts = labs[1].observation(FEW[2]).change_counts
        assert (counts.status, counts.content, counts.existence) == (4, 1, 1)


def test_large_image_of_open_telekom_cloud() -> None:
    """Its size is in a property. Its MD5 is that of an empty file, so it is not exported."""
    image = SimulatedImage(
        FEW[0],
        size=0,
        checksum="d41d8cd98f00b204e9800998ecf8427e",
        properties={"__image_size": "5368709120"},
    )
    images = {FEW[0]: image, FEW[1]: SimulatedImage(FEW[1])}
    with serving(images) as service, polled_cloud(service.url, list(images), api="v2") as lab:
        lab.cycle()
        series = comparable_samples(lab.store)
        mine = {
            (name, labels): value
            for (name, labels), value in series.items()
            if ("image_id", FEW[0]) in labels
        }
        sizes = [v for (name, _), v in mine.items() if name == "openstack_image_size_bytes"]
        assert sizes == [5368709120.0]
        contents = [dict(ls) for (name, ls) in mine if name == "openstack_image_content_info"]
        assert "md5" not in {labels["algorithm"] for labels in contents}
