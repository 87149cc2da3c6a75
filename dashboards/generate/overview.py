"""The overview dashboard: problems of all images and clouds."""

from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import units

from dashboards.generate.board import LIMIT, search, shown
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
from dashboards.generate.promql import ALL, CHANGES, SHOWN, cloud, how_many
from dashboards.generate.scraping import LABELS_RENAMED
from dashboards.generate.states import NOT_ACTIVE, state
from dashboards.generate.tables import Column, calm, label, labels_of, listing
from dashboards.generate.words import CHANGE_NAMES, RENAMED, SUCCEEDED, UP, YES_NO

UID = "openstack-images-overview"

TO_IMAGE = (
    f"/d/{IMAGE_UID}/openstack-image?${{datasource:queryparam}}&${{job:queryparam}}"
    "&${instance:queryparam}&var-cloud=${__data.fields.Cloud:percentencode}"
    "&var-find=${__data.fields.ID:percentencode}&var-image=${__data.fields.ID:percentencode}"
    "&${__url_time_range}"
)
"""Link from a row of the table to the dashboard of its image."""

ONLY_SHOWN = "Only the images selected above: those with the worst states that match the search."

SUMMARY = (
    number(
        Frame(
            "API down",
            "Clouds without a successful request to the Image service in the last cycle.",
            3,
            4,
        ),
        f"sum(max by (cloud) ({cloud('api_up')}) == bool 0)",
        thresholds=none_is_good(),
    ),
    number(
        Frame(
            "Gone",
            "Images confirmed to be deleted or no longer visible to the exporter, except those "
            "expected to be gone.",
            3,
            4,
        ),
        ALL.unwanted(f"{ALL.value('exists')} == 0", "exists"),
        thresholds=none_is_good(),
    ),
    number(
        Frame(
            "Not active",
            "Images that exist but cannot be booted from (queued, saving, deactivated, killed), "
            "except those with an expected status.",
            3,
            4,
        ),
        ALL.unwanted(ALL.value("state_info", NOT_ACTIVE), "status"),
        thresholds=none_is_good(),
    ),
    number(
        Frame(
            "Poll failed",
            "Images whose last poll failed. Their panels show the values of the last successful "
            "poll.",
            3,
            4,
        ),
        f"sum({ALL.value('poll_success')} == bool 0)",
        thresholds=none_is_good(),
    ),
    number(
        Frame(
            "Expectations not met",
            "Configured expectations that images do not meet; 0 if none are configured.",
            4,
            4,
        ),
        how_many(ALL, f"{ALL.value('expectation_met', by=['expectation'])} == 0"),
        thresholds=none_is_good(),
    ),
    number(
        Frame("Images", "Configured and discovered images.", 2, 4),
        f"count({ALL.value('target_info')})",
    ),
    number(
        Frame("Unprotected", "Images that are not protected from deletion.", 3, 4),
        how_many(ALL, f"{ALL.value('protected')} == 0"),
    ),
    number(
        Frame("Public", "Images visible to every project of their cloud.", 3, 4),
        how_many(ALL, f"{ALL.value('public')} == 1"),
    ),
)

HISTORY = (
    bands(
        Frame(
            "States of listed images",
            "The worst state of each image. Poll failed: the last poll failed, and the image was "
            f"active or becoming active before. {ONLY_SHOWN}",
            24,
            12,
        ),
        (over_time(state(SHOWN), "{{image}} ({{cloud}})"), STATE_WORDS),
    ),
    lines(
        Frame("Listed images by state", f"Number of images in each state. {ONLY_SHOWN}", 12, 8),
        over_time(f'count_values("state", {state(SHOWN)})', "{{state}}"),
        named={str(value): words for value, words in STATE_WORDS.items()},
        stacked=True,
    ),
    lines(
        Frame(
            "Changes of listed images",
            "Changes of images counted by the exporter, by kind: status, gone or back, content "
            f"under the same ID, other attributes. {ONLY_SHOWN}",
            12,
            8,
        ),
        *(over_time(f"sum({SHOWN.steps(kind)})", name) for kind, name in CHANGES.items()),
        named=CHANGE_NAMES,
        bars=True,
    ),
)

NOT_MET = (
    f"sum by (cloud, image_id, image) (1 - {SHOWN.value('expectation_met', by=['expectation'])})"
    f" or 0 * {SHOWN.value('target_info')}"
)
"""Query for the number of expectations that each image does not meet."""

ALL_CHANGES = " + ".join(SHOWN.changes(kind, "$__range") for kind in CHANGES)

TABLES = (
    listing(
        Frame(
            "Images, worst first",
            "Click an image for its dashboard. Name and values are from the last successful poll. "
            f"{ONLY_SHOWN}",
            24,
            14,
            empty="No image: is the exporter scraped, and do variables and search select one?",
        ),
        Column("State", state(SHOWN), words=calm(STATE_WORDS), filled=True, width=95),
        label("Image", "image", link=TO_IMAGE),
        label("Cloud", "cloud", width=90),
        label("Name", "name"),
        Column("Size", SHOWN.value("size_bytes"), unit=units.BytesIEC, width=90),
        Column("Protected", SHOWN.value("protected"), words=YES_NO, width=100),
        Column("Public", SHOWN.value("public"), words=YES_NO, width=80),
        Column("Last poll", SHOWN.value("poll_success"), words=SUCCEEDED, width=95),
        Column("Not met", NOT_MET, width=90),
        Column("Changes", f"round({ALL_CHANGES})", width=95),
        Column(
            "Updated",
            f"1000 * {SHOWN.value('updated_timestamp_seconds')}",
            unit=units.DateTimeFromNow,
            width=140,
        ),
        labels_of(f"topk by (cloud, image_id, image) (1, {SHOWN.value('info', by=['name'])})"),
        label("ID", "image_id", width=325),
        worst="State",
    ),
    listing(
        Frame(
            "Clouds",
            "State of each cloud; the exporter's dashboard has more. Labels are renamed if the "
            "scrape target has a label cloud, too: panels and alerts then take several clouds for "
            "one. Rename the target's label, or set honor_labels: true.",
            24,
            6,
            empty="No cloud: is the exporter scraped, and do the variables above select it?",
        ),
        Column(
            "API", f"max by (cloud) ({cloud('api_up')})", words=calm(UP), filled=True, width=110
        ),
        label("Cloud", "cloud"),
        Column("Labels", LABELS_RENAMED, words=calm(RENAMED), filled=True, width=110),
        label("API version", "version"),
        Column("Images", f"count by (cloud) ({ALL.value('poll_success')})"),
        Column("Gone", ALL.unwanted(f"{ALL.value('exists')} == 0", "exists", " by (cloud)")),
        Column("Poll failed", f"sum by (cloud) (1 - {ALL.value('poll_success')})"),
        Column(
            "Last cycle",
            f"1000 * max by (cloud) ({cloud('exporter_last_cycle_timestamp_seconds')})",
            unit=units.DateTimeFromNow,
        ),
        labels_of(f"max by (cloud, version) ({cloud('exporter_api_version_info')})"),
    ),
)


def board() -> models.Dashboard:
    """Return the dashboard of all images."""
    return assembled(
        UID,
        "OpenStack images / Overview",
        "All images at a glance: problems, where they are and since when.",
        [("", (*SUMMARY, *TABLES)), ("History", HISTORY)],
        variables=[LIMIT, search("search", "the images to list"), shown()],
    )
