import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.metrics.cloud_metrics import CLOUD_FAMILIES, CLOUD_LABELS
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.image_metrics import IMAGE_FAMILIES, IMAGE_LABELS
from exporter.model.cloud import CloudState
from exporter.model.image import Image
from exporter.model.observation import NEVER_POLLED, Observation
from exporter.model.outcome import Failed, Found, Gone
from exporter.model.target import Target
from exporter.store import Store
from tests.support.clock import FakeClock
from tests.support.images import ACTIVE, COMPLETE, MAX_STALE, START, later
from tests.support.reference_collector import StoreCollector

LABELS = {family.name: {*IMAGE_LABELS, *family.labels} for family in IMAGE_FAMILIES}
LABELS["openstack_image_labels"].add("team")
LABELS |= {family.name: {*CLOUD_LABELS, *family.labels} for family in CLOUD_FAMILIES}

OBSERVATIONS = {
    "existing": NEVER_POLLED.with_outcome(Found(ACTIVE), START, MAX_STALE),
    "gone": NEVER_POLLED.with_outcome(Found(ACTIVE), START, MAX_STALE).with_outcome(
        Gone(), START, MAX_STALE
    ),
    "failed": NEVER_POLLED.with_outcome(Failed("timeout"), START, MAX_STALE),
    "deleted": NEVER_POLLED.with_outcome(Found(replace(ACTIVE, deleted=True)), START, MAX_STALE),
    "bare": NEVER_POLLED.with_outcome(Found(Image("v1", "x", "odd")), START, MAX_STALE),
    "complete": NEVER_POLLED.with_outcome(Found(COMPLETE), START, MAX_STALE),
    "never-polled": NEVER_POLLED,
}


def store_with(observations: dict[str, Observation]) -> Store:
    """Return a store with two clouds that each watch one image per observation."""
    store = Store()
    for cloud in ("lab", "prod"):
        expect = (("status", ("active",)), ("max_age", 1.0))
        labels = (("team", "web"),)
        targets = [
            Target(cloud, name, f"the {name}", expect=expect, operator_labels=labels)
            for name in observations
        ]
        store.add_cloud(CloudState(cloud, 60.0), targets)
        for target in targets:
            store.observe(target.key, observations[target.image_id])
    store.update_cloud(
        "lab",
        lambda state: replace(state, api_up=True, api_version="v1", token_expires_at=1e9),
    )
    return store


def samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return the value of every series by name and labels, each of which must be unique."""
    values = {}
    for family in registry.collect():
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in values
            values[key] = sample.value
    return values


def registry_of(store: Store, clock: FakeClock | None = None) -> CollectorRegistry:
    """Return a registry with only the metrics of the store."""
    registry = CollectorRegistry(auto_describe=True)
    registry.register(StoreCollector(store, clock or FakeClock(START)))
    return registry


def test_empty_store_has_every_family_without_series() -> None:
    families = list(StoreCollector(Store(), FakeClock(START)).collect())
    assert [family.samples for family in families] == [[]] * len(LABELS)
    assert {
        f"{metric.name}_total" if metric.type == "counter" else metric.name for metric in families
    } == (LABELS.keys())


def test_described_metrics_are_the_collected_ones() -> None:
    """The registry rejects a second collector of the same names."""
    collector = StoreCollector(store_with(OBSERVATIONS), FakeClock(START))
    described = [
        (metric.name, metric.type, metric.documentation) for metric in collector.describe()
    ]
    collected = [(metric.name, metric.type, metric.documentation) for metric in collector.collect()]
    assert described == collected
    registry = registry_of(Store())
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(StoreCollector(Store(), FakeClock(START)))


def test_families_have_their_kind() -> None:
    kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}
    expected = [kinds[row.kind] for row in IMAGE_FAMILIES] + [
        kinds[row.kind] for row in CLOUD_FAMILIES
    ]
    assert [
        type(family) for family in StoreCollector(Store(), FakeClock(START)).collect()
    ] == expected


def test_every_series_has_exactly_the_labels_of_its_family() -> None:
    values = samples(registry_of(store_with(OBSERVATIONS)))
    for name, labels in values:
        assert {label for label, _ in labels} == LABELS[name]
        assert all(type(value) is str for _, value in labels)
    assert {name for name, _ in values} == LABELS.keys() - {
        "openstack_image_resolved_info",
        "openstack_image_resolved_changes_total",
        "openstack_image_exporter_discovery_last_success_timestamp_seconds",
        "openstack_image_exporter_last_cycle_timestamp_seconds",
        "openstack_image_exporter_last_cycle_duration_seconds",
        "openstack_image_exporter_cycle_lag_seconds",
        "openstack_image_exporter_concurrency_needed",
        "openstack_image_exporter_clock_skew_seconds",
        "openstack_image_deleted_timestamp_seconds",
    }


def test_same_image_in_two_clouds_is_two_series() -> None:
    store = store_with({"existing": OBSERVATIONS["existing"]})
    store.observe(Target("prod", "existing", "").key, OBSERVATIONS["gone"])
    values = samples(registry_of(store))
    for cloud, exists in (("lab", 1.0), ("prod", 0.0)):
        labels = (("cloud", cloud), ("image", "the existing"), ("image_id", "existing"))
        assert values["openstack_image_exists", labels] == exists


def test_values_expire_without_a_poll() -> None:
    clock = FakeClock()
    registry = registry_of(store_with({"existing": OBSERVATIONS["existing"]}), clock)
    clock.now = later(MAX_STALE)
    assert registry.get_sample_value(
        "openstack_image_size_bytes",
        {"cloud": "lab", "image_id": "existing", "image": "the existing"},
    )
    clock.now = later(MAX_STALE + 1)
    names = {name for name, labels in samples(registry) if ("image_id", "existing") in labels}
    assert names == {
        "openstack_image_status_changes_total",
        "openstack_image_existence_changes_total",
        "openstack_image_content_changes_total",
        "openstack_image_attribute_changes_total",
        "openstack_image_target_info",
        "openstack_image_labels",
        "openstack_image_poll_success",
    }


def test_both_formats_have_the_same_series_without_timestamps() -> None:
    registry = registry_of(store_with(OBSERVATIONS))
    plain = generate_latest(registry).decode()
    # Neither has annotations.
    written = openmetrics.generate_latest(registry).decode()  # type: ignore[no-untyped-call]
    families = parse_openmetrics(written)  # type: ignore[no-untyped-call]
    series = [
        sorted((sample.name, sorted(sample.labels.items()), sample.value) for sample in parsed)
        for parsed in (
            [sample for family in parse_text(plain) for sample in family.samples],
            [sample for family in families for sample in family.samples],
        )
    ]
    assert series[0] == series[1]
    assert len(series[0]) == len(samples(registry))
    assert not [name for name, *_ in series[0] if name.endswith("_created")]
    assert written.count("# EOF") == 1
    for line in plain.splitlines():
        assert line.startswith("# ") or len(line.rpartition("}")[2].split()) == 1


TEXTS = st.none() | st.text()
NUMBERS = st.none() | st.integers(0, 2**63 - 1)
FLAGS = st.none() | st.booleans()


@given(
    st.builds(
        Image,
        api=st.just("v1"),
        id=st.text(),
        status=st.text(),
        name=TEXTS,
        size_bytes=NUMBERS,
        protected=FLAGS,
        public=FLAGS,
        visibility=TEXTS,
        deleted=FLAGS,
        created_at=st.none() | st.floats(-1e11, 1e12),
        container_format=TEXTS,
        disk_format=TEXTS,
        min_disk_bytes=NUMBERS,
        digests=st.lists(st.tuples(st.text(), st.text()), max_size=1).map(tuple),
        project_id=TEXTS,
        properties=st.dictionaries(st.text(), st.text()).map(lambda held: tuple(held.items())),
    )
)
def test_any_image_can_be_collected(image: Image) -> None:
    store = store_with({"any": NEVER_POLLED.with_outcome(Found(image), START, MAX_STALE)})
    for (name, labels), value in samples(registry_of(store)).items():
        assert {label for label, _ in labels} == LABELS[name]
        assert all(type(text) is str for _, text in labels)
        assert type(value) is float


@pytest.mark.parametrize("reload", [True, False])
def test_promtool_accepts_the_exposition(promtool: Path, reload: bool) -> None:
    store = store_with(OBSERVATIONS)
    exporter_metrics = ExporterMetrics("1.2.3")
    for cloud in ("lab", "prod"):
        exporter_metrics.add_cloud(cloud)
    exporter_metrics.observe_request(
        "lab", "HEAD", "200", 0.1, "req-87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"
    )
    if reload:
        exporter_metrics.reload_successful.set(1)
        exporter_metrics.reload_success_at.set(START.wall)
        store.update_cloud(
            "prod",
            lambda state: replace(
                state,
                last_cycle_at=1e9,
                last_cycle_duration=1.0,
                cycle_lag=0.0,
                concurrency_needed=1.0,
                clock_skew=0.5,
            ),
        )
    exporter_metrics.registry.register(StoreCollector(store, FakeClock(START)))
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=generate_latest(exporter_metrics.registry),
        capture_output=True,
        check=False,
    )
    assert (checked.stdout, checked.stderr, checked.returncode) == (b"", b"", 0)
