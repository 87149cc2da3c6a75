"""The dashboard of one image."""

from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import units

from dashboards.generate.board import board as assembled
from dashboards.generate.board import image, search
from dashboards.generate.colors import BLUE, ORANGE
from dashboards.generate.panels import (
    STATE_WORDS,
    Frame,
    bands,
    dashed,
    lines,
    none_is_good,
    number,
    over_time,
)
from dashboards.generate.promql import CHANGES, ONE, above_zero, cloud, how_many, step
from dashboards.generate.states import state
from dashboards.generate.tables import label, labels_of, listing
from dashboards.generate.words import (
    CHANGE_NAMES,
    HIDDEN,
    MET,
    PROTECTED,
    PUBLIC,
    REASONS,
    SUCCEEDED,
    UP,
)

UID = "openstack-images-image"

HERE = f"on (cloud) max by (cloud) ({ONE.series('target_info')})"
"""PromQL restriction to the image's cloud, since the cloud variable allows several."""

INFO = ("name", "project_id", "disk_format", "container_format", "visibility")

NOT_REPORTED = "not reported"
"""Text for a value that the API omits, or no longer reports for a gone image."""


SUMMARY = (
    number(
        Frame(
            "State",
            "The worst state of the image. Poll failed: the last poll failed, and the image was "
            "active or becoming active before.",
            4,
            4,
        ),
        state(ONE),
        words=STATE_WORDS,
    ),
    number(
        Frame(
            "Last poll",
            "Whether the last poll succeeded; finding the image gone is a success.",
            4,
            4,
        ),
        ONE.value("poll_success"),
        words=SUCCEEDED,
    ),
    number(
        Frame(
            "Expectations not met",
            "Configured expectations that the image does not meet; 0 if none are configured.",
            4,
            4,
        ),
        how_many(ONE, f"{ONE.value('expectation_met', by=['expectation'])} == 0"),
        thresholds=none_is_good(),
    ),
    number(
        Frame(
            "Protection", "Whether the image is protected from deletion.", 4, 4, empty=NOT_REPORTED
        ),
        ONE.value("protected"),
        words=PROTECTED,
    ),
    number(
        Frame(
            "Sharing", "Whether the image is visible to every project.", 4, 4, empty=NOT_REPORTED
        ),
        ONE.value("public"),
        words=PUBLIC,
    ),
    number(
        Frame(
            "Changes",
            "Changes of status, existence, content and attributes in the time range.",
            4,
            4,
        ),
        f"round({' + '.join(ONE.changes(kind, '$__range') for kind in CHANGES)})",
    ),
)

HISTORY = (
    bands(
        Frame("State over time", "State and flags of the image over time, as last polled.", 24, 9),
        (over_time(state(ONE), "State"), STATE_WORDS),
        (over_time(ONE.value("poll_success"), "Last poll"), SUCCEEDED),
        (over_time(ONE.value("protected"), "Protection"), PROTECTED),
        (over_time(ONE.value("public"), "Sharing"), PUBLIC),
        (over_time(ONE.value("hidden"), "Lists"), HIDDEN),
        (
            over_time(ONE.value("expectation_met", by=["expectation"]), "Expected {{expectation}}"),
            MET,
        ),
    ),
    lines(
        Frame(
            "Size over time",
            "Size of the image file, and of its virtual disk if the API reports it.",
            12,
            7,
            units.BytesIEC,
        ),
        over_time(ONE.value("size_bytes"), "file"),
        over_time(ONE.value("virtual_size_bytes"), "virtual disk"),
        named={"file": ("file", BLUE), "virtual disk": ("virtual disk", ORANGE)},
    ),
    lines(
        Frame("Changes over time", "Changes counted by the exporter, by kind.", 12, 7),
        *(over_time(ONE.steps(kind), name) for kind, name in CHANGES.items()),
        named=CHANGE_NAMES,
        bars=True,
        up_to=1,
    ),
)

FACTS = (
    number(
        Frame("Size", "Size of the image file.", 3, 3, units.BytesIEC, NOT_REPORTED),
        ONE.value("size_bytes"),
    ),
    number(
        Frame(
            "Virtual size",
            "Size of the virtual disk in the image file.",
            3,
            3,
            units.BytesIEC,
            NOT_REPORTED,
        ),
        ONE.value("virtual_size_bytes"),
    ),
    number(
        Frame(
            "Minimum disk",
            "Smallest disk that the image boots on.",
            4,
            3,
            units.BytesIEC,
            NOT_REPORTED,
        ),
        ONE.value("min_disk_bytes"),
    ),
    number(
        Frame(
            "Minimum memory",
            "Smallest memory that the image boots with.",
            4,
            3,
            units.BytesIEC,
            NOT_REPORTED,
        ),
        ONE.value("min_ram_bytes"),
    ),
    number(
        Frame("Created", "When the image was created.", 3, 3, units.DateTimeFromNow, NOT_REPORTED),
        f"1000 * {ONE.value('created_timestamp_seconds')}",
    ),
    number(
        Frame(
            "Updated", "When the image was last updated.", 3, 3, units.DateTimeFromNow, NOT_REPORTED
        ),
        f"1000 * {ONE.value('updated_timestamp_seconds')}",
    ),
    number(
        Frame(
            "Deleted",
            "When the image was deleted; only administrators can see this.",
            4,
            3,
            units.DateTimeFromNow,
            "no, or not reported",
        ),
        f"1000 * {ONE.value('deleted_timestamp_seconds')}",
    ),
    listing(
        Frame(
            "Labels",
            "Alias in the configuration, name in the Image service, and other labels of the image.",
            24,
            4,
        ),
        label("Alias", "image"),
        label("Name", "name"),
        label("ID", "image_id", width=315),
        label("Cloud", "cloud", width=120),
        label("Project", "project_id", width=280),
        label("Disk format", "disk_format", width=105),
        label("Container", "container_format", width=95),
        label("Visibility", "visibility", width=95),
        label("Source", "source", width=105),
        labels_of(ONE.value("target_info", by=["source"])),
        labels_of(ONE.value("info", by=INFO)),
    ),
    listing(
        Frame(
            "Content",
            "Digests of the image's content. A changed digest means changed content.",
            14,
            5,
            empty="No digest: the image has no data yet, or is gone, or none is selected.",
        ),
        label("Algorithm", "algorithm", width=120),
        label("Digest", "digest"),
        labels_of(f"max by (algorithm, digest) ({ONE.series('content_info')})"),
    ),
    listing(
        Frame(
            "Properties",
            "Custom properties of the image that the setting `properties` lists.",
            10,
            5,
            empty="None of the configured properties.",
        ),
        label("Property", "property"),
        label("Value", "value"),
        labels_of(f"max by (property, value) ({ONE.series('property_info')})"),
    ),
)

POLLING = (
    bands(
        Frame(
            "Image service", "Whether any request to the cloud's Image service succeeded.", 24, 3
        ),
        (over_time(f"max by (cloud) ({cloud('api_up')}) and {HERE}", "{{cloud}}"), UP),
    ),
    lines(
        Frame(
            "Failed polls of this cloud, by reason",
            "Failed polls of all images of the cloud. There should be none.",
            12,
            7,
        ),
        over_time(
            above_zero(
                f"sum by (reason) ({step(cloud('exporter_poll_failures_total'))} and {HERE})",
                "reason",
            ),
            "{{reason}}",
        ),
        named=REASONS,
        bars=True,
        up_to=1,
    ),
    dashed(
        lines(
            Frame(
                "Age of the data",
                "Time since the last completed cycle of the image's cloud, and the polling "
                "interval, which it should not exceed for long.",
                12,
                7,
                units.Seconds,
            ),
            over_time(
                "time() - max by (cloud) "
                f"({cloud('exporter_last_cycle_timestamp_seconds')}) and {HERE}",
                "age",
            ),
            over_time(
                f"max by (cloud) ({cloud('exporter_cycle_interval_seconds')}) and {HERE}",
                "interval",
            ),
            named={"age": ("age", BLUE), "interval": ("interval", ORANGE)},
        ),
        "interval",
    ),
)


def board() -> models.Dashboard:
    """Return the dashboard of one image."""
    return assembled(
        UID,
        "OpenStack images / Image",
        "One image: its properties, its history, and how recent they are.",
        [("", SUMMARY), ("History", HISTORY), ("Properties", FACTS), ("Polling", POLLING)],
        variables=[search("find", "the image to choose"), image()],
        alerts='cloud=~"$cloud|", image_id=~"$image|"',
    )
