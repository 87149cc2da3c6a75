"""Several exporters that share the images of a simulated cloud."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from exporter.app import Application, build_application
from exporter.clock import now
from exporter.config import parse, resolved_clouds
from exporter.model.sharding import Shard
from exporter.reload import apply, diff
from exporter.simulator import SimulatedImageService
from tests.support.program import GOLDEN, run_program, settings_file, simulated, start_program
from tests.support.reference_collector import StoreCollector

IDS = tuple(f"image-{number:02}" for number in range(30))
TOTAL = 3
NEWEST = {"name": "ubuntu-*", "most_recent": True, "alias": "ubuntu"}


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    with SimulatedImageService([simulated(image_id) for image_id in IDS]) as running:
        yield running


def cloud(service: SimulatedImageService, **more: Any) -> dict[str, Any]:
    """Return the settings of a cloud that is polled by v2 with list requests."""
    return {"name": "lab", "endpoint": service.url, "api": "v2", **more}


class ShardedExporters:
    """Three exporters with the same settings, one for each shard."""

    def __init__(self, folder: Path, opened: ExitStack, *clouds: dict[str, Any]) -> None:
        plans = resolved_clouds(
            parse([f"--config.file={settings_file(folder, *clouds)}"], {}).settings
        )
        self.parts = [build_application(plans, shard=Shard(index, TOTAL)) for index in range(TOTAL)]
        for parts in self.parts:
            opened.enter_context(closing(parts))

    def reload(self, folder: Path, *clouds: dict[str, Any]) -> None:
        """Reload other settings in every exporter."""
        plans = resolved_clouds(
            parse([f"--config.file={settings_file(folder, *clouds)}"], {}).settings
        )
        for parts in self.parts:
            changes = diff(parts.clouds, parts.build_clouds(plans))
            apply(changes, parts)
            for poller in changes.obsolete_pollers:
                poller.stop()

    def cycle(self) -> None:
        """Run one poll cycle in every exporter."""
        for parts in self.parts:
            for poller in parts.pollers:
                poller.run_cycle()

    def refresh(self) -> None:
        """Run discovery in every exporter."""
        for parts in self.parts:
            for poller in parts.pollers:
                poller.discover(10.0)

    def watched(self) -> Counter[str]:
        """Count the shards that watch each image."""
        return Counter(key.image_id for parts in self.parts for key in parts.store.targets())

    def samples(self, name: str) -> list[tuple[int, dict[str, str], float]]:
        """Return the series of a metric with the index of their shard."""
        return [
            (parts.shard.index, sample.labels, sample.value)
            for parts in self.parts
            for family in StoreCollector(parts.store, now).collect()
            for sample in family.samples
            if sample.name == name
        ]


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_each_image_is_polled_by_one_shard(
    service: SimulatedImageService, tmp_path: Path, opened: ExitStack
) -> None:
    """Every shard sends one list request for its own images."""
    exporters = ShardedExporters(tmp_path, opened, cloud(service, images=list(IDS)))
    exporters.cycle()
    assert exporters.watched() == Counter(IDS)
    exists = exporters.samples("openstack_image_exists")
    assert sorted(labels["image_id"] for _, labels, _ in exists) == sorted(IDS)
    assert {value for _, _, value in exists} == {1}
    assert {index for index, _, _ in exists} == set(range(TOTAL))
    paths = [record.path for record in service.log.records if "id=in" in record.path]
    assert len(paths) == TOTAL
    for image_id in IDS:
        assert sum(image_id in path for path in paths) == 1


@pytest.mark.parametrize("api", ["v1", "v2", "auto"])
def test_shard_without_images_of_a_cloud_still_reports_whether_its_api_is_up(
    api: str, service: SimulatedImageService, tmp_path: Path, opened: ExitStack
) -> None:
    """It only requests the list; its cycles succeed, and it has no series of images."""
    exporters = ShardedExporters(tmp_path, opened, {**cloud(service, images=[IDS[0]]), "api": api})
    exporters.cycle()
    assert len([record for record in service.log.records if "/images/" in record.path]) == 1
    assert exporters.watched() == Counter({IDS[0]: 1})
    for name in ("openstack_image_api_up", "openstack_image_exporter_last_cycle_timestamp_seconds"):
        assert len(exporters.samples(name)) == TOTAL
    assert {value for _, _, value in exporters.samples("openstack_image_api_up")} == {1}
    assert sum(value for _, _, value in exporters.samples("openstack_image_exporter_targets")) == 1
    failures = exporters.samples("openstack_image_exporter_poll_failures_total")
    assert {value for _, _, value in failures} == {0}


def test_discovered_images_are_distributed_and_an_alias_stays_in_its_shard(
    service: SimulatedImageService, tmp_path: Path, opened: ExitStack
) -> None:
    """Configured images are not discovered by another shard."""
    days = [f"2026-11-{day:02}T00:00:00.000000" for day in range(1, 6)]
    for day in days[:2]:
        service.images.put(simulated(f"id-{day[:10]}", f"ubuntu-{day[:10]}", created_at=day))
    discover = [NEWEST, {"name": "*"}]
    exporters = ShardedExporters(
        tmp_path, opened, cloud(service, images=list(IDS[:10]), discover=discover)
    )
    all_ids = Counter([*IDS, "id-2026-11-01", "id-2026-11-02"])
    exporters.cycle()
    assert exporters.watched() == all_ids
    ((home, labels, _),) = exporters.samples("openstack_image_resolved_info")
    assert (labels["image"], labels["image_id"]) == ("ubuntu", "id-2026-11-02")

    for day in days[2:]:
        service.images.put(simulated(f"id-{day[:10]}", f"ubuntu-{day[:10]}", created_at=day))
        all_ids[f"id-{day[:10]}"] = 1
        exporters.refresh()
        exporters.cycle()
        assert exporters.watched() == all_ids
        ((at, labels, _),) = exporters.samples("openstack_image_resolved_info")
        assert (at, labels["image_id"]) == (home, f"id-{day[:10]}")
        exists = exporters.samples("openstack_image_exists")
        assert {value for _, _, value in exists} == {1}
        shards = [index for index, labels, _ in exists if labels["image"] == "ubuntu"]
        assert shards == [home]
    assert exporters.samples("openstack_image_resolved_changes_total") == [
        (home, {"cloud": "lab", "image": "ubuntu"}, 3)
    ]


@pytest.mark.parametrize("newest", [f"id-{number}" for number in range(6)])
def test_image_removed_from_the_configuration_moves_to_the_shard_of_its_alias(
    newest: str, service: SimulatedImageService, tmp_path: Path, opened: ExitStack
) -> None:
    """A configured image belongs to the shard of its ID, a discovered one to that of its alias."""
    day = "2026-11-01T00:00:00.000000"
    service.images.put(simulated(newest, "ubuntu-1", created_at=day))
    exporters = ShardedExporters(
        tmp_path, opened, cloud(service, images=[newest, *IDS], discover=[NEWEST])
    )
    exporters.cycle()
    assert exporters.watched() == Counter([newest, *IDS])
    exporters.reload(tmp_path, cloud(service, images=list(IDS), discover=[NEWEST]))
    exporters.cycle()
    assert exporters.watched() == Counter([newest, *IDS])


def test_shards_share_the_rate_limit_of_a_cloud(
    service: SimulatedImageService, tmp_path: Path
) -> None:
    file = settings_file(tmp_path, cloud(service, images=list(IDS), rate_limit=30))
    plans = resolved_clouds(parse([f"--config.file={file}"], {}).settings)

    def gap(parts: Application) -> float:
        with closing(parts):
            return parts.pollers[0].client.sender.limiter._interval

    alone, one_of_three = (
        gap(build_application(plans)),
        gap(build_application(plans, shard=Shard(1, TOTAL))),
    )
    assert one_of_three == pytest.approx(TOTAL * alone)


def test_check_polls_all_images_or_those_of_the_shard_in_its_flags(
    service: SimulatedImageService, tmp_path: Path
) -> None:
    """``show`` finds an image of any shard."""
    file = settings_file(tmp_path, cloud(service, images=list(IDS)))
    whole = run_program(tmp_path, "check", f"--config.file={file}")
    assert whole.stdout.endswith("\nimages: 30, not as expected: 0\n")
    lines: list[str] = []
    for index in range(TOTAL):
        shard = (f"--config.file={file}", f"--shard.index={index}", f"--shard.total={TOTAL}")
        checked = run_program(tmp_path, "check", *shard)
        *rows, summary = checked.stdout.splitlines()[1:]
        lines += rows
        expected = f"images: {len(rows)}, not as expected: 0 (shard {index} of {TOTAL})"
        assert (checked.returncode, summary) == (0, expected)
    assert sorted(lines) == sorted(whole.stdout.splitlines()[1:-1])
    assert run_program(tmp_path, "show", IDS[0], *shard).returncode == 0


def test_shard_index_is_read_from_the_name_of_a_pod(
    service: SimulatedImageService, tmp_path: Path
) -> None:
    """A StatefulSet names its pods ``NAME-INDEX``. Metrics and log report the shard."""
    file = settings_file(tmp_path, cloud(service, images=[GOLDEN, *IDS]), shard={"total": TOTAL})
    service.images.put(simulated(GOLDEN))
    argv = (f"--config.file={file}", "--web.listen-address=127.0.0.1:0")
    own = [image_id for image_id in (GOLDEN, *IDS) if Shard(2, TOTAL).owns_image("lab", image_id)]
    with start_program(tmp_path, *argv, IMAGE_EXPORTER_SHARD__INDEX="exporter-2") as program:
        program.wait_for_metric("openstack_image_exists", 1)
        metrics = program.metrics()
        assert metrics.value("openstack_image_exporter_shard_index") == 2
        assert metrics.value("openstack_image_exporter_shards") == TOTAL
        targets = [
            sample.labels["image_id"]
            for sample in metrics.samples
            if sample.name == "openstack_image_target_info"
        ]
        assert sorted(targets) == sorted(own)
        assert "index=2 total=3" in program.line("sharding enabled")
