from dataclasses import replace

import pytest

from exporter.model.changes import (
    COUNTED_ATTRIBUTES,
    NO_BASELINE,
    NO_CHANGE_COUNTS,
    Change,
    ChangeBaseline,
    ChangeCounts,
    find_changes,
)
from exporter.model.image import Image
from tests.support.images import ACTIVE

PUBLIC = replace(ACTIVE, public=True, visibility="public")
OTHER_DIGEST = (("md5", "0" * 32),)
NO_DIGEST = replace(ACTIVE, digests=(), size_bytes=5)
DELETED = replace(ACTIVE, status="deleted", deleted=True, deleted_at=1.0, protected=False)


def remembering(image: Image) -> ChangeBaseline:
    """The memory after the first answer."""
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
def test_one_change_is_seen_and_counted(what: str) -> None:
    """Each attribute that is watched tells what it was and what it is, and counts one."""
    old, new, (was, now) = ONE_CHANGE[what]
    news = find_changes(remembering(old), True, new)
    assert news == (Change(what, was, now),)
    assert ChangeCounts(**{what: 1}) == NO_CHANGE_COUNTS.with_changes(news)


def test_every_counted_attribute_is_tested() -> None:
    """A new attribute needs a change here."""
    assert {"status", "content", *COUNTED_ATTRIBUTES} == ONE_CHANGE.keys()


def test_several_changes_are_told_one_by_one() -> None:
    """One answer may change a number of things."""
    new = replace(PUBLIC, status="queued", name="silver", protected=False)
    told = find_changes(remembering(replace(ACTIVE, visibility="private")), True, new)
    assert [change.what for change in told] == [
        "status",
        "protected",
        "public",
        "visibility",
        "name",
    ]
    assert ChangeCounts(
        status=1, protected=1, public=1, visibility=1, name=1
    ) == NO_CHANGE_COUNTS.with_changes(told)


def test_counts_add_up() -> None:
    """Each change is added to what was counted before."""
    counts = ChangeCounts(existence=2, name=7).with_changes(
        (Change("name", "a", "b"), Change("status", 1, 2))
    )
    assert counts == ChangeCounts(existence=2, name=8, status=1)


@pytest.mark.parametrize(("exists", "image"), [(True, ACTIVE), (False, None), (False, DELETED)])
def test_a_first_answer_changes_nothing(exists: bool, image: Image | None) -> None:
    """There is nothing that it could be compared with."""
    assert find_changes(NO_BASELINE, exists, image) == ()


@pytest.mark.parametrize("attribute", COUNTED_ATTRIBUTES)
def test_what_an_answer_does_not_say_has_not_changed(attribute: str) -> None:
    """An attribute that comes or goes has no other value."""
    known = replace(ACTIVE, visibility="private")
    unknown = replace(known, **{attribute: None})  # type: ignore[arg-type]  # all may be None
    assert find_changes(remembering(known), True, unknown) == ()
    assert find_changes(remembering(unknown), True, known) == ()


@pytest.mark.parametrize(
    "new",
    [
        replace(ACTIVE, updated_at=1.0),
        replace(ACTIVE, properties=()),
        replace(ACTIVE, virtual_size_bytes=None),
        replace(ACTIVE, size_bytes=1),
    ],
)
def test_what_is_not_watched_is_no_change(new: Image) -> None:
    """Properties and times may move, and a size where the digest says that it is the same."""
    assert find_changes(remembering(ACTIVE), True, new) == ()


def test_an_image_that_goes_and_comes_back_changes_twice() -> None:
    """Gone and back are one change of existence each."""
    gone = find_changes(remembering(ACTIVE), False, None)
    assert gone == (Change("existence", "there", "gone"),)
    back = find_changes(remembering(ACTIVE).updated(False, None), True, ACTIVE)
    assert back == (Change("existence", "gone", "there"),)


def test_an_image_that_comes_back_another_is_compared_with_what_it_was() -> None:
    """The memory outlives Gone."""
    memory = remembering(ACTIVE).updated(False, None)
    back = find_changes(memory, True, replace(ACTIVE, status="queued", name="silver"))
    assert [change.what for change in back] == ["existence", "status", "name"]


def test_of_a_deleted_image_only_existence_and_status_change() -> None:
    """What deletion does to the other attributes is nobody's change."""
    assert find_changes(remembering(ACTIVE), False, DELETED) == (
        Change("existence", "there", "gone"),
        Change("status", "active", "deleted"),
    )


@pytest.mark.parametrize("between", [None, DELETED, replace(ACTIVE, status="deactivated")])
def test_content_is_compared_with_the_last_active_one(between: Image | None) -> None:
    """Going, deletion and deactivation lie between two active answers as if they were not."""
    exists = between is not None and between.exists
    memory = remembering(ACTIVE).updated(exists, between)
    new = replace(ACTIVE, digests=OTHER_DIGEST)
    assert "content" in {change.what for change in find_changes(memory, True, new)}
    assert "content" not in {change.what for change in find_changes(memory, True, ACTIVE)}


@pytest.mark.parametrize("status", ["queued", "saving", "deactivated", "killed", "deleted"])
def test_only_active_content_is_compared(status: str) -> None:
    """Digest and size may be declared before there is data."""
    declared = replace(ACTIVE, status=status, digests=OTHER_DIGEST)
    seen = find_changes(remembering(ACTIVE), declared.exists, declared)
    assert "content" not in {change.what for change in seen}
    assert remembering(declared).active is None


def test_another_api_describes_the_same_content() -> None:
    """Answers of v1 and v2 are not compared, each begins anew."""
    other = replace(ACTIVE, api="v2", digests=OTHER_DIGEST, size_bytes=1)
    assert find_changes(remembering(ACTIVE), True, other) == ()
    memory = remembering(ACTIVE).updated(True, other)
    assert memory.active == other.content


def test_content_without_digest_is_told_by_its_size() -> None:
    """Where there is no digest, sizes above 0 tell."""
    new = replace(NO_DIGEST, size_bytes=6)
    assert find_changes(remembering(NO_DIGEST), True, new) == (
        Change("content", "5 bytes", "6 bytes"),
    )


def test_a_memory_of_the_same_content_is_the_same_object() -> None:
    """Thousands of images polled for months keep one copy each."""
    memory = remembering(ACTIVE)
    again = memory.updated(True, replace(ACTIVE, updated_at=1.0))
    assert again.active is memory.active


BY_V2 = replace(ACTIVE, api="v2", name=" golden ", visibility="private", hidden=False)


@pytest.mark.parametrize(("old", "new"), [(ACTIVE, BY_V2), (BY_V2, ACTIVE)])
def test_another_api_changes_no_name(old: Image, new: Image) -> None:
    """v1 loses white space around a name that v2 gives, and knows one visibility only."""
    assert find_changes(remembering(old), True, new) == ()


def test_another_api_hides_no_change_of_what_both_say_alike() -> None:
    """An image made public, unprotected or deactivated just then is noticed all the same."""
    new = replace(BY_V2, public=True, visibility="public", protected=False, status="deactivated")
    told = find_changes(remembering(ACTIVE), True, new)
    assert [change.what for change in told] == ["status", "protected", "public"]


def test_names_are_compared_again_after_the_api_has_changed() -> None:
    """What the new one said first is what it is compared with."""
    memory = remembering(ACTIVE).updated(True, BY_V2)
    assert find_changes(memory, True, replace(BY_V2, name="silver")) == (
        Change("name", " golden ", "silver"),
    )
