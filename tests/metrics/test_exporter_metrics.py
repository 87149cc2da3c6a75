import platform

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from exporter.metrics.exporter_metrics import CODES, METHODS, ExporterMetrics
from exporter.model.sharding import UNSHARDED, Shard

REQUEST_ID = "req-87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"
REQUESTS = "openstack_image_exporter_requests_total"
DURATIONS = "openstack_image_exporter_request_duration_seconds"


@pytest.fixture
def instruments() -> ExporterMetrics:
    """Those of an exporter that watches one cloud and has asked nothing yet."""
    made = ExporterMetrics("1.2.3")
    made.add_cloud("lab")
    return made


def requests(
    instruments: ExporterMetrics, method: str, code: str, cloud: str = "lab"
) -> float | None:
    """How many requests were counted; ``None`` where there is no such series."""
    labels = {"cloud": cloud, "method": method, "code": code}
    return instruments.registry.get_sample_value(REQUESTS, labels)


def in_openmetrics(instruments: ExporterMetrics) -> str:
    """The whole exposition in that format."""
    # It has no annotations.
    written: bytes = openmetrics.generate_latest(instruments.registry)  # type: ignore[no-untyped-call]
    return written.decode()


@pytest.mark.parametrize("method", METHODS)
def test_the_series_of_a_cloud_begin_at_0(instruments: ExporterMetrics, method: str) -> None:
    """Every answer that the API is known to give has a series before it is given."""
    for code in CODES:
        assert requests(instruments, method, code) == 0
    labels = {"cloud": "lab", "method": method}
    assert instruments.registry.get_sample_value(f"{DURATIONS}_count", labels) == 0
    assert requests(instruments, method, "200", "prod") is None


@pytest.mark.parametrize("code", ["200", "error", "418"])
def test_a_request_is_counted_and_timed(instruments: ExporterMetrics, code: str) -> None:
    """One more of its cloud, method and code, and its seconds in the histogram."""
    instruments.observe_request("lab", "HEAD", code, 0.2, "")
    instruments.observe_request("lab", "HEAD", code, 40.0, REQUEST_ID)
    assert requests(instruments, "HEAD", code) == 2
    assert not requests(instruments, "GET", code)
    labels = {"cloud": "lab", "method": "HEAD"}
    value = instruments.registry.get_sample_value
    assert value(f"{DURATIONS}_count", labels) == 2
    assert value(f"{DURATIONS}_sum", labels) == 40.2
    assert value(f"{DURATIONS}_bucket", labels | {"le": "0.1"}) == 0
    assert value(f"{DURATIONS}_bucket", labels | {"le": "0.25"}) == 1
    assert value(f"{DURATIONS}_bucket", labels | {"le": "30.0"}) == 1
    assert value(f"{DURATIONS}_bucket", labels | {"le": "+Inf"}) == 2


def test_openmetrics_points_to_a_request_by_its_id(instruments: ExporterMetrics) -> None:
    """The exemplar is in that format only."""
    instruments.observe_request("lab", "HEAD", "200", 0.2, REQUEST_ID)
    assert f'# {{request_id="{REQUEST_ID}"}} 0.2' in in_openmetrics(instruments)
    assert REQUEST_ID not in generate_latest(instruments.registry).decode()


def test_a_request_without_id_has_no_exemplar(instruments: ExporterMetrics) -> None:
    """An empty exemplar would point nowhere."""
    instruments.observe_request("lab", "HEAD", "200", 0.2, "")
    assert "request_id" not in in_openmetrics(instruments)


def test_build_and_configuration_are_shown(instruments: ExporterMetrics) -> None:
    """What runs, by versions, and since when it is configured as it is."""
    instruments.reload_successful.set(1)
    instruments.reload_success_at.set(1.8e9)
    value = instruments.registry.get_sample_value
    versions = {"version": "1.2.3", "python_version": platform.python_version()}
    prefix = "openstack_image_exporter"
    assert value(f"{prefix}_build_info", versions) == 1
    assert value(f"{prefix}_config_last_reload_successful") == 1
    assert value(f"{prefix}_config_last_reload_success_timestamp_seconds") == 1.8e9


@pytest.mark.parametrize("shard", [UNSHARDED, Shard(2, 3)])
def test_the_shard_is_shown_as_numbers(shard: Shard) -> None:
    """Index and number of shards can be counted and compared; without sharding there is one."""
    value = ExporterMetrics("1", shard).registry.get_sample_value
    assert value("openstack_image_exporter_shard_index") == shard.index
    assert value("openstack_image_exporter_shards") == shard.total


@pytest.mark.parametrize("name", ["process_", "python_info", "python_gc_"])
def test_the_process_itself_is_measured(instruments: ExporterMetrics, name: str) -> None:
    """Process, platform and garbage collector, as prometheus_client does it."""
    assert any(family.name.startswith(name) for family in instruments.registry.collect())


def test_no_series_tells_when_it_was_created(instruments: ExporterMetrics) -> None:
    """They would double the series and nobody reads them."""
    instruments.observe_request("lab", "HEAD", "200", 0.2, REQUEST_ID)
    names = {each.name for family in instruments.registry.collect() for each in family.samples}
    assert not {name for name in names if name.endswith("_created")}


def test_the_series_of_a_cloud_that_is_forgotten_are_gone(instruments: ExporterMetrics) -> None:
    """All of them, for good: a request that ends late brings none back. The next one is at 0."""
    instruments.add_cloud("prod")
    for cloud in ("lab", "prod"):
        instruments.observe_request(cloud, "HEAD", "418", 0.2, "")
    before = in_openmetrics(instruments)
    instruments.remove_cloud("lab")
    instruments.observe_request("lab", "HEAD", "200", 0.2, "")
    after = in_openmetrics(instruments)
    assert 'cloud="lab"' in before
    assert 'cloud="lab"' not in after
    assert requests(instruments, "HEAD", "418", "prod") == 1
    instruments.add_cloud("lab")
    assert requests(instruments, "HEAD", "200") == 0
    assert requests(instruments, "HEAD", "418") is None


def test_two_exporters_in_one_process_share_nothing() -> None:
    """Each has a registry of its own."""
    one, other = ExporterMetrics("1"), ExporterMetrics("2")
    one.add_cloud("lab")
    one.observe_request("lab", "HEAD", "200", 0.2, "")
    assert requests(one, "HEAD", "200") == 1
    assert requests(other, "HEAD", "200") is None
