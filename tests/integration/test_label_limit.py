"""A real Prometheus that limits the length of label values, and an image with a long property."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.simulator import SimulatedImageService
from tests.dashboards.servers import Prometheus, prometheus
from tests.support.program import (
    GOLDEN,
    REQUEST_TIMEOUT,
    UBUNTU,
    Program,
    daemon,
    settings_file,
    simulated,
)
from tests.support.wait import wait_until

PROMETHEUS_LIMIT = 512
LONG = "ü" * 2000
EXISTS = "openstack_image_exists"
PROPERTY = "openstack_image_property_info"
CUT_IMAGES = "openstack_image_exporter_images_with_cut_labels"


@contextmanager
def scraped(folder: Path, target: Program) -> Iterator[Prometheus]:
    """Scrape the exporter with a limit of label values."""
    job = {
        "job_name": "images",
        "label_value_length_limit": PROMETHEUS_LIMIT,
        "static_configs": [{"targets": [f"127.0.0.1:{target.port}"]}],
    }
    settings = {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
    with prometheus(folder, settings, {}) as server:
        try:
            yield server
        finally:
            server.stop()


def scrape_error(server: Prometheus) -> str:
    """Wait for the first scrape, and return its error, empty if it succeeded."""

    def scraped_target() -> Mapping[str, str] | None:
        targets: list[Mapping[str, str]] = server.get("targets")["activeTargets"]
        return next((target for target in targets if target["health"] != "unknown"), None)

    return wait_until(scraped_target)["lastError"]


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    images = [
        simulated(GOLDEN, properties={"description": LONG}),
        simulated(UBUNTU, "ubuntu", properties={"description": f"{LONG}!"}),
    ]
    with SimulatedImageService(images) as running:
        yield running


def lab(service: SimulatedImageService, api: str) -> dict[str, object]:
    """Return a cloud with a configured image and a discovered one."""
    return {
        "name": "lab",
        "endpoint": service.url,
        "api": api,
        "images": [GOLDEN],
        "discover": [{"name": "ubuntu"}],
    }


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_long_property_does_not_fail_the_scrape(
    tmp_path: Path, service: SimulatedImageService, api: str
) -> None:
    with daemon(tmp_path, lab(service, api), properties=["description"]) as program:
        program.wait_for_metric(EXISTS, 1.0, image_id=UBUNTU)
        assert program.metrics().value(CUT_IMAGES) == 2
        with scraped(tmp_path / "prometheus", program) as server:
            assert scrape_error(server) == ""
            cut = server.query(f'{PROPERTY}{{value=~".*…[0-9a-f]{{12}}"}}')
    assert {series["metric"]["image_id"] for series in cut} == {GOLDEN, UBUNTU}
    assert len({series["metric"]["value"] for series in cut}) == 2


def test_scrape_fails_if_the_limit_is_above_that_of_prometheus(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    cloud = lab(service, "v2")
    with daemon(tmp_path, cloud, properties=["description"], label_value_limit=5000) as program:
        program.wait_for_metric(EXISTS, 1.0, image_id=UBUNTU)
        metrics = program.metrics()
        assert metrics.value(PROPERTY, image_id=GOLDEN, value=LONG) == 1.0
        assert metrics.value(PROPERTY, image_id=UBUNTU, value=f"{LONG}!") == 1.0
        with scraped(tmp_path / "prometheus", program) as server:
            assert "value_length_limit exceeded" in (error := scrape_error(server))
            assert "length: 4000, limit: 512" in error, "Prometheus counts bytes"


def test_new_limit_applies_after_a_reload(tmp_path: Path, service: SimulatedImageService) -> None:
    cloud = {"name": "lab", "endpoint": service.url, "images": [GOLDEN], "timeout": REQUEST_TIMEOUT}
    general = {"properties": ["description"], "interval": REQUEST_TIMEOUT}
    with daemon(tmp_path, cloud, **general) as program:
        program.wait_for_metric(EXISTS, 1.0)
        settings_file(tmp_path, cloud, **general, label_value_limit=5000)
        program.process.send_signal(signal.SIGHUP)
        wait_until(lambda: program.metrics().values(PROPERTY, value=LONG) == [1.0])
        assert program.metrics().value(CUT_IMAGES) == 0
