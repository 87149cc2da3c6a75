"""Labels that the operator gives to images: precedence, the names of all images, and errors."""

from pathlib import Path

import pytest

from exporter.config import SettingsError, describe, reference, resolved_selection
from exporter.config.labels import EXPORTED, RESERVED
from exporter.metrics.cloud_metrics import CLOUD_FAMILIES, CLOUD_LABELS
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.image_metrics import IMAGE_FAMILIES, IMAGE_LABELS
from exporter.metrics.selection.alert_rules import affected_alerts
from tests.config.error_lines import cloud, discover, errors_of_file, image
from tests.config.reading import MINIMAL, Read, clouds_of

SETTINGS = """\
labels: {team: platform, tier: gold}
clouds:
  - name: a
    labels: {tier: silver}
    images:
      - plain
      - {id: own, labels: {team: web, owner_mail: web@example.com}}
      - {id: without, labels: {team: null}}
    discover:
      - {name: x, labels: {tier: bronze}}
  - name: b
    images: [other]
"""


def test_nearer_label_wins_key_by_key_and_all_images_have_the_same_names(read: Read) -> None:
    a, b = clouds_of(SETTINGS, read)
    labels = {item.image_id: dict(item.operator_labels) for item in (*a.images, *b.images)}
    assert labels == {
        "plain": {"owner_mail": "", "team": "platform", "tier": "silver"},
        "own": {"owner_mail": "web@example.com", "team": "web", "tier": "silver"},
        "without": {"owner_mail": "", "team": "", "tier": "silver"},
        "other": {"owner_mail": "", "team": "platform", "tier": "gold"},
    }
    assert dict(a.discover[0].operator_labels) == {
        "owner_mail": "",
        "team": "platform",
        "tier": "bronze",
    }
    assert [name for name, _ in a.images[0].operator_labels] == ["owner_mail", "team", "tier"]


def test_images_with_equal_labels_share_one_object(read: Read) -> None:
    (resolved,) = clouds_of("labels: {team: a}\nclouds: [{name: a, images: [b, c]}]", read)
    first, second = resolved.images
    assert first.operator_labels is second.operator_labels


def test_images_have_no_labels_by_default(read: Read) -> None:
    assert clouds_of(MINIMAL, read)[0].images[0].operator_labels == ()


@pytest.mark.parametrize(
    ("content", "is_used"),
    [
        (MINIMAL, False),
        (f"{MINIMAL}labels: {{team: web}}", True),
        (discover("{name: x, labels: {team: web}}"), True),
    ],
)
def test_alerts_miss_the_metric_of_labels_only_if_there_are_labels(
    content: str, is_used: bool, read: Read
) -> None:
    for glob in ("openstack_image_labels", "*"):
        selection = resolved_selection(read(content, f"--metrics.exclude={glob}").settings)
        missing = {name for alert in affected_alerts(selection) for name in alert.missing}
        assert ("openstack_image_labels" in missing) is is_used
        assert ("openstack_image_state_info" in missing) is (glob == "*")


def test_labels_are_accepted_in_the_file_only(read: Read) -> None:
    (row,) = [row for row in reference() if row.key == "labels"]
    assert (row.flag, row.variable) == ("—", "—")
    with pytest.raises(SettingsError, match="IMAGE_EXPORTER_LABELS: unknown"):
        read(MINIMAL, IMAGE_EXPORTER_LABELS='{"team": "a"}')


def test_configuration_in_force_shows_labels_where_they_are_written(read: Read) -> None:
    invocation = read(SETTINGS)
    text = describe(invocation.settings, invocation.sources)
    assert 'labels: {"team": "platform", "tier": "gold"}  # ' in text
    assert '    labels: {"tier": "silver"}\n' in text
    assert "    labels: null  # default: those of all clouds\n" in text
    assert '{"id": "without", "labels": {"team": null}}' in text
    without = read(MINIMAL)
    assert "labels: null  # default: none\n" in describe(without.settings, without.sources)


NAME = "accepted: letters, digits and '_', at most 255, without a digit at the start"
CLASH = "is a label of the exporter, of Prometheus or of alerts; accepted: another name"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (
            image("{id: b, labels: [x]}"),
            "clouds[0].images[0].labels: a list is not a mapping; "
            "accepted: a mapping of label names to values",
        ),
        (
            discover("{name: x, labels: {team-name: x}}"),
            f"clouds[0].discover[0].labels: team-name is not a label name; {NAME}",
        ),
        (cloud("labels: {1: x}"), f"clouds[0].labels: 1 is not a label name; {NAME}"),
        (cloud('labels: {"é": x}'), f"clouds[0].labels: é is not a label name; {NAME}"),
        (
            f"{MINIMAL}labels: {{{'x' * 256}: y}}",
            f"labels: {'x' * 77}... is not a label name; {NAME}",
        ),
        (
            f"{MINIMAL}labels: {{__team: x}}",
            "labels: __team starts with '__', which Prometheus reserves; accepted: another name",
        ),
        (f"{MINIMAL}labels: {{image_id: x}}", f"labels: image_id {CLASH}"),
        (f"{MINIMAL}labels: {{exported_team: x}}", f"labels: exported_team {CLASH}"),
        (
            f"{MINIMAL}labels: {{tier: 1}}",
            "labels: tier: 1 must be a string; quote it",
        ),
        (
            f'{MINIMAL}labels: {{team: ""}}',
            "labels: team: '' is not accepted; accepted: 1 to 255 printable characters",
        ),
    ],
)
def test_error_of_labels(content: str, error: str, tmp_path: Path) -> None:
    assert errors_of_file(tmp_path / "exporter.yml", content) == [error]


def test_all_errors_of_labels_are_reported_at_once(tmp_path: Path) -> None:
    content = f"labels: {{job: 1, team: web, 9: x}}\n{image('{id: b, labels: {tier: [], __a: b}}')}"
    assert errors_of_file(tmp_path / "exporter.yml", content) == [
        f"labels: job {CLASH}",
        "labels: job: 1 must be a string; quote it",
        f"labels: 9 is not a label name; {NAME}",
        "clouds[0].images[0].labels: tier: a list is not a string; "
        "accepted: 1 to 255 printable characters",
        "clouds[0].images[0].labels: __a starts with '__', which Prometheus reserves; "
        "accepted: another name",
    ]


def test_every_label_of_the_exporter_is_reserved() -> None:
    exporter_metrics = ExporterMetrics("0")
    exporter_metrics.add_cloud("a")
    metrics = list(exporter_metrics.registry.collect())
    own = [metric for metric in metrics if metric.name.startswith("openstack_")]
    used = {label for metric in own for sample in metric.samples for label in sample.labels}
    used.update(IMAGE_LABELS, CLOUD_LABELS)
    used.update(label for family in IMAGE_FAMILIES for label in family.labels)
    used.update(label for family in CLOUD_FAMILIES for label in family.labels)
    assert used - RESERVED == set()
    assert EXPORTED not in RESERVED
