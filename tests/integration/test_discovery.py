"""The daemon with discovered images, in a process of its own, with a simulated cloud."""

import threading
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from exporter.clock import now
from exporter.metrics.exposition import Exposition
from exporter.model.cloud import CloudState
from exporter.model.image import Image
from exporter.model.outcome import Found
from exporter.model.target import Target
from exporter.simulator import Release, SimulatedImage, SimulatedImageService
from exporter.store import Store
from tests.support.program import BOUND, GOLDEN, UBUNTU, daemon, simulated
from tests.support.reference_collector import ImageCollector
from tests.support.wait import wait_until

EXISTS = "openstack_image_exists"
CHANGES = "openstack_image_existence_changes_total"
RESOLVED = "openstack_image_resolved_info"
TARGETS = "openstack_image_exporter_targets"

NEWEST = {"name": "ubuntu-*", "status": "active", "most_recent": True, "alias": "ubuntu"}
TAGGED = {"tag": "golden"}
LISTED = "listed"


def settings(service: SimulatedImageService, **more: Any) -> dict[str, Any]:
    """Return the settings of a cloud with an alias rule and a tag rule."""
    discover = [NEWEST, TAGGED]
    return {"name": "lab", "endpoint": service.url, "discover": discover, **more}


def ubuntu(image_id: str, day: int) -> SimulatedImage:
    """Return an image created on this day of November."""
    return simulated(image_id, f"ubuntu-{day}", created_at=f"2026-11-{day:02}T00:00:00.000000")


def test_superseded_images_are_dropped_and_deleted_ones_become_0_first(
    tmp_path: Path, release: Release
) -> None:
    """An alias moves to a newer image; deleted images are dropped after ``forget_after``."""
    images = [
        ubuntu(UBUNTU, 1),
        simulated(GOLDEN, "base", tags=("golden",)),
        simulated(LISTED, "x"),
    ]
    with (
        SimulatedImageService(images, release=release) as service,
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

        values: set[float] = set()
        service.images.put(ubuntu("newer", 2))

        def is_superseded() -> bool:
            metrics = program.metrics()
            values.update(metrics.values(EXISTS, image_id=UBUNTU))
            values.update(1 - value for value in metrics.values(CHANGES, image_id=UBUNTU))
            return metrics.values("openstack_image_target_info", image_id=UBUNTU) == []

        wait_until(is_superseded)
        assert values == {1}
        program.wait_for_metric(EXISTS, 1, image="ubuntu", image_id="newer")
        program.wait_for_metric("openstack_image_resolved_changes_total", 1, image="ubuntu")
        assert "old=" + UBUNTU in program.line("alias now resolves to another image")

        service.images.delete(GOLDEN)
        service.images.delete(LISTED)
        program.wait_for_metric(EXISTS, 0, image_id=LISTED)
        program.wait_for_metric(CHANGES, 1, image_id=GOLDEN)
        wait_until(lambda: program.metrics().values(EXISTS, image_id=GOLDEN) == [])
        assert "image=" + GOLDEN in program.line("stopped watching image")
        metrics = program.metrics()
        assert metrics.value(EXISTS, image_id=LISTED) == 0
        assert metrics.value(TARGETS) == 2
        program.stop()


def test_failed_discovery_does_not_affect_configured_images(tmp_path: Path) -> None:
    """An endpoint without v2 cannot list images, but v1 still polls those configured by ID."""
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


def test_exposition_stays_correct_while_images_come_and_go() -> None:
    """Every scrape succeeds, and the last one equals the output of the plain collector."""
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
            except Exception as error:  # noqa: BLE001  # asserted below
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
    assert b"".join(body) == generate_latest(plain)
