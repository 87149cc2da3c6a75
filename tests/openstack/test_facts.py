"""What the exporter takes for granted of Image API v2, asked of a real Glance."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from tests.openstack.account import Account, ask
from tests.openstack.stack import OpenStack

DATA = b"sixteen bytes..."


@pytest.fixture(scope="module")
def ids(openstack: OpenStack) -> Iterator[Any]:
    """IDs of images of all kinds: those of ``demo``, and as ``theirs_…`` those of ``other``."""
    made = SimpleNamespace()

    def make(kind: str, account: Account, **fields: Any) -> str:
        image_id = str(uuid4())
        account.create(image_id, kind, **fields)
        setattr(made, kind, image_id)
        return image_id

    make("plain", openstack.demo)
    make("hidden", openstack.demo, os_hidden=True)
    make("community", openstack.demo, visibility="community")
    make("theirs_private", openstack.other)
    make("theirs_community", openstack.other, visibility="community")
    for answer in ("pending", "accepted", "rejected"):
        offered = make(f"theirs_{answer}", openstack.other, visibility="shared")
        openstack.other.share(offered, openstack.demo.project_id)
        openstack.demo.answer_offer(offered, answer)
    make("theirs_shared_with_nobody", openstack.other, visibility="shared")
    yield made
    for kind, image_id in vars(made).items():
        (openstack.other if kind.startswith("theirs") else openstack.demo).delete(image_id)


def listed(openstack: OpenStack, ids: Any, query: str = "") -> set[str]:
    """Which kinds a list of exactly these IDs gives ``demo``."""
    asked = ",".join(vars(ids).values())
    found = openstack.demo.ids(f"limit=1000{query}&id=in:{asked}")
    assert found <= set(vars(ids).values())
    return {kind for kind, image_id in vars(ids).items() if image_id in found}


def test_head_is_refused(openstack: OpenStack, ids: Any) -> None:
    """HEAD is 405 on an image and on the list."""
    for path in (f"/v2/images/{ids.plain}", "/v2/images"):
        assert openstack.demo.image_api("HEAD", path).status_code == 405


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_v1_is_multiple_choices(openstack: OpenStack, ids: Any, method: str) -> None:
    """A path of v1 is 300 for everyone, and GET says which versions there are instead."""
    path = f"/v1/images/{ids.plain}"
    answer = openstack.demo.image_api(method, path)
    stranger = ask(method, f"{openstack.glance.url}{path}")
    assert answer.status_code == stranger.status_code == 300
    if method == "GET":
        versions = answer.json()["versions"]
        assert {each["id"][:2] for each in versions} == {"v2"}
        assert [each["status"] for each in versions].count("CURRENT") == 1


def test_list_of_ids_leaves_out_kinds(openstack: OpenStack, ids: Any) -> None:
    """A plain list of IDs leaves out hidden, community of others and shared ones not accepted."""
    assert listed(openstack, ids) == {"plain", "community", "theirs_accepted"}


def test_visibility_all_adds_community_of_others(openstack: OpenStack, ids: Any) -> None:
    """``visibility=all`` adds community images of others, and nothing else."""
    more = listed(openstack, ids, "&visibility=all") - listed(openstack, ids)
    assert more == {"theirs_community"}


def test_member_status_all_adds_offers(openstack: OpenStack, ids: Any) -> None:
    """``member_status=all`` adds shared images that are pending or rejected, and nothing else."""
    more = listed(openstack, ids, "&member_status=all") - listed(openstack, ids)
    assert more == {"theirs_pending", "theirs_rejected"}


def test_os_hidden_lists_only_hidden(openstack: OpenStack, ids: Any) -> None:
    """``os_hidden=true`` lists hidden images instead of the others, whatever else is asked."""
    query = "&os_hidden=true&visibility=all&member_status=all"
    assert listed(openstack, ids, query) == {"hidden"}


def test_two_lists_give_all_that_is_visible(openstack: OpenStack, ids: Any) -> None:
    """With all parameters, hidden and not, the lists give what GET by ID gives."""
    everything = "&visibility=all&member_status=all"
    in_lists = listed(openstack, ids, everything) | listed(
        openstack, ids, f"{everything}&os_hidden=true"
    )
    by_id = {
        kind
        for kind, image_id in vars(ids).items()
        if openstack.demo.image_api("GET", f"/v2/images/{image_id}").status_code == 200
    }
    assert in_lists == by_id
    assert set(vars(ids)) - by_id == {"theirs_private", "theirs_shared_with_nobody"}


def test_reader_sees_what_a_member_sees(openstack: OpenStack, ids: Any) -> None:
    """The role reader is enough to see the images of its project."""
    everything = f"limit=1000&visibility=all&member_status=all&id=in:{','.join(vars(ids).values())}"
    assert openstack.reader.ids(everything) == openstack.demo.ids(everything)


def test_list_gives_25_unless_told(openstack: OpenStack) -> None:
    """Without ``limit`` a list of 26 IDs has 25 images, and ``next`` leads to the last one."""
    made = [str(uuid4()) for _ in range(26)]
    for image_id in made:
        openstack.demo.create(image_id, "one of many")
    asked = f"id=in:{','.join(made)}"
    first = openstack.demo.image_api("GET", f"/v2/images?{asked}").json()
    rest = openstack.demo.image_api("GET", first["next"]).json()
    assert [len(page["images"]) for page in (first, rest)] == [25, 1]
    assert "next" not in rest
    assert openstack.demo.ids(f"limit=1000&{asked}") == set(made)
    for image_id in made:
        openstack.demo.delete(image_id)


@pytest.mark.parametrize(("excess", "status"), [(0, 200), (1, 414)])
def test_request_line_is_limited(openstack: OpenStack, excess: int, status: int) -> None:
    """A request line of 4,094 bytes is read, and a longer one is 414 (400 before gunicorn 27)."""
    fixed = "GET /v2/images?limit=1000&id=in: HTTP/1.1"
    path = f"/v2/images?limit=1000&id=in:{'x' * (4094 - len(fixed) + excess)}"
    assert len(f"GET {path} HTTP/1.1") == 4094 + excess
    assert openstack.demo.image_api("GET", path).status_code == status


def test_deleted_is_gone_for_all(openstack: OpenStack) -> None:
    """A deleted image is 404 to its owner and to an administrator, and not in their lists."""
    deleted = str(uuid4())
    openstack.demo.create(deleted, "deleted")
    openstack.demo.delete(deleted)
    for account in (openstack.demo, openstack.admin):
        assert account.image_api("GET", f"/v2/images/{deleted}").status_code == 404
        assert account.ids(f"id=in:{deleted}") == set()


def test_another_projects_image_is_not_found(openstack: OpenStack, ids: Any) -> None:
    """Another project's private image answers as one that never was; an administrator sees it."""
    path = f"/v2/images/{ids.theirs_private}"
    theirs = openstack.demo.image_api("GET", path)
    nobodys = openstack.demo.image_api("GET", f"/v2/images/{uuid4()}")
    assert theirs.status_code == nobodys.status_code == 404
    assert openstack.admin.image_api("GET", path).status_code == 200


def test_capitals_are_not_found(openstack: OpenStack, ids: Any) -> None:
    """An ID in capitals is another one, and 404."""
    path = f"/v2/images/{ids.plain.upper()}"
    assert openstack.demo.image_api("GET", path).status_code == 404


def test_queued_image_has_no_size(openstack: OpenStack, ids: Any) -> None:
    """Before the upload, size, checksum and hash are there and null."""
    image = openstack.demo.image_api("GET", f"/v2/images/{ids.plain}").json()
    assert image["status"] == "queued"
    assert [image[key] for key in ("size", "virtual_size", "checksum", "os_hash_value")] == (
        [None] * 4
    )


def test_protected_and_deactivated(openstack: OpenStack) -> None:
    """A protected image cannot be deleted (403), and a deactivated one is still found."""
    image_id = str(uuid4())
    openstack.demo.create(image_id, "kept", protected=True)
    openstack.demo.upload(image_id, DATA)
    assert openstack.demo.image_api("DELETE", f"/v2/images/{image_id}").status_code == 403
    openstack.demo.act(image_id, "deactivate")
    image = openstack.demo.image_api("GET", f"/v2/images/{image_id}").json()
    assert (image["status"], image["size"]) == ("deactivated", len(DATA))
    openstack.demo.change(image_id, protected=False)
    openstack.demo.delete(image_id)


@pytest.mark.parametrize("token", [None, "unknown"])
def test_without_a_good_token(openstack: OpenStack, token: str | None) -> None:
    """No token and an unknown one are 401, and the answer says where Keystone is."""
    answer = ask("GET", f"{openstack.glance.url}/v2/images", token)
    assert answer.status_code == 401
    assert "Keystone uri=" in answer.headers["WWW-Authenticate"]


def test_glance_without_keystone(openstack: OpenStack) -> None:
    """While Keystone is down, a token that Glance has not seen gets 401 or 503, never a 404."""
    openstack.demo.sign_in()
    with openstack.keystone.stopped():
        answer = openstack.demo.image_api("GET", f"/v2/images/{uuid4()}")
    assert answer.status_code in {401, 503}
