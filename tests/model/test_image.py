from dataclasses import replace

import pytest

from exporter.model.image import STATUSES, Content, Image
from tests.support.images import ACTIVE, ID

A = ("md5", "a" * 32)
B = ("md5", "b" * 32)
SHA = ("sha512", "a" * 128)


@pytest.mark.parametrize(
    ("status", "deleted", "exists"),
    [(status, None, status not in {"deleted", "pending_delete"}) for status in STATUSES]
    + [("active", False, True), ("active", True, False), ("unheard-of", None, True)],
)
def test_deleted_image_does_not_exist(status: str, deleted: bool | None, exists: bool) -> None:
    assert replace(ACTIVE, status=status, deleted=deleted).exists is exists


@pytest.mark.parametrize(
    ("status", "deleted", "active"),
    [("active", False, True), ("active", True, False), ("deactivated", False, False)],
)
def test_deleted_image_is_not_active(status: str, deleted: bool, active: bool) -> None:
    assert replace(ACTIVE, status=status, deleted=deleted).is_active is active


def test_tombstone_keeps_only_status_and_deletion_time() -> None:
    deleted = replace(ACTIVE, status="pending_delete", deleted=None, deleted_at=5.0)
    assert deleted.tombstone() == Image("v1", ID, "pending_delete", deleted=True, deleted_at=5.0)


def test_content_has_digests_size_and_api_version() -> None:
    assert ACTIVE.content == Content("v1", ACTIVE.digests, ACTIVE.size_bytes)


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        pytest.param(Content("v1", (A,), 1), Content("v1", (A,), 1), False, id="same"),
        pytest.param(Content("v1", (A,), 1), Content("v1", (B,), 1), True, id="digest"),
        pytest.param(Content("v1", (A,), 1), Content("v1", (A,), 2), False, id="digest-decides"),
        pytest.param(Content("v1", (A,), 1), Content("v2", (B,), 2), False, id="other-api"),
        pytest.param(Content("v1", (A, SHA), 1), Content("v1", (B, SHA), 1), True, id="one-of-two"),
        pytest.param(Content("v1", (A,), 1), Content("v1", (SHA,), 1), False, id="no-common"),
        pytest.param(Content("v1", (A,), 1), Content("v1", (SHA,), 2), True, id="no-common-size"),
        pytest.param(Content("v1", (), 1), Content("v1", (), 2), True, id="size"),
        pytest.param(Content("v1", (), 0), Content("v1", (), 2), False, id="size-zero"),
        pytest.param(Content("v1", (), None), Content("v1", (), 2), False, id="size-unknown"),
        pytest.param(Content("v1", (A,), 1), Content("v1", (), 0), False, id="nothing-known"),
    ],
)
def test_contents_differ_only_if_both_are_known(
    one: Content, other: Content, differs: bool
) -> None:
    assert one.differs(other) is differs
    assert other.differs(one) is differs
