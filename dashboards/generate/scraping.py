"""Queries for scrape configurations that rename labels of the exporter or drop its metrics.

OpenStackImageScrapeMisconfigured fires for the same.
"""

from dashboards.generate.promql import EXPORTERS, cloud, process

_TARGETS = "openstack_image_exporter_targets"
_POLLS = "openstack_image_poll_success"
_LAST_CYCLES = process("openstack_image_exporter_last_cycle_timestamp_seconds")
_RENAMED_CLOUD = 'exported_cloud!=""'

_RENAMED = " or ".join(
    (
        process(_TARGETS, _RENAMED_CLOUD),
        process(_TARGETS, 'cloud=""'),
        process(_POLLS, 'exported_image!=""'),
        process(_POLLS, 'exported_image_id!=""'),
    )
)
_DROPPED = (
    f"({EXPORTERS} unless on (job, instance) {process(_TARGETS)}) or "
    f"({process(_TARGETS)} > 0 and on (job, instance, cloud) {_LAST_CYCLES}"
    f" unless on (job, instance) {process(_POLLS)})"
)
"""Exporters that are scraped without clouds, or without images though they have polled some."""

SCRAPED_WRONGLY = (
    f"count(count by (job, instance) ({_RENAMED} or {_DROPPED})) or 0 * count({EXPORTERS})"
)
"""Query for the number of exporters whose labels are renamed or whose metrics are dropped."""

LABELS_RENAMED = (
    f"group by (cloud) ({cloud('exporter_targets', _RENAMED_CLOUD)})"
    f" or 0 * group by (cloud) ({cloud('exporter_targets')})"
)
"""Query for 1 if the target of a cloud has a label ``cloud``, which hides that of the exporter."""
