import platform

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from exporter.metrics.exporter_metrics import CODES, METHODS, ExporterMetrics, Refusal
from exporter.model.sharding import UNSHARDED, Shard

REQUEST_ID = "req-87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"
REQUESTS = "openstack_image_exporter_requests_total"
DURATIONS = "openstack_image_exporter_request_duration_seconds"


@pytest.fixture
def exporter_metrics() -> ExporterMetrics:
    """Return the metrics of an exporter that watches one cloud and has sent no request."""
    metrics = ExporterMetrics("1.2.3")
    metrics.add_cloud("lab")
    return metrics


def request_count(
    exporter_metrics: ExporterMetrics, method: str, code: str, cloud: str = "lab"
) -> float | None:
    """Return the number of counted requests, ``None`` without a series."""
    labels = {"cloud": cloud, "method": method, "code": code}
    return exporter_metrics.registry.get_sample_value(REQUESTS, labels)


def render_openmetrics(exporter_metrics: ExporterMetrics) -> str:
    """Return the exposition in the OpenMetrics format."""
    # It has no annotations.
    written: bytes = openmetrics.generate_latest(exporter_metrics.registry)  # type: ignore[no-untyped-call]
    return written.decode()


@pytest.mark.parametrize("method", METHODS)
def test_series_of_a_cloud_start_at_0(exporter_metrics: ExporterMetrics, method: str) -> None:
    for code in CODES:
        assert request_count(exporter_metrics, method, code) == 0
    labels = {"cloud": "lab", "method": method}
    assert exporter_metrics.registry.get_sample_value(f"{DURATIONS}_count", labels) == 0
    assert request_count(exporter_metrics, method, "200", "prod") is None


def test_every_metric_of_a_cloud_has_series_before_the_first_event(
    exporter_metrics: ExporterMetrics,
) -> None:
    without_series = {
        family.name for family in exporter_metrics.registry.collect() if not family.samples
    }
    assert without_series == set()


@pytest.mark.parametrize("code", ["200", "error", "418"])
def test_request_is_counted_and_timed(exporter_metrics: ExporterMetrics, code: str) -> None:
    exporter_metrics.observe_request("lab", "HEAD", code, 0.2, "")
    exporter_metrics.observe_request("lab", "HEAD", code, 40.0, REQUEST_ID)
    assert request_count(exporter_metrics, "HEAD", code) == 2
    assert not request_count(exporter_metrics, "GET", code)
    labels = {"cloud": "lab", "method": "HEAD"}
    value = exporter_metrics.registry.get_sample_value
    assert value(f"{DURATIONS}_count", labels) == 2
    assert value(f"{DURATIONS}_sum", labels) == 40.2
    assert value(f"{DURATIONS}_bucket", labels | {"le": "0.1"}) == 0
    assert value(f"{DURATIONS}_bucket", labels | {"le": "0.25"}) == 1
    assert value(f"{DURATIONS}_bucket", labels | {"le": "30.0"}) == 1
    assert value(f"{DURATIONS}_bucket", labels | {"le": "+Inf"}) == 2


def test_openmetrics_has_the_request_id_as_exemplar(exporter_metrics: ExporterMetrics) -> None:
    exporter_metrics.observe_request("lab", "HEAD", "200", 0.2, REQUEST_ID)
    assert f'# {{request_id="{REQUEST_ID}"}} 0.2' in render_openmetrics(exporter_metrics)
    assert REQUEST_ID not in generate_latest(exporter_metrics.registry).decode()


def test_request_without_id_has_no_exemplar(exporter_metrics: ExporterMetrics) -> None:
    exporter_metrics.observe_request("lab", "HEAD", "200", 0.2, "")
    assert "request_id" not in render_openmetrics(exporter_metrics)


def test_build_and_reload_metrics_are_exported(exporter_metrics: ExporterMetrics) -> None:
    exporter_metrics.reload_successful.set(1)
    exporter_metrics.reload_success_at.set(1.8e9)
    value = exporter_metrics.registry.get_sample_value
    versions = {"version": "1.2.3", "revision": "unknown"}
    versions["python_version"] = platform.python_version()
    prefix = "openstack_image_exporter"
    assert value(f"{prefix}_build_info", versions) == 1
    assert value(f"{prefix}_config_last_reload_successful") == 1
    assert value(f"{prefix}_config_last_reload_success_timestamp_seconds") == 1.8e9


def test_build_info_has_the_commit_of_the_build() -> None:
    metrics = ExporterMetrics("1.2.3", revision="abc")
    assert 'revision="abc"' in render_openmetrics(metrics)


@pytest.mark.parametrize("reason", Refusal)
def test_refused_connections_are_counted_from_0(
    exporter_metrics: ExporterMetrics, reason: Refusal
) -> None:
    name, labels = "openstack_image_exporter_refused_connections_total", {"reason": reason.value}
    assert exporter_metrics.registry.get_sample_value(name, labels) == 0
    exporter_metrics.count_refused_connection(reason)
    assert exporter_metrics.registry.get_sample_value(name, labels) == 1


@pytest.mark.parametrize("shard", [UNSHARDED, Shard(2, 3)])
def test_shard_is_exported_as_numbers(shard: Shard) -> None:
    """Rules can count and compare them."""
    value = ExporterMetrics("1", shard).registry.get_sample_value
    assert value("openstack_image_exporter_shard_index") == shard.index
    assert value("openstack_image_exporter_shards") == shard.total


@pytest.mark.parametrize("name", ["process_", "python_info", "python_gc_"])
def test_process_platform_and_garbage_collector_are_exported(
    exporter_metrics: ExporterMetrics, name: str
) -> None:
    assert any(family.name.startswith(name) for family in exporter_metrics.registry.collect())


def test_created_series_are_disabled(exporter_metrics: ExporterMetrics) -> None:
    """They would double the number of series."""
    exporter_metrics.observe_request("lab", "HEAD", "200", 0.2, REQUEST_ID)
    names = {
        sample.name for family in exporter_metrics.registry.collect() for sample in family.samples
    }
    assert not {name for name in names if name.endswith("_created")}


def test_removed_cloud_has_no_series(exporter_metrics: ExporterMetrics) -> None:
    """A request that finishes late brings none back. An added cloud starts at 0 again."""
    exporter_metrics.add_cloud("prod")
    for cloud in ("lab", "prod"):
        exporter_metrics.observe_request(cloud, "HEAD", "418", 0.2, "")
    before = render_openmetrics(exporter_metrics)
    exporter_metrics.remove_cloud("lab")
    exporter_metrics.observe_request("lab", "HEAD", "200", 0.2, "")
    after = render_openmetrics(exporter_metrics)
    assert 'cloud="lab"' in before
    assert 'cloud="lab"' not in after
    assert request_count(exporter_metrics, "HEAD", "418", "prod") == 1
    exporter_metrics.add_cloud("lab")
    assert request_count(exporter_metrics, "HEAD", "200") == 0
    assert request_count(exporter_metrics, "HEAD", "418") is None


def test_two_exporters_in_one_process_share_nothing() -> None:
    one, other = ExporterMetrics("1"), ExporterMetrics("2")
    one.add_cloud("lab")
    one.observe_request("lab", "HEAD", "200", 0.2, "")
    assert request_count(one, "HEAD", "200") == 1
    assert request_count(other, "HEAD", "200") is None


def test_failed_load_keeps_the_time_of_the_last_successful_one() -> None:
    metrics = ExporterMetrics("1")
    values = []
    for loaded_at in (1000.0, None, 2000.0):
        metrics.record_load(loaded_at)
        values.append(
            tuple(
                metrics.registry.get_sample_value(f"openstack_image_exporter_config_{name}")
                for name in (
                    "last_reload_successful",
                    "last_reload_success_timestamp_seconds",
                )
            )
        )
    assert values == [(1, 1000), (0, 1000), (1, 2000)]


def test_time_of_the_last_load_of_credentials_is_exported() -> None:
    metrics = ExporterMetrics("1")
    values = []
    for loaded_at in (1000.0, 2000.0):
        metrics.record_credentials_load(loaded_at)
        values.append(
            metrics.registry.get_sample_value(
                "openstack_image_exporter_credentials_last_load_timestamp_seconds"
            )
        )
    assert values == [1000, 2000]


def test_body_of_a_scrape_is_measured_plain_and_as_sent(exporter_metrics: ExporterMetrics) -> None:
    exporter_metrics.record_body(5000, 700)
    exporter_metrics.record_body(6000, None)
    name = "openstack_image_exporter_scrape_body_bytes"
    sizes = [
        exporter_metrics.registry.get_sample_value(name, {"encoding": encoding})
        for encoding in ("identity", "gzip")
    ]
    assert sizes == [6000, 700]


def test_writes_of_the_state_file_are_recorded(exporter_metrics: ExporterMetrics) -> None:
    def values() -> tuple[float | None, ...]:
        value = exporter_metrics.registry.get_sample_value
        prefix = "openstack_image_exporter_state"
        names = ("last_write_timestamp_seconds", "write_failures_total")
        return tuple(value(f"{prefix}_{name}") for name in names)

    assert values() == (0, 0)
    exporter_metrics.record_state_write(5.0)
    exporter_metrics.record_state_write(None)
    assert values() == (5, 1)
