"""Several exporters share the images of a cloud: real polling, real sockets, a simulated cloud."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from exporter.app import Application, build_application
from exporter.clock import now
from exporter.config import parse, resolved_clouds
from exporter.metrics.collector import StoreCollector
from exporter.model.sharding import Shard
from exporter.reload import apply, diff
from exporter.simulator import SimulatedImageService
from tests.support.program import GOLDEN, run_program, settings_file, simulated, start_program

IDS = tuple(f"image-{number:02}" for number in range(30))
TOTAL = 3
NEWEST = {"name": "ubuntu-*", "most_recent": True, "alias": "ubuntu"}


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """A cloud with many images."""
    with SimulatedImageService([simulated(each) for each in IDS]) as running:
        yield running


def cloud(service: SimulatedImageService, **more: Any) -> dict[str, Any]:
    """The settings of a cloud that is polled by v2, many images at once."""
    return {"name": "lab", "endpoint": service.url, "api": "v2", **more}


class Fleet:
    """Three exporters with the same settings, one for each shard."""

    def __init__(self, folder: Path, opened: ExitStack, *clouds: dict[str, Any]) -> None:
        plans = resolved_clouds(
            parse([f"--config.file={settings_file(folder, *clouds)}"], {}).settings
        )
        self.parts = [build_application(plans, shard=Shard(index, TOTAL)) for index in range(TOTAL)]
        for parts in self.parts:
            opened.enter_context(closing(parts))

    def reload(self, folder: Path, *clouds: dict[str, Any]) -> None:
        """Each takes other settings into use."""
        plans = resolved_clouds(
            parse([f"--config.file={settings_file(folder, *clouds)}"], {}).settings
        )
        for parts in self.parts:
            changes = diff(parts.clouds, parts.build_clouds(plans))
            apply(changes, parts)
            for poller in changes.obsolete_pollers:
                poller.stop()

    def cycle(self) -> None:
        """Each polls its images once."""
        for parts in self.parts:
            for poller in parts.pollers:
                poller.run_cycle()

    def refresh(self) -> None:
        """Each lists the images, for discovery."""
        for parts in self.parts:
            for poller in parts.pollers:
                poller.discover(10.0)

    def watched(self) -> Counter[str]:
        """How many shards watch each image."""
        return Counter(key.image_id for parts in self.parts for key in parts.store.targets())

    def samples(self, name: str) -> list[tuple[int, dict[str, str], float]]:
        """The series of a metric, with the shard that serves each."""
        return [
            (parts.shard.index, sample.labels, sample.value)
            for parts in self.parts
            for family in StoreCollector(parts.store, now).collect()
            for sample in family.samples
            if sample.name == name
        ]


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """What is closed when the test is over."""
    with ExitStack() as stack:
        yield stack


def test_each_image_is_asked_for_by_one_shard_and_many_at_once(
    service: SimulatedImageService, tmp_path: Path, opened: ExitStack
) -> None:
    """Every shard sends one list for its own images; together they have all, once."""
    fleet = Fleet(tmp_path, opened, cloud(service, images=list(IDS)))
    fleet.cycle()
    assert fleet.watched() == Counter(IDS)
    exists = fleet.samples("openstack_image_exists")
    assert sorted(labels["image_id"] for _, labels, _ in exists) == sorted(IDS)
    assert {value for _, _, value in exists} == {1}
    assert {index for index, _, _ in exists} == set(range(TOTAL))
    asked = [record.path for record in service.log.records if "id=in" in record.path]
    assert len(asked) == TOTAL
    for each in IDS:
        assert sum(each in path for path in asked) == 1


@pytest.mark.parametrize("api", ["v1", "v2", "auto"])
def test_a_shard_without_images_of_a_cloud_still_says_whether_its_api_is_up(
    api: str, service: SimulatedImageService, tmp_path: Path, opened: ExitStack
) -> None:
    """It asks for the list alone; cycles end, nothing fails, and no image has a series."""
    fleet = Fleet(tmp_path, opened, {**cloud(service, images=[IDS[0]]), "api": api})
    fleet.cycle()
    assert len([record for record in service.log.records if "/images/" in record.path]) == 1
    assert fleet.watched() == Counter({IDS[0]: 1})
    for name in ("openstack_image_api_up", "openstack_image_exporter_last_cycle_timestamp_seconds"):
        assert len(fleet.samples(name)) == TOTAL
    assert {value for _, _, value in fleet.samples("openstack_image_api_up")} == {1}
    assert sum(value for _, _, value in fleet.samples("openstack_image_exporter_targets")) == 1
    failures = fleet.samples("openstack_image_exporter_poll_failures_total")
    assert {value for _, _, value in failures} == {0}


def test_discovered_images_are_shared_out_and_an_alias_has_one_counter(
    service: SimulatedImageService, tmp_path: Path, opened: ExitStack
) -> None:
    """Images on the list are not discovered by another shard; an alias that moves stays put."""
    days = [f"2026-11-{day:02}T00:00:00.000000" for day in range(1, 6)]
    for day in days[:2]:
        service.images.put(simulated(f"id-{day[:10]}", f"ubuntu-{day[:10]}", created_at=day))
    discover = [NEWEST, {"name": "*"}]
    fleet = Fleet(tmp_path, opened, cloud(service, images=list(IDS[:10]), discover=discover))
    everything = Counter([*IDS, "id-2026-11-01", "id-2026-11-02"])
    fleet.cycle()
    assert fleet.watched() == everything
    ((home, labels, _),) = fleet.samples("openstack_image_resolved_info")
    assert (labels["image"], labels["image_id"]) == ("ubuntu", "id-2026-11-02")

    for day in days[2:]:
        service.images.put(simulated(f"id-{day[:10]}", f"ubuntu-{day[:10]}", created_at=day))
        everything[f"id-{day[:10]}"] = 1
        fleet.refresh()
        fleet.cycle()
        assert fleet.watched() == everything
        ((at, labels, _),) = fleet.samples("openstack_image_resolved_info")
        assert (at, labels["image_id"]) == (home, f"id-{day[:10]}")
        exists = fleet.samples("openstack_image_exists")
        assert {value for _, _, value in exists} == {1}
        called = [index for index, labels, _ in exists if labels["image"] == "ubuntu"]
        assert called == [home]
    assert fleet.samples("openstack_image_resolved_changes_total") == [
        (home, {"cloud": "lab", "image": "ubuntu"}, 3)
    ]


@pytest.mark.parametrize("newest", [f"id-{number}" for number in range(6)])
def test_an_image_that_is_taken_off_the_list_is_watched_where_its_alias_is(
    newest: str, service: SimulatedImageService, tmp_path: Path, opened: ExitStack
) -> None:
    """With the next cycle, in whichever shard that is; before, it was where its ID belongs."""
    day = "2026-11-01T00:00:00.000000"
    service.images.put(simulated(newest, "ubuntu-1", created_at=day))
    fleet = Fleet(tmp_path, opened, cloud(service, images=[newest, *IDS], discover=[NEWEST]))
    fleet.cycle()
    assert fleet.watched() == Counter([newest, *IDS])
    fleet.reload(tmp_path, cloud(service, images=list(IDS), discover=[NEWEST]))
    fleet.cycle()
    assert fleet.watched() == Counter([newest, *IDS])


def test_shards_keep_a_cloud_s_rate_limit_together(
    service: SimulatedImageService, tmp_path: Path
) -> None:
    """The limit is what the cloud grants, whatever the number of exporters."""
    file = settings_file(tmp_path, cloud(service, images=list(IDS), rate_limit=30))
    plans = resolved_clouds(parse([f"--config.file={file}"], {}).settings)

    def gap(parts: Application) -> float:
        with closing(parts):
            return parts.pollers[0].client.limiter._interval

    alone, one_of_three = (
        gap(build_application(plans)),
        gap(build_application(plans, shard=Shard(1, TOTAL))),
    )
    assert one_of_three == pytest.approx(TOTAL * alone)


def test_check_polls_the_shard_that_flags_name(
    service: SimulatedImageService, tmp_path: Path
) -> None:
    """Without flags it polls all images; `show` finds one whatever the shard."""
    file = settings_file(tmp_path, cloud(service, images=list(IDS)))
    whole = run_program(tmp_path, "check", f"--config.file={file}")
    assert whole.stdout.endswith("\nimages: 30, not as expected: 0\n")
    lines: list[str] = []
    for index in range(TOTAL):
        shard = (f"--config.file={file}", f"--shard.index={index}", f"--shard.total={TOTAL}")
        checked = run_program(tmp_path, "check", *shard)
        *rows, summary = checked.stdout.splitlines()[1:]
        lines += rows
        words = f"images: {len(rows)}, not as expected: 0 (shard {index} of {TOTAL})"
        assert (checked.returncode, summary) == (0, words)
    assert sorted(lines) == sorted(whole.stdout.splitlines()[1:-1])
    assert run_program(tmp_path, "show", IDS[0], *shard).returncode == 0


def test_the_daemon_is_told_its_shard_by_its_pod_s_name(
    service: SimulatedImageService, tmp_path: Path
) -> None:
    """As a StatefulSet names its pods; the metrics and the log say which shard it is."""
    file = settings_file(tmp_path, cloud(service, images=[GOLDEN, *IDS]), shard={"total": TOTAL})
    service.images.put(simulated(GOLDEN))
    argv = (f"--config.file={file}", "--web.listen-address=127.0.0.1:0")
    own = [each for each in (GOLDEN, *IDS) if Shard(2, TOTAL).owns_image("lab", each)]
    with start_program(tmp_path, *argv, IMAGE_EXPORTER_SHARD__INDEX="exporter-2") as program:
        program.wait_for_metric("openstack_image_exists", 1)
        metrics = program.metrics()
        assert metrics.value("openstack_image_exporter_shard_index") == 2
        assert metrics.value("openstack_image_exporter_shards") == TOTAL
        watched = [each for each in metrics.samples if each.name == "openstack_image_target_info"]
        assert sorted(each.labels["image_id"] for each in watched) == sorted(own)
        assert "index=2 total=3" in program.line("sharding enabled")
