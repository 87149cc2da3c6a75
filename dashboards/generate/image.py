"""All about one image."""

from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import units

from dashboards.generate.board import board as assembled
from dashboards.generate.board import image
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
from dashboards.generate.promql import CHANGES, ONE, above_zero, cloud, how_many
from dashboards.generate.states import state
from dashboards.generate.tables import label, labels_of, listing
from dashboards.generate.words import (
    ANSWERED,
    CHANGE_NAMES,
    HIDDEN,
    MET,
    PROTECTED,
    PUBLIC,
    REASONS,
    UP,
)

UID = "openstack-images-image"

HERE = f"on (cloud) max by (cloud) ({ONE.series('target_info')})"
"""Only the cloud of the image, where the dashboard's variable allows several."""

INFO = ("name", "project_id", "disk_format", "container_format", "visibility")

NOT_SAID = "not said"
"""Of what the API leaves out, or no longer says of an image that is gone."""


SUMMARY = (
    number(
        Frame(
            "State",
            "The worst that is true of the image. No answer: the last poll learned nothing, and "
            "the image was active or on its way when last seen.",
            4,
            4,
        ),
        state(ONE),
        words=STATE_WORDS,
    ),
    number(
        Frame(
            "Last poll",
            "Whether the Image service answered for the image; that it is gone is an answer.",
            4,
            4,
        ),
        ONE.value("poll_success"),
        words=ANSWERED,
    ),
    number(
        Frame(
            "Expectations not met",
            "Expectations of the configuration that the image does not meet; 0 where none is "
            "configured.",
            4,
            4,
        ),
        how_many(ONE, f"{ONE.value('expectation_met', by=['expectation'])} == bool 0"),
        thresholds=none_is_good(),
    ),
    number(
        Frame("Protection", "Whether deletion is refused.", 4, 4, empty=NOT_SAID),
        ONE.value("protected"),
        words=PROTECTED,
    ),
    number(
        Frame("Sharing", "Whether every project sees the image.", 4, 4, empty=NOT_SAID),
        ONE.value("public"),
        words=PUBLIC,
    ),
    number(
        Frame(
            "Changes",
            "Changes seen in the time range: of status, existence, content and attributes.",
            4,
            4,
        ),
        f"round({' + '.join(ONE.changes(kind, '$__range') for kind in CHANGES)})",
    ),
)

HISTORY = (
    bands(
        Frame("What was when", "Each property of the image over time, as last polled.", 24, 9),
        (over_time(state(ONE), "State"), STATE_WORDS),
        (over_time(ONE.value("poll_success"), "Last poll"), ANSWERED),
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
            "Bytes of the image file, and of the disk that is made of it where the API says so.",
            12,
            7,
            units.BytesIEC,
        ),
        over_time(ONE.value("size_bytes"), "file"),
        over_time(ONE.value("virtual_size_bytes"), "virtual disk"),
        named={"file": ("file", BLUE), "virtual disk": ("virtual disk", ORANGE)},
    ),
    lines(
        Frame("Changes over time", "Changes that the exporter saw, by kind.", 12, 7),
        *(
            over_time(f"round({ONE.changes(kind, '$__rate_interval')})", name)
            for kind, name in CHANGES.items()
        ),
        named=CHANGE_NAMES,
        bars=True,
        up_to=1,
    ),
)

FACTS = (
    number(
        Frame("Size", "Bytes of the image file.", 4, 3, units.BytesIEC, NOT_SAID),
        ONE.value("size_bytes"),
    ),
    number(
        Frame(
            "Virtual size",
            "Bytes of the disk that is made of the file.",
            4,
            3,
            units.BytesIEC,
            NOT_SAID,
        ),
        ONE.value("virtual_size_bytes"),
    ),
    number(
        Frame(
            "Least disk",
            "The smallest disk that the image boots on.",
            4,
            3,
            units.BytesIEC,
            NOT_SAID,
        ),
        ONE.value("min_disk_bytes"),
    ),
    number(
        Frame(
            "Least memory",
            "The least memory that the image boots with.",
            3,
            3,
            units.BytesIEC,
            NOT_SAID,
        ),
        ONE.value("min_ram_bytes"),
    ),
    number(
        Frame("Created", "When the image was created.", 3, 3, units.DateTimeFromNow, NOT_SAID),
        f"1000 * {ONE.value('created_timestamp_seconds')}",
    ),
    number(
        Frame("Updated", "When the image was last updated.", 3, 3, units.DateTimeFromNow, NOT_SAID),
        f"1000 * {ONE.value('updated_timestamp_seconds')}",
    ),
    number(
        Frame(
            "Deleted",
            "When the image was deleted; only an administrator is told.",
            3,
            3,
            units.DateTimeFromNow,
            "no, or not said",
        ),
        f"1000 * {ONE.value('deleted_timestamp_seconds')}",
    ),
    listing(
        Frame(
            "Labels",
            "What the image is called, by the configuration (alias) and by the Image service "
            "(name), and what else is stable about it.",
            24,
            4,
        ),
        label("Alias", "image"),
        label("Name", "name"),
        label("ID", "image_id", width=305),
        label("Cloud", "cloud"),
        label("Project", "project_id", width=280),
        label("Disk format", "disk_format"),
        label("Container", "container_format"),
        label("Visibility", "visibility"),
        label("Source", "source"),
        labels_of(ONE.value("target_info", by=["source"])),
        labels_of(ONE.value("info", by=INFO)),
    ),
    listing(
        Frame(
            "Content",
            "Digests of the image's content. Others under the same ID are other content.",
            14,
            5,
            empty="No digest: nothing was uploaded yet, or the image is gone.",
        ),
        label("Algorithm", "algorithm", width=120),
        label("Digest", "digest"),
        labels_of(f"max by (algorithm, digest) ({ONE.series('content_info')})"),
    ),
    listing(
        Frame(
            "Properties",
            "Custom properties of the image, of those that the setting properties names.",
            10,
            5,
            empty="None of the properties that the configuration asks for.",
        ),
        label("Property", "property"),
        label("Value", "value"),
        labels_of(f"max by (property, value) ({ONE.series('property_info')})"),
    ),
)

POLLING = (
    bands(
        Frame("Image service", "Whether the cloud's Image service answered at all.", 24, 3),
        (over_time(f"max by (cloud) ({cloud('api_up')}) and {HERE}", "{{cloud}}"), UP),
    ),
    lines(
        Frame(
            "Failed polls of this cloud, by reason",
            "Polls of any image of the cloud that ended without an answer about it; none is as it "
            "should be.",
            12,
            7,
        ),
        over_time(
            above_zero(
                "sum by (reason) (increase("
                f"{cloud('exporter_poll_failures_total')}[$__rate_interval]) and {HERE})",
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
                "Age of what is known",
                "Time since the last completed cycle of the image's cloud, and the time from one "
                "cycle to the next, above which it should not be for long.",
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
    """The dashboard of one image."""
    return assembled(
        UID,
        "OpenStack images / Image",
        "One image: what it is, what became of it, and how fresh that is.",
        [("", SUMMARY), ("When", HISTORY), ("What it is", FACTS), ("How it is known", POLLING)],
        variables=[image()],
        alerts='cloud=~"$cloud|", image_id=~"$image|"',
    )
