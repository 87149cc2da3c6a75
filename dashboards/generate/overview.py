"""Is anything wrong with any image, and where?"""

from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import units

from dashboards.generate.board import board as assembled
from dashboards.generate.image import UID as IMAGE_UID
from dashboards.generate.panels import (
    STATE_WORDS,
    Frame,
    bands,
    lines,
    none_is_good,
    number,
    over_time,
)
from dashboards.generate.promql import ALL, CHANGES, cloud, how_many
from dashboards.generate.states import state
from dashboards.generate.tables import Column, calm, label, labels_of, listing
from dashboards.generate.words import ANSWERED, CHANGE_NAMES, UP, YES_NO

UID = "openstack-images-overview"

TO_IMAGE = (
    f"/d/{IMAGE_UID}/openstack-image?${{datasource:queryparam}}&${{job:queryparam}}"
    "&${instance:queryparam}&var-cloud=${__data.fields.Cloud:percentencode}"
    "&var-image=${__data.fields.ID:percentencode}&${__url_time_range}"
)
"""From a row of the table to the dashboard of its image."""

ACTIVE = 'status="active"'

SUMMARY = (
    number(
        Frame("API down", "Clouds whose Image service answered nothing in the last cycle.", 3, 4),
        f"sum(max by (cloud) ({cloud('api_up')}) == bool 0)",
        thresholds=none_is_good(),
    ),
    number(
        Frame(
            "Gone",
            "Images that were proved to be deleted or no longer visible to the exporter, and not "
            "expected to be.",
            3,
            4,
        ),
        ALL.unwanted(f"{ALL.value('exists')} == bool 0", "exists"),
        thresholds=none_is_good(),
    ),
    number(
        Frame(
            "Not active",
            "Images that exist but cannot be booted from: queued, saving, deactivated, killed; "
            "without those whose status is expected.",
            3,
            4,
        ),
        ALL.unwanted(
            f"({ALL.value('status', ACTIVE)} == bool 0) * {ALL.value('exists')}", "status"
        ),
        thresholds=none_is_good(),
    ),
    number(
        Frame(
            "No answer",
            "Images about which the last poll learned nothing. What is shown of them is what was "
            "known before.",
            3,
            4,
        ),
        f"sum({ALL.value('poll_success')} == bool 0)",
        thresholds=none_is_good(),
    ),
    number(
        Frame(
            "Expectations not met",
            "Expectations of the configuration that images do not meet; 0 where none is "
            "configured.",
            4,
            4,
        ),
        how_many(ALL, f"{ALL.value('expectation_met', by=['expectation'])} == bool 0"),
        thresholds=none_is_good(),
    ),
    number(
        Frame("Images", "Images that are watched.", 2, 4),
        f"count({ALL.value('target_info')})",
    ),
    number(
        Frame("Unprotected", "Images that anyone with the right to may delete.", 3, 4),
        how_many(ALL, f"{ALL.value('protected')} == bool 0"),
    ),
    number(
        Frame("Public", "Images that every project of their cloud sees.", 3, 4),
        how_many(ALL, f"{ALL.value('public')} == bool 1"),
    ),
)

HISTORY = (
    bands(
        Frame(
            "State of each image",
            "The worst that is true of each image. No answer: the last poll learned nothing, and "
            "the image was active or on its way when last seen.",
            24,
            12,
        ),
        (over_time(state(ALL), "{{image}} ({{cloud}})"), STATE_WORDS),
    ),
    lines(
        Frame("Images by state", "How many images were in each state.", 12, 8),
        over_time(f'count_values("state", {state(ALL)})', "{{state}}"),
        named={str(value): words for value, words in STATE_WORDS.items()},
        stacked=True,
    ),
    lines(
        Frame(
            "Changes over time",
            "Changes of images that the exporter saw, by kind: status, gone or back, content "
            "under the same ID, other attributes.",
            12,
            8,
        ),
        *(
            over_time(f"sum(round({ALL.changes(kind, '$__rate_interval')}))", name)
            for kind, name in CHANGES.items()
        ),
        named=CHANGE_NAMES,
        bars=True,
    ),
)

NOT_MET = (
    f"sum by (cloud, image_id, image) (1 - {ALL.value('expectation_met', by=['expectation'])})"
    f" or 0 * {ALL.value('target_info')}"
)
"""How many expectations each image does not meet, 0 where none is configured."""

ALL_CHANGES = " + ".join(ALL.changes(kind, "$__range") for kind in CHANGES)

PLACES = (
    listing(
        Frame(
            "All images",
            "Every image, the worst state first; a click on an image shows all about it. The name "
            "and the values are those of the last answer.",
            24,
            14,
            empty="No image is watched by the chosen exporters.",
        ),
        Column("State", state(ALL), words=calm(STATE_WORDS), filled=True, width=110),
        label("Image", "image", link=TO_IMAGE),
        label("Cloud", "cloud", width=100),
        label("Name", "name"),
        Column("Size", ALL.value("size_bytes"), unit=units.BytesIEC, width=100),
        Column("Protected", ALL.value("protected"), words=YES_NO, width=100),
        Column("Public", ALL.value("public"), words=YES_NO, width=80),
        Column("Last poll", ALL.value("poll_success"), words=ANSWERED, width=95),
        Column("Not met", NOT_MET, width=90),
        Column("Changes", f"round({ALL_CHANGES})", width=90),
        Column(
            "Updated",
            f"1000 * {ALL.value('updated_timestamp_seconds')}",
            unit=units.DateTimeFromNow,
            width=130,
        ),
        labels_of(f"topk by (cloud, image_id, image) (1, {ALL.value('info', by=['name'])})"),
        label("ID", "image_id", width=300),
        worst="State",
    ),
    listing(
        Frame(
            "Clouds",
            "What the exporter knows of each cloud; the dashboard of the exporter has the rest.",
            24,
            6,
            empty="No cloud is polled by the chosen exporters.",
        ),
        Column(
            "API", f"max by (cloud) ({cloud('api_up')})", words=calm(UP), filled=True, width=110
        ),
        label("Cloud", "cloud"),
        label("API version", "version"),
        Column("Images", f"count by (cloud) ({ALL.value('poll_success')})"),
        Column("Gone", ALL.unwanted(f"1 - {ALL.value('exists')}", "exists", " by (cloud)")),
        Column("No answer", f"sum by (cloud) (1 - {ALL.value('poll_success')})"),
        Column(
            "Last cycle",
            f"1000 * max by (cloud) ({cloud('exporter_last_cycle_timestamp_seconds')})",
            unit=units.DateTimeFromNow,
        ),
        labels_of(f"max by (cloud, version) ({cloud('exporter_api_version_info')})"),
    ),
)


def board() -> models.Dashboard:
    """The dashboard of all images."""
    return assembled(
        UID,
        "OpenStack images / Overview",
        "All watched images at a glance: what is wrong, where, and since when.",
        [("", (*SUMMARY, *PLACES)), ("When", HISTORY)],
    )
