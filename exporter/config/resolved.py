"""Clouds and images as resolved: inherited values and defaults are filled in.

``schema`` has the settings as written. The rest of the exporter reads the classes of this module.
"""

from dataclasses import dataclass, fields
from pathlib import Path

from pydantic import SecretStr

from exporter.config.expect import Expect, expected_properties, merged
from exporter.config.labels import LabelInheritance
from exporter.config.schema import Cloud, Discover, Settings
from exporter.metrics.image_metrics import OPERATOR_LABELS_FAMILY
from exporter.metrics.selection.families import Selection
from exporter.model.api_traits import RequestedVersion
from exporter.model.discovery import DiscoveryRule
from exporter.model.expectations.checks import Expectations
from exporter.model.sharding import UNSHARDED, Shard
from exporter.model.target import OperatorLabels

LONGEST_DEFAULT_TIMEOUT = 10.0
LEAST_MAX_STALE = 15 * 60.0
LEAST_DISCOVERY_INTERVAL = 5 * 60.0


@dataclass(frozen=True)
class ResolvedImage:
    """An image to watch, with all expectations and labels that apply to it."""

    image_id: str
    alias: str
    expect: Expectations = ()
    operator_labels: OperatorLabels = ()


@dataclass(frozen=True)
class ResolvedCloud:
    """A cloud with all inherited settings. Times are in seconds, ``rate_limit`` per second.

    No field has a default, so that the type checker finds a setting that is not carried over.
    """

    name: str
    cloud: str | None
    region: str | None
    image_service_name: str | None
    interface: str | None
    api: RequestedVersion | None
    endpoint: str | None
    token: SecretStr | None
    token_file: Path | None
    os_client_config: Path | None
    images: tuple[ResolvedImage, ...]
    discover: tuple[DiscoveryRule, ...]
    properties: tuple[str, ...]
    interval: float
    timeout: float
    concurrency: int
    rate_limit: float | None
    max_stale: float
    discovery_interval: float
    forget_after: float
    label_value_limit: int

    @property
    def needed_properties(self) -> frozenset[str]:
        """The properties to read: those in the metrics, and those with an expected value."""
        expectations = {image.expect for image in self.images}
        expectations.update(rule.expect for rule in self.discover)
        return frozenset(self.properties) | expected_properties(expectations)


RESOLVED_INTO_IMAGES = frozenset({"expect", "labels"})
"""Settings of a cloud that become settings of its images and discovery rules."""

if _missing := (
    Cloud.model_fields.keys()
    - RESOLVED_INTO_IMAGES
    - {field.name for field in fields(ResolvedCloud)}
):
    raise AssertionError(f"ResolvedCloud lacks settings of Cloud: {', '.join(sorted(_missing))}")


def resolved_shard(settings: Settings) -> Shard:
    """Return the configured shard, or ``UNSHARDED``, which has all images."""
    index, total = settings.shard.index, settings.shard.total
    return UNSHARDED if index is None or total is None else Shard(index, total)


def resolved_selection(settings: Settings) -> Selection:
    """Return the metric families to serve."""
    empty = frozenset() if _label_names(settings) else frozenset({OPERATOR_LABELS_FAMILY})
    return Selection(settings.metrics.include, settings.metrics.exclude, empty)


def resolved_clouds(settings: Settings) -> tuple[ResolvedCloud, ...]:
    """Return the clouds with all inherited values and defaults filled in."""
    label_names = _label_names(settings)
    return tuple(_resolved_cloud(settings, cloud, label_names) for cloud in settings.clouds)


def _label_names(settings: Settings) -> frozenset[str]:
    """Return the names of all labels in the settings, which every image has."""
    levels = [settings.labels]
    for cloud in settings.clouds:
        levels.append(cloud.labels)
        levels += [image.labels for image in cloud.images]
        levels += [rule.labels for rule in cloud.discover]
    return frozenset(name for labels in levels for name in labels)


def _resolved_cloud(settings: Settings, cloud: Cloud, label_names: frozenset[str]) -> ResolvedCloud:
    interval = cloud.interval or settings.interval
    # `rate_limit: none` of a cloud lifts the general limit, so the value alone does not decide.
    rate_limit = cloud if "rate_limit" in cloud.model_fields_set else settings
    properties = settings.properties if cloud.properties is None else cloud.properties
    directory = Path() if settings.config.file is None else settings.config.file.parent
    inheritance = _ExpectInheritance(settings.expect, cloud.expect)
    labels = LabelInheritance(label_names, settings.labels, cloud.labels)
    return ResolvedCloud(
        name=cloud.name,
        cloud=cloud.cloud,
        region=cloud.region,
        image_service_name=cloud.image_service_name,
        interface=cloud.interface,
        api=cloud.api if "api" in cloud.model_fields_set else None,
        endpoint=cloud.endpoint,
        token=cloud.token,
        token_file=None if cloud.token_file is None else directory / cloud.token_file,
        os_client_config=settings.os_client_config,
        images=tuple(
            ResolvedImage(
                image.id,
                image.alias or image.id,
                inheritance.resolve(image.expect),
                labels.resolve(image.labels),
            )
            for image in cloud.images
        ),
        discover=tuple(
            _discovery_rule(rule, inheritance.resolve(rule.expect), labels.resolve(rule.labels))
            for rule in cloud.discover
        ),
        properties=properties,
        interval=interval,
        timeout=cloud.timeout or settings.timeout or min(LONGEST_DEFAULT_TIMEOUT, interval),
        concurrency=cloud.concurrency or settings.concurrency,
        rate_limit=rate_limit.rate_limit,
        max_stale=cloud.max_stale or settings.max_stale or max(LEAST_MAX_STALE, 3 * interval),
        discovery_interval=cloud.discovery_interval
        or settings.discovery_interval
        or max(LEAST_DISCOVERY_INTERVAL, interval),
        forget_after=cloud.forget_after or settings.forget_after,
        label_value_limit=settings.label_value_limit,
    )


class _ExpectInheritance:
    """The expectations that images of one cloud inherit.

    Equal results are shared, because thousands of images may expect the same.
    """

    def __init__(self, general: Expect, of_cloud: Expect) -> None:
        self._inherited = (general, of_cloud)
        self._shared: dict[Expectations, Expectations] = {}
        self._without_own = merged(*self._inherited)

    def resolve(self, own: Expect) -> Expectations:
        """Return all expectations of an image that has these of its own."""
        if not own.model_fields_set:
            return self._without_own
        expectations = merged(*self._inherited, own)
        return self._shared.setdefault(expectations, expectations)


def _discovery_rule(
    discover: Discover, expectations: Expectations, operator_labels: OperatorLabels
) -> DiscoveryRule:
    return DiscoveryRule(
        name=discover.name,
        tags=discover.tag,
        owner=discover.owner,
        visibility=discover.visibility,
        statuses=discover.status,
        properties=discover.property,
        alias=discover.alias,
        expect=expectations,
        operator_labels=operator_labels,
    )
