"""Expectations from the settings to the series and log lines, with a simulated cloud."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from exporter.app import build_application
from exporter.clock import now
from exporter.config import parse, resolved_clouds
from exporter.simulator import SimulatedImageService
from tests.support.program import (
    BOUND,
    GOLDEN,
    UBUNTU,
    Metrics,
    daemon,
    settings_file,
    simulated,
)
from tests.support.reference_collector import StoreCollector

MET = "openstack_image_expectation_met"
PROPERTY = "openstack_image_property_info"
CHANGES = "openstack_image_content_changes_total"
OLD = "826ad52d67c55b1f07cabe148b8146ac"
NEW = "0123456789abcdef0123456789abcdef"


def met(metrics: Metrics, image_id: str) -> dict[str, float]:
    """Return the values of ``expectation_met`` for an image, by expectation."""
    return {
        sample.labels["expectation"]: sample.value
        for sample in metrics.samples
        if sample.name == MET and sample.labels["image_id"] == image_id
    }


@contextmanager
def polled(
    folder: Path, *clouds: dict[str, Any], **general: Any
) -> Iterator[Callable[[], Metrics]]:
    """Yield a function that polls all images once and returns the metrics."""
    file = settings_file(folder, *clouds, **general)
    parts = build_application(resolved_clouds(parse([f"--config.file={file}"], {}).settings))
    registry = CollectorRegistry(auto_describe=True)
    registry.register(StoreCollector(parts.store, now))

    def poll() -> Metrics:
        for poller in parts.pollers:
            if poller.discovery is not None:
                poller.discover(BOUND)
            poller.run_cycle()
        return Metrics(generate_latest(registry).decode())

    with closing(parts):
        yield poll


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_expectations_of_all_levels_apply_to_configured_and_discovered_images(
    tmp_path: Path, api: str
) -> None:
    """A property can be expected without being exported."""
    images = [
        simulated(GOLDEN, "golden", protected=True, properties={"os_distro": "ubuntu"}),
        simulated(UBUNTU, "ubuntu", properties={"os_distro": "debian", "os_version": "12"}),
    ]
    cloud: dict[str, Any] = {
        "api": api,
        "expect": {"protected": True, "properties": {"os_distro": "ubuntu"}, "hidden": False},
        "images": [{"id": GOLDEN, "expect": {"size": "1KiB.."}}],
        "discover": [{"name": "ubuntu", "expect": {"protected": None, "max_unchanged": "1s"}}],
        "properties": ["os_version"],
    }
    hidden = {} if api == "v1" else {"hidden": 1.0}
    with (
        SimulatedImageService(images) as service,
        polled(
            tmp_path,
            {"name": "lab", "endpoint": service.url, **cloud},
            interval="1s",
            timeout="1s",
            expect={"status": "active"},
        ) as poll,
    ):
        metrics = poll()
        assert met(metrics, GOLDEN) == {
            "status": 1.0, "protected": 1.0, "size": 0.0, "properties": 1.0, **hidden,
        }  # fmt: skip
        assert met(metrics, UBUNTU) == {
            "status": 1.0, "properties": 0.0, "max_unchanged": 0.0, **hidden,
        }  # fmt: skip
        assert metrics.values(PROPERTY, image_id=GOLDEN) == []
        assert metrics.values(PROPERTY, image_id=UBUNTU, property="os_version", value="12") == [1.0]
        assert len(metrics.values(PROPERTY)) == 1

        service.images.change(UBUNTU, properties={"os_distro": "ubuntu", "os_version": "12"})
        assert met(poll(), UBUNTU)["properties"] == 1.0


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_new_content_of_an_active_image_is_counted_and_logged_with_digests(
    tmp_path: Path, api: str, caplog: pytest.LogCaptureFixture
) -> None:
    cloud = {"name": "lab", "api": api, "images": [GOLDEN]}
    with (
        SimulatedImageService([simulated(GOLDEN, checksum=OLD)]) as service,
        polled(tmp_path, {**cloud, "endpoint": service.url}) as poll,
    ):
        assert poll().values(CHANGES) == [0.0]
        service.images.change(GOLDEN, checksum=NEW)
        assert poll().values(CHANGES) == [1.0]
    (fields,) = [
        record.__dict__["fields"] for record in caplog.records if record.msg == "image changed"
    ]
    assert fields["what"] == "content"
    assert (fields["old"].split(",")[0], fields["new"].split(",")[0]) == (
        f"md5:{OLD}",
        f"md5:{NEW}",
    )
    assert ("sha512:" in fields["old"], "sha512:" in fields["new"]) == (api == "v2", api == "v2")


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_expected_checksum_detects_new_content_after_a_restart(tmp_path: Path, api: str) -> None:
    """The counters start at zero again and cannot detect it."""
    image = {"id": GOLDEN, "expect": {"checksum": OLD}}
    with SimulatedImageService([simulated(GOLDEN, checksum=OLD)]) as service:
        cloud = {"name": "lab", "api": api, "endpoint": service.url, "images": [image]}
        with daemon(tmp_path, cloud, interval="1s") as program:
            program.wait_for_metric(MET, 1.0, expectation="checksum")
            program.stop()
        service.images.change(GOLDEN, checksum=NEW)
        with daemon(tmp_path, cloud, interval="1s") as program:
            program.wait_for_metric(MET, 0.0, expectation="checksum")
            assert program.metrics().values(CHANGES) == [0.0]
            assert program.lines("what=content") == []
            program.stop()
