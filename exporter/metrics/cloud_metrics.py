"""Table of the metrics of a cloud, one row each."""

from collections.abc import Callable, Iterable

from exporter.metrics.family import Family, Point
from exporter.model.cloud import CloudState
from exporter.model.outcome import REASONS

CLOUD_LABELS = ("cloud",)
"""The labels of every series of a cloud."""


def _of(attribute: str) -> Callable[[CloudState], Iterable[Point]]:
    def points(cloud: CloudState) -> Iterable[Point]:
        value = getattr(cloud, attribute)
        return () if value is None else (((), float(value)),)

    return points


def _failures(cloud: CloudState) -> Iterable[Point]:
    return (((reason,), float(cloud.failures.get(reason, 0))) for reason in REASONS)


def _api_version(cloud: CloudState) -> Iterable[Point]:
    return () if cloud.api_version is None else (((cloud.api_version,), 1.0),)


def _resolved(cloud: CloudState) -> Iterable[Point]:
    return ((pair, 1.0) for pair in cloud.resolved.items())


def _resolved_changes(cloud: CloudState) -> Iterable[Point]:
    return (((alias,), float(count)) for alias, count in cloud.resolved_changes.items())


CLOUD_FAMILIES: tuple[Family[CloudState], ...] = (
    Family(
        "openstack_image_api_up",
        "gauge",
        "Whether the Image service answered at least one request with accepted credentials in the "
        "last cycle.",
        _of("api_up"),
    ),
    Family(
        "openstack_image_exporter_targets",
        "gauge",
        "Images that are watched.",
        _of("targets"),
    ),
    Family(
        "openstack_image_exporter_polls_total",
        "counter",
        "Polls of images: one per image and cycle, whatever it ended as, retries not counted.",
        _of("polls"),
    ),
    Family(
        "openstack_image_exporter_poll_failures_total",
        "counter",
        "Polls that ended without an answer about the image, by reason.",
        _failures,
        ("reason",),
    ),
    Family(
        "openstack_image_exporter_retries_total",
        "counter",
        "Polls tried again within a cycle after a passing failure.",
        _of("retries"),
    ),
    Family(
        "openstack_image_exporter_rate_limit_wait_seconds_total",
        "counter",
        "Time for which the rate limit held requests back, and for which the service asked to be "
        "left alone.",
        _of("rate_limit_wait"),
    ),
    Family(
        "openstack_image_exporter_breaker_open",
        "gauge",
        "Whether polling is reduced to one probe a cycle, because the API did not answer.",
        _of("breaker_open"),
    ),
    Family(
        "openstack_image_exporter_mass_disappearance",
        "gauge",
        "Whether all images of the cloud vanished at once: role, project, region or policy?",
        _of("mass_disappearance"),
    ),
    Family(
        "openstack_image_exporter_last_cycle_timestamp_seconds",
        "gauge",
        "End of the last completed cycle in seconds since the epoch.",
        _of("last_cycle_at"),
    ),
    Family(
        "openstack_image_exporter_last_cycle_duration_seconds",
        "gauge",
        "How long the last completed cycle took in seconds.",
        _of("last_cycle_duration"),
    ),
    Family(
        "openstack_image_exporter_cycle_interval_seconds",
        "gauge",
        "How often a cycle is to start, in seconds.",
        _of("interval"),
    ),
    Family(
        "openstack_image_exporter_cycles_skipped_total",
        "counter",
        "Cycles that did not start at their time, because the one before was still running or "
        "the exporter was held up.",
        _of("cycles_skipped"),
    ),
    Family(
        "openstack_image_exporter_cycle_lag_seconds",
        "gauge",
        "How long after its time the last cycle started, in seconds.",
        _of("cycle_lag"),
    ),
    Family(
        "openstack_image_exporter_concurrency_needed",
        "gauge",
        "Requests in flight that the last cycle would have needed to ask for every image in time.",
        _of("concurrency_needed"),
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
        "How far the Image service's clock is ahead of this one in seconds, to the second, from "
        "the Date of its answers.",
        _of("clock_skew"),
    ),
    Family(
        "openstack_image_exporter_token_expiry_timestamp_seconds",
        "gauge",
        "When the token in use expires in seconds since the epoch.",
        _of("token_expires_at"),
    ),
    Family(
        "openstack_image_exporter_authentications_total",
        "counter",
        "Times a token was asked for.",
        _of("authentications"),
    ),
    Family(
        "openstack_image_exporter_authentication_failures_total",
        "counter",
        "Times a token was asked for in vain.",
        _of("authentication_failures"),
    ),
    Family(
        "openstack_image_resolved_info",
        "gauge",
        "The image that an alias of a discovery stands for, as last listed.",
        _resolved,
        ("image", "image_id"),
    ),
    Family(
        "openstack_image_resolved_changes_total",
        "counter",
        "Times an alias of a discovery was seen to stand for another image since the exporter "
        "started.",
        _resolved_changes,
        ("image",),
    ),
    Family(
        "openstack_image_exporter_discovery_last_success_timestamp_seconds",
        "gauge",
        "When all images were last listed for discovery in seconds since the epoch.",
        _of("discovered_at"),
    ),
)
"""Every metric of a cloud, in the order of the exposition."""
