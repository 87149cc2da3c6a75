"""Restarts with a state file: what changed in between is counted, and nothing else."""

import gzip
import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.model.outcome import Failed
from exporter.model.target import TargetKey
from exporter.simulator import SimulatedImageService
from exporter.state.document import MAX_FILE_BYTES
from tests.reloading import LAB, ReloadableExporter, cloud, exporting
from tests.support.program import ABSENT, BOUND, GOLDEN, UBUNTU, simulated
from tests.support.wait import wait_until

EXISTS = "openstack_image_exists"
POLL_SUCCESS = "openstack_image_poll_success"
EXISTENCE_CHANGES = "openstack_image_existence_changes_total"
STATUS_CHANGES = "openstack_image_status_changes_total"
CONTENT_CHANGES = "openstack_image_content_changes_total"
WRITTEN_AT = "openstack_image_exporter_state_last_write_timestamp_seconds"
SECRET = "gAAAAABmmVeryLongFernetTokenThatNobodyMaySee"

pytestmark = pytest.mark.usefixtures("clean_configuration")


Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Return a function that runs an exporter whose state file outlives it."""

    def start_exporter(*clouds: dict[str, Any], **general: Any) -> Any:
        return exporting(tmp_path, *clouds, state={"file": str(tmp_path / "state")}, **general)

    return start_exporter


def image_samples(exporter: ReloadableExporter) -> list[str]:
    """Return the samples of images."""
    return [line for line in exporter.text().splitlines() if 'image_id="' in line]


def test_change_during_the_downtime_is_counted(
    service: SimulatedImageService, start: Start
) -> None:
    lab = cloud(service.url, GOLDEN, UBUNTU)
    with start(lab) as exporter:
        exporter.wait_for_cycle()
    service.images.change(GOLDEN, status="deactivated")
    service.images.change(UBUNTU, checksum="f" * 32)
    with start(lab) as exporter:
        exporter.wait_for_cycle()
        metrics = exporter.metrics()
        assert metrics.value(STATUS_CHANGES, image=GOLDEN) == 1
        assert metrics.value(STATUS_CHANGES, image=UBUNTU) == 0
        assert metrics.value(CONTENT_CHANGES, image=UBUNTU) == 1
        details = exporter.application.find_image(cloud=LAB, image_id=GOLDEN)
        assert details is not None
        assert [change.what for event in details.changes for change in event.changes] == ["status"]
    service.images.change(GOLDEN, status="active")
    with start(lab) as exporter:
        exporter.wait_for_cycle()
        assert exporter.metrics().value(STATUS_CHANGES, image=GOLDEN) == 2


def test_time_of_the_last_write_is_known_before_the_first_one(
    service: SimulatedImageService, start: Start
) -> None:
    """A first write that hangs is found by it."""
    lab = cloud(service.url, GOLDEN)
    with start(lab) as exporter:
        exporter.wait_for_cycle()
        assert exporter.metrics().value(WRITTEN_AT) == 0
        exporter.saver.save()
        written_at = exporter.metrics().value(WRITTEN_AT)
    with start(lab, is_polling=False) as exporter:
        assert exporter.metrics().value(WRITTEN_AT) == pytest.approx(written_at, rel=0, abs=BOUND)


def test_image_that_vanished_during_the_downtime_is_gone_and_counted(
    service: SimulatedImageService, start: Start
) -> None:
    lab = cloud(service.url, GOLDEN, UBUNTU)
    with start(lab) as exporter:
        exporter.wait_for_cycle()
    service.images.remove(GOLDEN)
    with start(lab) as exporter:
        exporter.wait_for_cycle()
        metrics = exporter.metrics()
        assert metrics.value(EXISTS, image=GOLDEN) == 0
        assert metrics.value(EXISTENCE_CHANGES, image=GOLDEN) == 1
        assert metrics.value(EXISTENCE_CHANGES, image=UBUNTU) == 0


def test_metrics_of_images_are_the_same_before_the_first_poll(
    service: SimulatedImageService, start: Start
) -> None:
    service.images.put(simulated(ABSENT))
    lab = cloud(service.url, GOLDEN, UBUNTU, ABSENT)
    with start(lab, interval="2s", timeout="1s") as exporter:
        exporter.wait_for_cycle()
        service.images.change(GOLDEN, status="deactivated")
        service.images.remove(ABSENT)
        wait_until(lambda: exporter.metrics().value(EXISTS, image=ABSENT) == 0)
        wait_until(lambda: exporter.metrics().value(STATUS_CHANGES, image=GOLDEN) == 1)
        before = image_samples(exporter)
    with start(lab, is_polling=False) as exporter:
        assert image_samples(exporter) == before


def test_outage_after_a_restart_leaves_values_and_makes_nothing_gone(
    service: SimulatedImageService, start: Start
) -> None:
    lab = cloud(service.url, GOLDEN, UBUNTU)
    with start(lab) as exporter:
        exporter.wait_for_cycle()
    service.faults.set("status", code=503)
    with start(lab) as exporter:
        exporter.wait_for_cycle()
        metrics = exporter.metrics()
        assert metrics.values(EXISTS) == [1, 1]
        assert metrics.values(POLL_SUCCESS) == [0, 0]


def test_lost_role_during_the_downtime_needs_a_second_cycle(
    service: SimulatedImageService, start: Start
) -> None:
    """Without its memory the exporter would report that the images never existed."""
    lab = cloud(service.url, GOLDEN, UBUNTU)
    with start(lab) as exporter:
        exporter.wait_for_cycle()
    service.faults.set("status", on="image", code=404)
    with start(lab) as exporter:
        exporter.wait_for_cycle()
        assert exporter.metrics().values(EXISTS) == [1, 1]


def test_unconfirmed_404_does_not_count_after_a_restart(
    service: SimulatedImageService, start: Start
) -> None:
    """Two cycles must suspect a mass disappearance, and both must be of one process."""
    lab = cloud(service.url, GOLDEN, UBUNTU)
    with start(lab) as exporter:
        exporter.wait_for_cycle()
    service.faults.set("status", on="image", code=404)
    for _ in range(3):
        with start(lab) as exporter:
            exporter.wait_for_cycle()
            metrics = exporter.metrics()
            assert metrics.values(EXISTS) == [1, 1]
            assert metrics.values(EXISTENCE_CHANGES) == [0, 0]


def test_images_that_are_not_configured_any_more_are_forgotten(
    service: SimulatedImageService, start: Start, tmp_path: Path
) -> None:
    with start(
        cloud(service.url, GOLDEN, UBUNTU), cloud(service.url, GOLDEN, name="b")
    ) as exporter:
        exporter.wait_for_cycle()
        exporter.wait_for_cycle("b")
    assert remembered(tmp_path) == {(LAB, GOLDEN), (LAB, UBUNTU), ("b", GOLDEN)}
    with start(cloud(service.url, UBUNTU)) as exporter:
        exporter.wait_for_cycle()
        assert exporter.metrics().values(EXISTS) == [1]
    assert remembered(tmp_path) == {(LAB, UBUNTU)}


def remembered(folder: Path) -> set[tuple[str, str]]:
    """Return the images in the state file."""
    _, *lines = gzip.decompress((folder / "state").read_bytes()).splitlines()
    return {(record["cloud"], record["image_id"]) for record in map(json.loads, lines)}


def test_other_endpoint_is_treated_as_at_a_reload(
    service: SimulatedImageService, start: Start
) -> None:
    """The images stay, and all of them being 404 there is no proof in one cycle."""
    with start(cloud(service.url, GOLDEN, UBUNTU)) as exporter:
        exporter.wait_for_cycle()
    with (
        SimulatedImageService([simulated(ABSENT)]) as other,
        start(cloud(other.url, GOLDEN, UBUNTU)) as exporter,
    ):
        exporter.wait_for_cycle()
        assert exporter.metrics().values(EXISTS) == [1, 1]


def test_contradictions_are_remembered(service: SimulatedImageService, start: Start) -> None:
    lab = cloud(service.url, GOLDEN, UBUNTU)
    with start(lab) as exporter:
        exporter.wait_for_cycle()
        (poller,) = exporter.application.pollers
        memory = poller.contradiction_memory.after(7, 0.0, 1e9)
        poller.remember_contradictions(memory)
        exporter.application.store.update_cloud(
            LAB, lambda state: state.with_contradictions(2, 1.8e9)
        )
        poller._run = None
    with start(lab, is_polling=False) as exporter:
        (poller,) = exporter.application.pollers
        assert poller.contradiction_memory.longest_run == 7
        assert poller.contradiction_memory.until == pytest.approx(memory.until, abs=60.0)
        state = exporter.application.store.cloud(LAB)
        assert (state.contradictions, state.contradicted_at) == (2, 1.8e9)


def test_discovered_image_that_vanished_during_the_downtime_is_gone(
    service: SimulatedImageService, start: Start
) -> None:
    """A listing without it would not show that it was ever watched."""
    rules = [{"name": "cirros", "expect": {"exists": True, "size": "1MiB.."}}]
    lab = cloud(service.url, name=LAB, api="v2", discover=rules)
    del lab["images"]
    with start(lab) as exporter:
        exporter.wait_for_cycle()
    service.images.remove(GOLDEN)
    with start(lab) as exporter:
        exporter.wait_for_cycle()
        metrics = exporter.metrics()
        assert metrics.value(EXISTS, image=GOLDEN) == 0
        assert metrics.value(EXISTENCE_CHANGES, image=GOLDEN) == 1
        met = metrics.value("openstack_image_expectation_met", image=GOLDEN, expectation="exists")
        assert met == 0


def test_alias_that_resolves_to_another_image_after_the_downtime_is_counted(
    service: SimulatedImageService, start: Start
) -> None:
    rules = [{"name": "cirros", "most_recent": True, "alias": "newest"}]
    lab = cloud(service.url, name=LAB, api="v2", discover=rules)
    del lab["images"]
    service.images.change(UBUNTU, created_at="2026-01-01T00:00:00Z")
    service.images.change(GOLDEN, created_at="2026-01-02T00:00:00Z")
    with start(lab) as exporter:
        exporter.wait_for_cycle()
    service.images.change(UBUNTU, created_at="2026-01-03T00:00:00Z")
    with start(lab) as exporter:
        exporter.wait_for_cycle()
        assert exporter.application.store.cloud(LAB).resolved_changes == {"newest": 1}


def test_other_number_of_shards_forgets_discovered_images(
    service: SimulatedImageService, start: Start
) -> None:
    lab = cloud(service.url, name=LAB, api="v2", discover=[{"name": "cirros"}])
    del lab["images"]
    with start(lab) as exporter:
        exporter.wait_for_cycle()
    with start(lab, is_polling=False, shard={"index": 0, "total": 2}) as exporter:
        assert exporter.metrics().values(EXISTS) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is cut off"),
        (b"clouds: []", "it is damaged, or not a state file"),
        (gzip.compress(b"{}\n", mtime=0), "it is not a state file of this version"),
    ],
)
def test_unusable_file_is_set_aside_and_reported_once(
    content: bytes,
    problem: str,
    service: SimulatedImageService,
    start: Start,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The operator may have named a file of something else, which must not be lost."""
    (tmp_path / "state").write_bytes(content)
    lab = cloud(service.url, GOLDEN)
    with caplog.at_level(logging.WARNING), start(lab) as exporter:
        exporter.wait_for_cycle()
        assert exporter.metrics().value(EXISTS, image=GOLDEN) == 1
    (record,) = [record for record in caplog.records if "state file" in record.message]
    assert record.message == "state file cannot be used, starting without it"
    assert record.fields == {  # type: ignore[attr-defined]
        "file": str(tmp_path / "state"),
        "error": problem,
        "kept_as": str(tmp_path / "state.unusable"),
    }
    assert (tmp_path / "state.unusable").read_bytes() == content
    assert remembered(tmp_path) == {(LAB, GOLDEN)}


def test_huge_file_is_set_aside(
    service: SimulatedImageService, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "state").touch()
    os.truncate(tmp_path / "state", MAX_FILE_BYTES + 1)
    with start(cloud(service.url, GOLDEN)) as exporter:
        exporter.wait_for_cycle()
    assert (tmp_path / "state.unusable").stat().st_size == MAX_FILE_BYTES + 1


def test_file_has_no_secret(service: SimulatedImageService, start: Start, tmp_path: Path) -> None:
    """Neither the token of the settings, nor one that a service repeats."""
    service.faults.set("status", code=400)
    lab = cloud(service.url, GOLDEN, token=SECRET)
    with start(lab) as exporter:
        exporter.wait_for_cycle()
        exporter.redactor.add(SECRET)
        observation = exporter.observation(GOLDEN)
        failed = Failed("rejected", f"the service repeats {SECRET}")
        exporter.application.store.observe(
            TargetKey(LAB, GOLDEN), replace(observation, failure=failed)
        )
    text = gzip.decompress((tmp_path / "state").read_bytes()).decode()
    assert SECRET not in text
    assert "the service repeats ***" in text
