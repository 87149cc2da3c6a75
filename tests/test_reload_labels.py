"""Labels of images at a reload: they change at once, and images keep their history."""

from pathlib import Path

from exporter.simulator import SimulatedImageService
from tests.reloading import cloud, exporting
from tests.support.program import GOLDEN, UBUNTU, simulated
from tests.support.wait import wait_until

STATUS_CHANGES = "openstack_image_status_changes_total"
LABELS = "openstack_image_labels"


def test_reload_changes_labels_and_keeps_the_history_of_images(tmp_path: Path) -> None:
    images = [simulated(GOLDEN), simulated(UBUNTU, "found")]
    with SimulatedImageService(images) as service:
        labelled = {"id": GOLDEN, "labels": {"team": "web"}}
        rule: dict[str, object] = {"name": "found"}
        lab = cloud(service.url, labelled, api="v2", discover=[rule])
        with exporting(tmp_path, lab, labels={"team": "ops"}) as exporter:
            exporter.wait_for_cycle()
            exporter.wait_for_poll(GOLDEN, UBUNTU)
            metrics = exporter.metrics()
            assert metrics.value(LABELS, image_id=GOLDEN, team="web") == 1
            assert metrics.value(LABELS, image_id=UBUNTU, team="ops") == 1
            service.images.change(GOLDEN, status="deactivated")
            exporter.run_cycle_now()
            wait_until(lambda: exporter.metrics().value(STATUS_CHANGES, image_id=GOLDEN) == 1)

            rule["labels"] = {"team": "build"}
            lab = cloud(service.url, GOLDEN, api="v2", discover=[rule])
            assert exporter.reload(lab, labels={"tier": "gold"}) == ()
            metrics = exporter.metrics()
            assert metrics.value(LABELS, image_id=GOLDEN, team="", tier="gold") == 1
            assert metrics.value(STATUS_CHANGES, image_id=GOLDEN) == 1
            assert len(metrics.values(LABELS)) == 2
            wait_until(
                lambda: exporter.metrics().value(LABELS, image_id=UBUNTU, team="build", tier="gold")
            )

            assert exporter.reload(cloud(service.url, GOLDEN, UBUNTU, api="v2")) == ()
            assert exporter.metrics().values(LABELS) == []
