import re
from dataclasses import fields, replace
from math import inf

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exporter.metrics.family import Family
from exporter.metrics.image_metrics import IMAGE_FAMILIES, IMAGE_LABELS, ImageFamily
from exporter.metrics.images.view import ImageView, view_of
from exporter.model.changes import (
    NO_CHANGE_COUNTS,
    NO_CHANGE_TIMES,
    ChangeCounts,
    ChangeTimes,
)
from exporter.model.image import STATUSES, Image
from exporter.model.observation import NEVER_POLLED, Observation
from exporter.model.outcome import Failed, Found
from exporter.text import escape, shorten_distinctly
from tests.support.examples import examples
from tests.support.images import ACTIVE, COMPLETE, ID, MAX_STALE, START, TARGET, later

FOUND = NEVER_POLLED.with_outcome(Found(ACTIVE), START, MAX_STALE)
EXPECTING = replace(TARGET, expect=(("status", ("active",)), ("max_age", 1.0)))
LABELLED = replace(EXPECTING, operator_labels=(("team", "web"),))
NAMES = [family.name for family in IMAGE_FAMILIES]

LAST_CHANGE = "openstack_image_last_change_timestamp_seconds"

ONE_CHANGE = tuple(replace(NO_CHANGE_COUNTS, **{field.name: 1}) for field in fields(ChangeCounts))

ONE_TIME = tuple(ChangeTimes(**{field.name: 5.0}) for field in fields(ChangeTimes))

HOSTILE = 'HOSTILE\n"\\{}\u202e'


def with_label_values(text: str) -> Image:
    """Return an image with this text in every attribute that becomes a label value."""
    return replace(
        ACTIVE,
        name=text,
        project_id=text,
        disk_format=text,
        container_format=text,
        visibility=text,
        digests=((text, text),),
        properties=(("os_version", text),),
    )


POISONED = replace(
    with_label_values(HOSTILE), id=HOSTILE, status=HOSTILE, properties=((HOSTILE, HOSTILE),)
)

Series = dict[tuple[str, ...], float]


def series(observation: Observation, seconds: float = 0.0) -> Series:
    """Return every sample of a target with expectations, by name and the family's own labels."""
    view = view_of(EXPECTING, observation, later(seconds))
    return {
        (family.name, *labels): value
        for family in IMAGE_FAMILIES
        for labels, value in family.samples(view).items()
    }


LIFETIME_PROPERTIES = (
    ("image_build_date", "2025-06-11"),
    ("provided_until", "2027-04-30"),
    ("replace_frequency", "monthly"),
    ("uuid_validity", "2028-04-30"),
)


@pytest.mark.parametrize("family", IMAGE_FAMILIES, ids=NAMES)
def test_names_follow_the_conventions(family: Family[ImageView]) -> None:
    assert re.fullmatch(r"openstack_image_[a-z]+(_[a-z]+)*", family.name)
    assert family.name.endswith("_total") == (family.kind == "counter")
    assert not re.search(r"_(gib|mib|kilobytes|megabytes|gb|mb|minutes|ms|count)\b", family.name)
    assert family.kind in {"gauge", "counter"}
    assert len({*IMAGE_LABELS, *family.labels}) == len(IMAGE_LABELS) + len(family.labels)


@pytest.mark.parametrize("family", IMAGE_FAMILIES, ids=NAMES)
def test_help_says_when_values_were_measured(family: Family[ImageView]) -> None:
    assert re.fullmatch(r"[A-Z][^\n]+\.", family.help)
    subjects = {
        "openstack_image_target_info": "Watched image",
        "openstack_image_labels": "Watched image",
        LAST_CHANGE: "Time of the poll",
    }
    if family.kind == "gauge":
        assert subjects.get(family.name, "as last polled") in family.help
    else:
        # With a state file, counters continue after a restart.
        assert "since" not in family.help


def test_names_are_unique_without_the_suffix_of_counters() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert not {name.removesuffix("_total") for name in NAMES if name.endswith("_total")} & set(
        NAMES
    )


@pytest.mark.parametrize("family", IMAGE_FAMILIES, ids=NAMES)
def test_every_sample_has_a_value_for_each_label(family: Family[ImageView]) -> None:
    for image in (ACTIVE, POISONED, Image("v1", ID, "active")):
        view = view_of(EXPECTING, NEVER_POLLED.with_outcome(Found(image), START, MAX_STALE), START)
        for labels, value in family.samples(view).items():
            assert len(labels) == len(family.labels)
            assert all(type(label) is str for label in labels)
            assert type(value) is float


@pytest.mark.parametrize("family", IMAGE_FAMILIES, ids=NAMES)
def test_every_family_has_samples_for_a_fully_known_image(family: ImageFamily) -> None:
    """Times of deletion and changes are the exceptions. Unknown attributes are absent."""
    observation = NEVER_POLLED.with_outcome(Found(COMPLETE), START, MAX_STALE)
    view = view_of(LABELLED, observation, START)
    shown = family.for_views([view]).samples(view)
    optional = {
        "openstack_image_property_info",
        "openstack_image_content_info",
        "openstack_image_hidden",
    }
    of_events = {"openstack_image_deleted_timestamp_seconds", LAST_CHANGE}
    assert bool(shown) is (family.name not in of_events)
    empty = NEVER_POLLED.with_outcome(
        Found(replace(ACTIVE, digests=(), properties=())), START, MAX_STALE
    )
    if family.name in optional:
        assert not family.samples(view_of(EXPECTING, empty, START))


def test_text_of_the_api_is_a_label_only_of_info_metrics() -> None:
    found = NEVER_POLLED.with_outcome(Found(POISONED), START, MAX_STALE)
    for name, *labels in series(found):
        if escape(HOSTILE) in labels:
            assert name.endswith("_info")
    assert series(found)["openstack_image_status", "unknown"] == 1.0
    assert series(found)["openstack_image_info", *[escape(HOSTILE)] * 5] == 1.0


@pytest.mark.parametrize("status", [*STATUSES, "unknown", "ACTIVE", "", HOSTILE])
def test_exactly_one_status_is_1(status: str) -> None:
    existing = replace(ACTIVE, status=status)
    shown = series(NEVER_POLLED.with_outcome(Found(existing), START, MAX_STALE))
    statuses = {key[1]: value for key, value in shown.items() if key[0] == "openstack_image_status"}
    the_one = status if status in STATUSES else "unknown"
    assert statuses == {name: float(name == the_one) for name in (*STATUSES, "unknown")}


NUMBERS = {
    "openstack_image_size_bytes": "size_bytes",
    "openstack_image_virtual_size_bytes": "virtual_size_bytes",
    "openstack_image_protected": "protected",
    "openstack_image_public": "public",
    "openstack_image_hidden": "hidden",
    "openstack_image_min_disk_bytes": "min_disk_bytes",
    "openstack_image_min_ram_bytes": "min_ram_bytes",
    "openstack_image_created_timestamp_seconds": "created_at",
    "openstack_image_updated_timestamp_seconds": "updated_at",
}


@pytest.mark.parametrize(("name", "attribute"), NUMBERS.items())
@pytest.mark.parametrize("value", [None, 0, 1, 2**62])
def test_unknown_number_is_absent_and_not_0(name: str, attribute: str, value: int | None) -> None:
    image = replace(ACTIVE, **{attribute: value})  # type: ignore[arg-type]  # a number or None
    family = next(family for family in IMAGE_FAMILIES if family.name == name)
    view = view_of(TARGET, NEVER_POLLED.with_outcome(Found(image), START, MAX_STALE), START)
    assert family.samples(view) == ({} if value is None else {(): value})


def test_only_a_deleted_image_has_a_deletion_time() -> None:
    """A tenant can forge the header of an existing image."""
    existing = replace(ACTIVE, deleted_at=5.0)
    name = "openstack_image_deleted_timestamp_seconds"
    assert (name,) not in series(NEVER_POLLED.with_outcome(Found(existing), START, MAX_STALE))
    deleted = NEVER_POLLED.with_outcome(Found(replace(existing, deleted=True)), START, MAX_STALE)
    assert series(deleted)[name,] == 5.0
    assert not [key for key in series(deleted) if key[0] == "openstack_image_info"]


def test_time_of_a_change_exists_after_the_first_such_change() -> None:
    """Rules about changes read few series then."""
    assert not [key for key in series(FOUND) if key[0] == LAST_CHANGE]
    deactivated = replace(ACTIVE, status="deactivated")
    changed = FOUND.with_outcome(Found(deactivated), later(60), MAX_STALE)
    public = replace(deactivated, public=True)
    changed = changed.with_outcome(Found(public), later(120), MAX_STALE)
    times = {key[1]: time for key, time in series(changed, 120).items() if key[0] == LAST_CHANGE}
    assert times == {"status": later(60).wall, "public": later(120).wall}


def test_poll_without_a_change_changes_no_series() -> None:
    """A scrape can therefore send the text that was rendered before."""
    again = FOUND.with_outcome(Found(replace(ACTIVE), "req-another"), later(60), MAX_STALE)
    assert series(again, 60) == series(FOUND, 60)
    failed = FOUND.with_outcome(Failed("timeout"), later(60), MAX_STALE)
    poll_success = {("openstack_image_poll_success",): 0.0}
    assert series(failed, 60) == series(FOUND, 60) | poll_success


OTHERWISE: dict[str, object] = dict.fromkeys(field.name for field in fields(Image)) | {
    "digests": (),
    "properties": (),
    "status": "queued",
    "stores": (),
    "tags": (),
    "visibility": "public",
}
NOT_EXPORTED = {"api", "id", "deleted", "deleted_at", "tags", "stores", "requested_properties"}
"""Attributes that only decide about existence, belong to deleted images, or have no metric."""


@pytest.mark.parametrize("attribute", sorted(OTHERWISE.keys() - NOT_EXPORTED))
def test_every_attribute_of_an_image_is_exported(attribute: str) -> None:
    """An attribute without a metric needs an entry in ``NOT_EXPORTED``."""
    other = replace(COMPLETE, **{attribute: OTHERWISE[attribute]})  # type: ignore[arg-type]  # fitting
    shown = [
        series(NEVER_POLLED.with_outcome(Found(image), START, MAX_STALE))
        for image in (COMPLETE, other)
    ]
    assert shown[0] != shown[1]


@pytest.mark.parametrize(
    ("selected", "exported"),
    [
        ({"image_build_date"}, {"built"}),
        ({"image_build_date", "replace_frequency"}, {"built", "replacement_due"}),
        ({"replace_frequency"}, set()),
        ({"provided_until", "uuid_validity"}, {"provided_until", "uuid_valid_until"}),
        (set(), set()),
    ],
)
def test_lifetimes_are_exported_with_their_properties(
    selected: set[str], exported: set[str]
) -> None:
    """A property that is only expected is not exported."""
    target = replace(TARGET, property_names=frozenset(selected))
    observation = NEVER_POLLED.with_outcome(
        Found(replace(ACTIVE, properties=LIFETIME_PROPERTIES)), START, MAX_STALE
    )
    view = view_of(target, observation, START)
    found = {family.name for family in IMAGE_FAMILIES for _ in family.samples(view)}
    names = {f"openstack_image_{name}_timestamp_seconds" for name in exported}
    others = {f"openstack_image_{name}_timestamp_seconds" for name in ("created", "updated")}
    assert {name for name in found if name.endswith("_timestamp_seconds")} == names | others


def test_values_of_the_api_are_cut_at_the_limit_of_the_target() -> None:
    """Values as long as the limit are whole, and so are those that the settings contain."""
    limited = replace(TARGET, alias="x" * 255, label_value_limit=64)
    image = replace(
        ACTIVE,
        name="x" * 65,
        project_id="x" * 64,
        disk_format="x" * 65,
        container_format="x" * 65,
        visibility="x" * 65,
        digests=(("sha512", "x" * 128),),
        properties=(("x" * 255, "x" * 2000), ("os_version", "x" * 64)),
    )
    view = view_of(limited, NEVER_POLLED.with_outcome(Found(image), START, MAX_STALE), START)
    labels = [
        value for family in IMAGE_FAMILIES for sample in family.samples(view) for value in sample
    ]
    assert sorted({len(value.encode()) for value in labels if "x" * 40 in value}) == [64, 255]
    assert sum("…" in value for value in labels) == 7
    assert view.labels == limited.labels


@pytest.mark.parametrize("text", ["x" * 80, "ü" * 40], ids=["ASCII", "two bytes each"])
@pytest.mark.parametrize("limits", [(1024, 64), (64, 1024), (80, 79)])
def test_values_of_images_that_are_rendered_together_are_cut_at_the_limit_of_each(
    text: str, limits: tuple[int, ...]
) -> None:
    observation = NEVER_POLLED.with_outcome(Found(with_label_values(text)), START, MAX_STALE)
    views = [
        view_of(replace(TARGET, label_value_limit=limit), observation, START) for limit in limits
    ]
    for family in IMAGE_FAMILIES:
        if family.rows:
            rows = [list(row) for row in family.rows(views)]
            assert rows == [list(family.samples(view)) for view in views]
            expected = [{shorten_distinctly(text, limit)} for limit in limits]
            assert [{labels[-1] for labels in row} for row in rows] == expected


@examples(50)
@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_values_of_the_api_are_printable_and_otherwise_unchanged(text: str) -> None:
    image = with_label_values(text)
    target = replace(TARGET, property_names=frozenset({"os_version"}))
    view = view_of(target, NEVER_POLLED.with_outcome(Found(image), START, MAX_STALE), START)
    families = {family.name: family for family in IMAGE_FAMILIES}
    ours = {"os_version", "active", "false", "true", str(ACTIVE.size_bytes)}
    assume(text not in ours)
    values = [
        value
        for name in ("info", "state_info", "content_info", "property_info")
        for sample in families[f"openstack_image_{name}"].samples(view)
        for value in sample
        if value not in ours
    ]
    assert len(values) == 10
    assert set(values) == {text if text.isprintable() else escape(text)}
    assert values[0].isprintable()


OBSERVATIONS = st.builds(
    Observation,
    exists=st.sampled_from((None, True, False)),
    image=st.sampled_from((None, ACTIVE, COMPLETE, POISONED, ACTIVE.tombstone())),
    poll_success=st.booleans(),
    change_counts=st.sampled_from((NO_CHANGE_COUNTS, *ONE_CHANGE)),
    change_times=st.sampled_from((NO_CHANGE_TIMES, *ONE_TIME)),
)
VIEWS = st.builds(
    view_of,
    st.sampled_from((EXPECTING, replace(EXPECTING, source="discovered", expect=()))),
    OBSERVATIONS,
    st.just(START),
)


@pytest.mark.parametrize("family", IMAGE_FAMILIES, ids=NAMES)
@given(before=OBSERVATIONS, after=OBSERVATIONS)
def test_samples_depend_only_on_the_aspects_of_their_family(
    family: ImageFamily, before: Observation, after: Observation
) -> None:
    """Samples are rendered again only if these aspects change."""
    if after.changed_aspects(before, -inf).isdisjoint(family.aspects):
        assert family.samples(view_of(EXPECTING, after, START)) == family.samples(
            view_of(EXPECTING, before, START)
        )


@pytest.mark.parametrize("family", [family for family in IMAGE_FAMILIES if family.key])
@given(one=VIEWS, other=VIEWS)
def test_images_with_equal_keys_have_equal_samples(
    family: ImageFamily, one: ImageView, other: ImageView
) -> None:
    """The text of one is used for the other."""
    assert family.key
    if family.key(one) == family.key(other):
        assert [*family.samples(one).items()] == [*family.samples(other).items()]


@pytest.mark.parametrize("family", IMAGE_FAMILIES, ids=NAMES)
@given(view=VIEWS)
def test_families_that_need_an_image_have_no_samples_without_one(
    family: ImageFamily, view: ImageView
) -> None:
    if family.needs_image and view.image is None:
        assert not family.samples(view)
