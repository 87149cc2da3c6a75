"""The daemon with discovered images: real processes, real sockets, a simulated cloud."""

import threading
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from exporter.clock import now
from exporter.metrics.collector import ImageCollector
from exporter.metrics.exposition import Exposition
from exporter.model.cloud import CloudState
from exporter.model.image import Image
from exporter.model.outcome import Found
from exporter.model.target import Target
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.store import Store
from tests.support.program import BOUND, GOLDEN, UBUNTU, daemon, simulated
from tests.support.wait import wait_until

EXISTS = "openstack_image_exists"
CHANGES = "openstack_image_existence_changes_total"
RESOLVED = "openstack_image_resolved_info"
TARGETS = "openstack_image_exporter_targets"

NEWEST = {"name": "ubuntu-*", "status": "active", "most_recent": True, "alias": "ubuntu"}
TAGGED = {"tag": "golden"}
LISTED = "listed"


def settings(service: SimulatedImageService, **more: Any) -> dict[str, Any]:
    """A cloud with one image on the list, an alias, and a tag."""
    discover = [NEWEST, TAGGED]
    return {"name": "lab", "endpoint": service.url, "discover": discover, **more}


def ubuntu(image_id: str, day: int) -> SimulatedImage:
    """An image that was created on that day."""
    return simulated(image_id, f"ubuntu-{day}", created_at=f"2026-11-{day:02}T00:00:00.000000")


def test_an_alias_moves_and_images_are_deleted(tmp_path: Path) -> None:
    """Superseded series vanish without a word; deleted ones are 0, then forgotten."""
    images = [
        ubuntu(UBUNTU, 1),
        simulated(GOLDEN, "base", tags=("golden",)),
        simulated(LISTED, "x"),
    ]
    with (
        SimulatedImageService(images) as service,
        daemon(
            tmp_path,
            settings(service, images=[LISTED]),
            interval="1s",
            discovery_interval="1s",
            forget_after="3s",
        ) as program,
    ):
        wait_until(lambda: program.page("/-/ready") == (200, "Ready\n"))
        metrics = program.metrics()
        assert metrics.value(TARGETS) == 3
        assert metrics.values(EXISTS) == [1, 1, 1]
        assert metrics.value(EXISTS, image="ubuntu", image_id=UBUNTU) == 1
        assert metrics.value(EXISTS, image=GOLDEN, image_id=GOLDEN) == 1
        assert metrics.value(RESOLVED, image="ubuntu", image_id=UBUNTU) == 1
        assert metrics.value("openstack_image_resolved_changes_total", image="ubuntu") == 0

        seen: set[float] = set()
        service.images.put(ubuntu("newer", 2))

        def is_superseded() -> bool:
            shown = program.metrics()
            seen.update(shown.values(EXISTS, image_id=UBUNTU))
            seen.update(1 - value for value in shown.values(CHANGES, image_id=UBUNTU))
            return shown.values("openstack_image_target_info", image_id=UBUNTU) == []

        wait_until(is_superseded)
        assert seen == {1}
        program.wait_for_metric(EXISTS, 1, image="ubuntu", image_id="newer")
        program.wait_for_metric("openstack_image_resolved_changes_total", 1, image="ubuntu")
        assert "old=" + UBUNTU in program.line("alias stands for another image")

        service.images.delete(GOLDEN)
        service.images.delete(LISTED)
        program.wait_for_metric(EXISTS, 0, image_id=LISTED)
        program.wait_for_metric(CHANGES, 1, image_id=GOLDEN)
        wait_until(lambda: program.metrics().values(EXISTS, image_id=GOLDEN) == [])
        assert "image=" + GOLDEN in program.line("image is forgotten")
        metrics = program.metrics()
        assert metrics.value(EXISTS, image_id=LISTED) == 0
        assert metrics.value(TARGETS) == 2
        program.stop()


def test_an_endpoint_without_v2_is_polled_and_says_what_is_missing(tmp_path: Path) -> None:
    """A list that fails changes nothing for images that are asked for by v1, and is one line."""
    with SimulatedImageService([simulated(LISTED)]) as service:
        service.faults.set("status", on="list", code=300)
        with daemon(
            tmp_path,
            settings(service, images=[LISTED], api="v1"),
            interval="1s",
            discovery_interval="1s",
        ) as program:
            wait_until(lambda: program.page("/-/ready") == (200, "Ready\n"))
            wait_until(lambda: service.log.count(path="/v2/images") > 3)
            assert "reason=api_version" in program.line("discovery failed")
            assert program.metrics().value(EXISTS, image_id=LISTED) == 1
            assert program.metrics().values(RESOLVED) == []
            program.stop()


def test_what_is_served_stays_right_while_images_come_and_go() -> None:
    """Every scrape is answered, and the last one is what the plain collector says."""
    store = Store()
    targets = [Target("lab", str(number), str(number), "discovered") for number in range(300)]
    store.add_cloud(CloudState("lab", 60.0), targets)
    exposition = Exposition(store, CollectorRegistry(), now)
    failures: list[Exception] = []
    done = threading.Event()

    def scrape() -> None:
        while not done.is_set():
            try:
                exposition.body(openmetrics=False, compressed=False)
            except Exception as error:  # noqa: BLE001  # the test is told
                failures.append(error)

    scraping = threading.Thread(target=scrape)
    scraping.start()
    for number in range(300):
        for target in targets[number % 7 :: 7]:
            key = target.key
            if key in store.targets():
                found = Found(Image("v2", target.image_id, "active"))
                store.observe(key, store.observation(key).with_outcome(found, now(), 900.0))
        store.remove_target(next(iter(store.targets())))
        store.set_targets("lab", targets[number % 5 :: 2])
    done.set()
    scraping.join(BOUND)
    assert not scraping.is_alive()
    assert failures == []
    plain = CollectorRegistry()
    plain.register(ImageCollector(store, now))
    body = exposition.body(openmetrics=False, compressed=False)
    assert b"".join(body.pieces) == generate_latest(plain)
