"""Table of the metrics of a cloud, one row each."""

from collections.abc import Callable, Mapping

from exporter.metrics.family import Family
from exporter.model.cloud import CloudState
from exporter.model.outcome import REASONS

CLOUD_LABELS = ("cloud",)
"""The labels of every series of a cloud."""


def _of_cloud(attribute: str) -> Callable[[CloudState], Mapping[tuple[str, ...], float]]:
    """Return a function that returns the sample of a numeric field, or no sample if unknown."""

    def samples(cloud: CloudState) -> Mapping[tuple[str, ...], float]:
        value = getattr(cloud, attribute)
        return {} if value is None else {(): float(value)}

    return samples


def _failures(cloud: CloudState) -> Mapping[tuple[str, ...], float]:
    return {(reason,): float(cloud.failures.get(reason, 0)) for reason in REASONS}


def _api_version(cloud: CloudState) -> Mapping[tuple[str, ...], float]:
    return {} if cloud.api_version is None else {(cloud.api_version,): 1.0}


def _resolved(cloud: CloudState) -> Mapping[tuple[str, ...], float]:
    return dict.fromkeys(cloud.resolved.items(), 1.0)


def _resolved_changes(cloud: CloudState) -> Mapping[tuple[str, ...], float]:
    return {(alias,): float(count) for alias, count in cloud.resolved_changes.items()}


CLOUD_FAMILIES: tuple[Family[CloudState], ...] = (
    Family(
        "openstack_image_api_up",
        "gauge",
        "Whether the Image service accepted the credentials of at least one request in the last "
        "cycle.",
        _of_cloud("api_up"),
    ),
    Family(
        "openstack_image_exporter_targets",
        "gauge",
        "Number of watched images.",
        _of_cloud("targets"),
    ),
    Family(
        "openstack_image_exporter_images_with_cut_labels",
        "gauge",
        "Number of images with a label value that is cut at label_value_limit, as last polled.",
        _of_cloud("cut_images"),
    ),
    Family(
        "openstack_image_exporter_polls_total",
        "counter",
        "Polls of images, one per image and cycle, regardless of the result and without retries.",
        _of_cloud("polls"),
    ),
    Family(
        "openstack_image_exporter_poll_failures_total",
        "counter",
        "Failed polls by reason.",
        _failures,
        ("reason",),
    ),
    Family(
        "openstack_image_exporter_retries_total",
        "counter",
        "Retries within a cycle after a transient failure.",
        _of_cloud("retries"),
    ),
    Family(
        "openstack_image_exporter_rate_limit_wait_seconds_total",
        "counter",
        "Seconds for which requests waited for the rate limit or for the service's Retry-After.",
        _of_cloud("rate_limit_wait"),
    ),
    Family(
        "openstack_image_exporter_breaker_open",
        "gauge",
        "Whether the circuit breaker is open: polling is reduced to one probe per cycle.",
        _of_cloud("breaker_open"),
    ),
    Family(
        "openstack_image_exporter_mass_disappearance",
        "gauge",
        "Whether all images of the cloud vanished at once. Check role, project, region and policy.",
        _of_cloud("mass_disappearance"),
    ),
    Family(
        "openstack_image_exporter_contradictions_total",
        "counter",
        "Responses of the Image service that contradict other responses about the same image.",
        _of_cloud("contradictions"),
    ),
    Family(
        "openstack_image_exporter_last_cycle_timestamp_seconds",
        "gauge",
        "End of the last completed cycle in seconds since the epoch.",
        _of_cloud("last_cycle_at"),
    ),
    Family(
        "openstack_image_exporter_last_cycle_duration_seconds",
        "gauge",
        "Duration of the last completed cycle in seconds.",
        _of_cloud("last_cycle_duration"),
    ),
    Family(
        "openstack_image_exporter_cycle_interval_seconds",
        "gauge",
        "Configured interval between the starts of cycles in seconds.",
        _of_cloud("interval"),
    ),
    Family(
        "openstack_image_exporter_cycles_skipped_total",
        "counter",
        "Cycles skipped because the previous one was still running or the exporter was delayed.",
        _of_cloud("cycles_skipped"),
    ),
    Family(
        "openstack_image_exporter_cycle_lag_seconds",
        "gauge",
        "Delay of the start of the last cycle in seconds.",
        _of_cloud("cycle_lag"),
    ),
    Family(
        "openstack_image_exporter_concurrency_needed",
        "gauge",
        "Concurrent requests that the last cycle would have needed to poll every image in time.",
        _of_cloud("concurrency_needed"),
    ),
    Family(
        "openstack_image_exporter_api_version_info",
        "gauge",
        "Version of the Image service API in use.",
        _api_version,
        ("version",),
    ),
    Family(
        "openstack_image_exporter_clock_skew_seconds",
        "gauge",
        "Seconds by which the clock of the Image service is ahead of this one, from the Date "
        "header, to the second.",
        _of_cloud("clock_skew"),
    ),
    Family(
        "openstack_image_exporter_token_expiry_timestamp_seconds",
        "gauge",
        "Expiry of the token in use in seconds since the epoch.",
        _of_cloud("token_expires_at"),
    ),
    Family(
        "openstack_image_exporter_authentications_total",
        "counter",
        "Authentication attempts.",
        _of_cloud("authentications"),
    ),
    Family(
        "openstack_image_exporter_authentication_failures_total",
        "counter",
        "Failed authentication attempts.",
        _of_cloud("authentication_failures"),
    ),
    Family(
        "openstack_image_resolved_info",
        "gauge",
        "Image that a discovery alias resolves to, as last listed.",
        _resolved,
        ("image", "image_id"),
    ),
    Family(
        "openstack_image_resolved_changes_total",
        "counter",
        "Changes of the image that a discovery alias resolves to.",
        _resolved_changes,
        ("image",),
    ),
    Family(
        "openstack_image_exporter_discovery_last_success_timestamp_seconds",
        "gauge",
        "Time of the last complete list of images for discovery in seconds since the epoch.",
        _of_cloud("discovered_at"),
    ),
)
"""Every metric of a cloud, in the order of the exposition."""
