"""The exporter's assumptions about Image API v2, checked with a real Glance."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from tests.openstack.account import Account, send
from tests.openstack.stack import OpenStack

pytestmark = pytest.mark.slow

DATA = b"sixteen bytes..."


@pytest.fixture(scope="module")
def ids(openstack: OpenStack) -> Iterator[Any]:
    """Create images of all kinds: of ``demo``, and with the prefix ``theirs_`` of ``other``."""
    image_ids = SimpleNamespace()

    def make(kind: str, account: Account, **fields: Any) -> str:
        image_id = str(uuid4())
        account.create(image_id, kind, **fields)
        setattr(image_ids, kind, image_id)
        return image_id

    make("plain", openstack.demo)
    make("hidden", openstack.demo, os_hidden=True)
    make("community", openstack.demo, visibility="community")
    make("theirs_private", openstack.other)
    make("theirs_community", openstack.other, visibility="community")
    for status in ("pending", "accepted", "rejected"):
        shared = make(f"theirs_{status}", openstack.other, visibility="shared")
        openstack.other.share(shared, openstack.demo.project_id)
        openstack.demo.set_member_status(shared, status)
    make("theirs_shared_with_nobody", openstack.other, visibility="shared")
    yield image_ids
    for kind, image_id in vars(image_ids).items():
        (openstack.other if kind.startswith("theirs") else openstack.demo).delete(image_id)


def listed_kinds(openstack: OpenStack, ids: Any, query: str = "") -> set[str]:
    """Return the kinds of images that ``demo`` gets in a list of exactly these IDs."""
    id_list = ",".join(vars(ids).values())
    listed = openstack.demo.ids(f"limit=1000{query}&id=in:{id_list}")
    assert listed <= set(vars(ids).values())
    return {kind for kind, image_id in vars(ids).items() if image_id in listed}


def test_head_gets_405(openstack: OpenStack, ids: Any) -> None:
    for path in (f"/v2/images/{ids.plain}", "/v2/images"):
        assert openstack.demo.image_api("HEAD", path).status_code == 405


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_v1_gets_300_with_the_supported_versions(
    openstack: OpenStack, ids: Any, method: str
) -> None:
    path = f"/v1/images/{ids.plain}"
    response = openstack.demo.image_api(method, path)
    without_token = send(method, f"{openstack.glance.url}{path}")
    assert response.status_code == without_token.status_code == 300
    if method == "GET":
        versions = response.json()["versions"]
        assert {version["id"][:2] for version in versions} == {"v2"}
        assert [version["status"] for version in versions].count("CURRENT") == 1


def test_plain_list_omits_hidden_foreign_community_and_unaccepted_shared_images(
    openstack: OpenStack, ids: Any
) -> None:
    assert listed_kinds(openstack, ids) == {"plain", "community", "theirs_accepted"}


def test_visibility_all_adds_community_images_of_others(openstack: OpenStack, ids: Any) -> None:
    more = listed_kinds(openstack, ids, "&visibility=all") - listed_kinds(openstack, ids)
    assert more == {"theirs_community"}


def test_member_status_all_adds_pending_and_rejected_images(openstack: OpenStack, ids: Any) -> None:
    more = listed_kinds(openstack, ids, "&member_status=all") - listed_kinds(openstack, ids)
    assert more == {"theirs_pending", "theirs_rejected"}


def test_os_hidden_lists_only_hidden_images(openstack: OpenStack, ids: Any) -> None:
    query = "&os_hidden=true&visibility=all&member_status=all"
    assert listed_kinds(openstack, ids, query) == {"hidden"}


def test_two_lists_contain_all_visible_images(openstack: OpenStack, ids: Any) -> None:
    """With all parameters, one with hidden images and one without."""
    query = "&visibility=all&member_status=all"
    in_lists = listed_kinds(openstack, ids, query)
    in_lists |= listed_kinds(openstack, ids, f"{query}&os_hidden=true")
    by_id = {
        kind
        for kind, image_id in vars(ids).items()
        if openstack.demo.image_api("GET", f"/v2/images/{image_id}").status_code == 200
    }
    assert in_lists == by_id
    assert set(vars(ids)) - by_id == {"theirs_private", "theirs_shared_with_nobody"}


def test_role_reader_sees_the_same_images_as_a_member(openstack: OpenStack, ids: Any) -> None:
    query = f"limit=1000&visibility=all&member_status=all&id=in:{','.join(vars(ids).values())}"
    assert openstack.reader.ids(query) == openstack.demo.ids(query)


def test_default_page_size_is_25(openstack: OpenStack) -> None:
    image_ids = [str(uuid4()) for _ in range(26)]
    for image_id in image_ids:
        openstack.demo.create(image_id, "one of many")
    query = f"id=in:{','.join(image_ids)}"
    first = openstack.demo.image_api("GET", f"/v2/images?{query}").json()
    rest = openstack.demo.image_api("GET", first["next"]).json()
    assert [len(page["images"]) for page in (first, rest)] == [25, 1]
    assert "next" not in rest
    assert openstack.demo.ids(f"limit=1000&{query}") == set(image_ids)
    for image_id in image_ids:
        openstack.demo.delete(image_id)


@pytest.mark.parametrize(("excess", "status"), [(0, 200), (1, 414)])
def test_request_line_is_limited_to_4094_bytes(
    openstack: OpenStack, excess: int, status: int
) -> None:
    """A longer one gets 414 (400 before gunicorn 27)."""
    fixed = "GET /v2/images?limit=1000&id=in: HTTP/1.1"
    path = f"/v2/images?limit=1000&id=in:{'x' * (4094 - len(fixed) + excess)}"
    assert len(f"GET {path} HTTP/1.1") == 4094 + excess
    assert openstack.demo.image_api("GET", path).status_code == status


def test_deleted_image_gets_404_and_is_not_listed(openstack: OpenStack) -> None:
    """That includes requests of an administrator."""
    deleted = str(uuid4())
    openstack.demo.create(deleted, "deleted")
    openstack.demo.delete(deleted)
    for account in (openstack.demo, openstack.admin):
        assert account.image_api("GET", f"/v2/images/{deleted}").status_code == 404
        assert account.ids(f"id=in:{deleted}") == set()


def test_private_image_of_another_project_gets_404(openstack: OpenStack, ids: Any) -> None:
    """An administrator can see it."""
    path = f"/v2/images/{ids.theirs_private}"
    foreign = openstack.demo.image_api("GET", path)
    unknown = openstack.demo.image_api("GET", f"/v2/images/{uuid4()}")
    assert foreign.status_code == unknown.status_code == 404
    assert openstack.admin.image_api("GET", path).status_code == 200


def test_id_in_capitals_gets_404(openstack: OpenStack, ids: Any) -> None:
    path = f"/v2/images/{ids.plain.upper()}"
    assert openstack.demo.image_api("GET", path).status_code == 404


def test_queued_image_has_null_size_checksum_and_hash(openstack: OpenStack, ids: Any) -> None:
    image = openstack.demo.image_api("GET", f"/v2/images/{ids.plain}").json()
    assert image["status"] == "queued"
    assert [image[key] for key in ("size", "virtual_size", "checksum", "os_hash_value")] == (
        [None] * 4
    )


def test_protected_image_cannot_be_deleted_and_deactivated_one_is_visible(
    openstack: OpenStack,
) -> None:
    image_id = str(uuid4())
    openstack.demo.create(image_id, "protected", protected=True)
    openstack.demo.upload(image_id, DATA)
    assert openstack.demo.image_api("DELETE", f"/v2/images/{image_id}").status_code == 403
    openstack.demo.act(image_id, "deactivate")
    image = openstack.demo.image_api("GET", f"/v2/images/{image_id}").json()
    assert (image["status"], image["size"]) == ("deactivated", len(DATA))
    openstack.demo.change(image_id, protected=False)
    openstack.demo.delete(image_id)


@pytest.mark.parametrize("token", [None, "unknown"])
def test_missing_or_unknown_token_gets_401_with_the_address_of_keystone(
    openstack: OpenStack, token: str | None
) -> None:
    response = send("GET", f"{openstack.glance.url}/v2/images", token)
    assert response.status_code == 401
    assert "Keystone uri=" in response.headers["WWW-Authenticate"]


def test_unvalidated_token_gets_401_or_503_while_keystone_is_down(openstack: OpenStack) -> None:
    """It never gets a 404."""
    openstack.demo.sign_in()
    with openstack.keystone.stopped():
        response = openstack.demo.image_api("GET", f"/v2/images/{uuid4()}")
    assert response.status_code in {401, 503}
