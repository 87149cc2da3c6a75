from dataclasses import fields, replace

import pytest

from exporter.model.changes import (
    CHANGE_KINDS,
    COUNTED_ATTRIBUTES,
    NO_BASELINE,
    NO_CHANGE_COUNTS,
    NO_CHANGE_TIMES,
    Change,
    ChangeBaseline,
    ChangeCounts,
    ChangeTimes,
    find_changes,
)
from exporter.model.image import Image
from tests.support.images import ACTIVE

PUBLIC = replace(ACTIVE, public=True, visibility="public")
OTHER_DIGEST = (("md5", "0" * 32),)
NO_DIGEST = replace(ACTIVE, digests=(), size_bytes=5)
DELETED = replace(ACTIVE, status="deleted", deleted=True, deleted_at=1.0, protected=False)


def baseline_of(image: Image) -> ChangeBaseline:
    """Return the baseline after a first response."""
    return NO_BASELINE.updated(image.exists, image)


ONE_CHANGE = {
    "status": (ACTIVE, replace(ACTIVE, status="deactivated"), ("active", "deactivated")),
    "protected": (ACTIVE, replace(ACTIVE, protected=False), (True, False)),
    "public": (ACTIVE, replace(ACTIVE, public=True), (False, True)),
    "visibility": (
        replace(ACTIVE, visibility="shared"),
        replace(ACTIVE, visibility="private"),
        ("shared", "private"),
    ),
    "name": (ACTIVE, replace(ACTIVE, name="silver"), ("golden", "silver")),
    "content": (
        ACTIVE,
        replace(ACTIVE, digests=OTHER_DIGEST),
        ("md5:826ad52d67c55b1f07cabe148b8146ac", f"md5:{'0' * 32}"),
    ),
}


@pytest.mark.parametrize("what", ONE_CHANGE)
def test_each_kind_of_change_is_found_and_counted(what: str) -> None:
    old, new, (was, now) = ONE_CHANGE[what]
    changes = find_changes(baseline_of(old), True, new)
    assert changes == (Change(what, was, now),)
    assert ChangeCounts(**{what: 1}) == NO_CHANGE_COUNTS.with_changes(changes)


def test_every_counted_attribute_is_tested() -> None:
    """A new counted attribute needs a row in ``ONE_CHANGE``."""
    assert {"status", "content", *COUNTED_ATTRIBUTES} == ONE_CHANGE.keys()


def test_one_response_can_show_several_changes() -> None:
    new = replace(PUBLIC, status="queued", name="silver", protected=False)
    changes = find_changes(baseline_of(replace(ACTIVE, visibility="private")), True, new)
    assert [change.what for change in changes] == [
        "status",
        "protected",
        "public",
        "visibility",
        "name",
    ]
    assert ChangeCounts(
        status=1, protected=1, public=1, visibility=1, name=1
    ) == NO_CHANGE_COUNTS.with_changes(changes)


def test_change_counts_add_up() -> None:
    counts = ChangeCounts(existence=2, name=7).with_changes(
        (Change("name", "a", "b"), Change("status", 1, 2))
    )
    assert counts == ChangeCounts(existence=2, name=8, status=1)


TIMED = {
    "status": Change("status", "active", "queued"),
    "content": Change("content", "md5:a", "md5:b"),
    "gone": Change("existence", "there", "gone"),
    "back": Change("existence", "gone", "there"),
    "public": Change("public", False, True),
    "unprotected": Change("protected", True, False),
}


@pytest.mark.parametrize("kind", TIMED)
def test_time_of_each_kind_of_change_is_kept(kind: str) -> None:
    once = NO_CHANGE_TIMES.with_changes((TIMED[kind],), 5.0)
    assert once == ChangeTimes(**{kind: 5.0})
    assert once.with_changes((TIMED[kind],), 6.0) == ChangeTimes(**{kind: 6.0})
    others = tuple(change for name, change in TIMED.items() if name != kind)
    every = dict.fromkeys(TIMED, 7.0) | {kind: 5.0}
    assert once.with_changes(others, 7.0) == ChangeTimes(**every)


def test_every_kind_of_change_with_a_time_is_tested() -> None:
    names = tuple(field.name for field in fields(ChangeTimes))
    assert names == tuple(TIMED) == CHANGE_KINDS


@pytest.mark.parametrize(
    "change",
    [
        Change("public", True, False),
        Change("protected", False, True),
        Change("visibility", "private", "shared"),
        Change("name", "golden", "silver"),
    ],
    ids=str,
)
def test_other_changes_keep_the_times(change: Change) -> None:
    """The same object is kept, so that memory stays flat."""
    times = ChangeTimes(status=1.0, gone=2.0, public=3.0, unprotected=4.0)
    assert times.with_changes((change,), 5.0) is times


@pytest.mark.parametrize(("exists", "image"), [(True, ACTIVE), (False, None), (False, DELETED)])
def test_first_response_shows_no_change(exists: bool, image: Image | None) -> None:
    assert find_changes(NO_BASELINE, exists, image) == ()


@pytest.mark.parametrize("attribute", COUNTED_ATTRIBUTES)
def test_attribute_that_appears_or_disappears_is_not_a_change(attribute: str) -> None:
    known = replace(ACTIVE, visibility="private")
    unknown = replace(known, **{attribute: None})  # type: ignore[arg-type]  # all may be None
    assert find_changes(baseline_of(known), True, unknown) == ()
    assert find_changes(baseline_of(unknown), True, known) == ()


@pytest.mark.parametrize(
    "new",
    [
        replace(ACTIVE, updated_at=1.0),
        replace(ACTIVE, properties=()),
        replace(ACTIVE, virtual_size_bytes=None),
        replace(ACTIVE, size_bytes=1),
    ],
)
def test_uncounted_attributes_and_size_with_equal_digest_are_not_changes(new: Image) -> None:
    assert find_changes(baseline_of(ACTIVE), True, new) == ()


def test_gone_and_back_are_two_changes_of_existence() -> None:
    gone = find_changes(baseline_of(ACTIVE), False, None)
    assert gone == (Change("existence", "there", "gone"),)
    back = find_changes(baseline_of(ACTIVE).updated(False, None), True, ACTIVE)
    assert back == (Change("existence", "gone", "there"),)


def test_returning_image_is_compared_with_the_one_before_it_was_gone() -> None:
    baseline = baseline_of(ACTIVE).updated(False, None)
    back = find_changes(baseline, True, replace(ACTIVE, status="queued", name="silver"))
    assert [change.what for change in back] == ["existence", "status", "name"]


def test_deletion_changes_only_existence_and_status() -> None:
    """An API clears other attributes on deletion, which is not a change."""
    assert find_changes(baseline_of(ACTIVE), False, DELETED) == (
        Change("existence", "there", "gone"),
        Change("status", "active", "deleted"),
    )


@pytest.mark.parametrize("between", [None, DELETED, replace(ACTIVE, status="deactivated")])
def test_content_is_compared_with_the_last_active_content(between: Image | None) -> None:
    """Deletion, disappearance and deactivation in between make no difference."""
    exists = between is not None and between.exists
    baseline = baseline_of(ACTIVE).updated(exists, between)
    new = replace(ACTIVE, digests=OTHER_DIGEST)
    assert "content" in {change.what for change in find_changes(baseline, True, new)}
    assert "content" not in {change.what for change in find_changes(baseline, True, ACTIVE)}


@pytest.mark.parametrize("status", ["queued", "saving", "deactivated", "killed", "deleted"])
def test_only_active_content_is_compared(status: str) -> None:
    """Digest and size may be declared before there is data."""
    declared = replace(ACTIVE, status=status, digests=OTHER_DIGEST)
    seen = find_changes(baseline_of(ACTIVE), declared.exists, declared)
    assert "content" not in {change.what for change in seen}
    assert baseline_of(declared).active is None


def test_switch_of_api_version_is_not_a_change_of_content() -> None:
    other = replace(ACTIVE, api="v2", digests=OTHER_DIGEST, size_bytes=1)
    assert find_changes(baseline_of(ACTIVE), True, other) == ()
    baseline = baseline_of(ACTIVE).updated(True, other)
    assert baseline.active == other.content


def test_content_without_digest_is_compared_by_size() -> None:
    new = replace(NO_DIGEST, size_bytes=6)
    assert find_changes(baseline_of(NO_DIGEST), True, new) == (
        Change("content", "5 bytes", "6 bytes"),
    )


def test_baseline_keeps_the_same_content_object() -> None:
    """Separate copies of thousands of images would fill the memory over months."""
    baseline = baseline_of(ACTIVE)
    again = baseline.updated(True, replace(ACTIVE, updated_at=1.0))
    assert again.active is baseline.active


BY_V2 = replace(ACTIVE, api="v2", name=" golden ", visibility="private", hidden=False)


@pytest.mark.parametrize(("old", "new"), [(ACTIVE, BY_V2), (BY_V2, ACTIVE)])
def test_switch_of_api_version_is_not_a_change_of_name(old: Image, new: Image) -> None:
    """v1 trims white space around a name that v2 reports, and knows only one visibility."""
    assert find_changes(baseline_of(old), True, new) == ()


def test_switch_of_api_version_does_not_hide_other_changes() -> None:
    new = replace(BY_V2, public=True, visibility="public", protected=False, status="deactivated")
    changes = find_changes(baseline_of(ACTIVE), True, new)
    assert [change.what for change in changes] == ["status", "protected", "public"]


def test_names_are_compared_again_after_a_switch_of_api_version() -> None:
    baseline = baseline_of(ACTIVE).updated(True, BY_V2)
    assert find_changes(baseline, True, replace(BY_V2, name="silver")) == (
        Change("name", " golden ", "silver"),
    )


def test_correction_of_a_wrong_baseline_is_not_a_change() -> None:
    baseline = baseline_of(ACTIVE)
    newer = replace(ACTIVE, protected=not ACTIVE.protected, status="deactivated")
    assert find_changes(baseline, True, newer, corrects=True) == ()
    deleted = replace(newer, deleted=True, status="deleted")
    assert [change.what for change in find_changes(baseline, False, deleted, corrects=True)] == [
        "existence"
    ]
