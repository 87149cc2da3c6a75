"""The least privilege of CONFIGURATION.md, at a real Keystone and Glance."""

import argparse
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from tests.openstack.account import Account, send
from tests.openstack.checked import Checked
from tests.openstack.stack import PASSWORD, OpenStack
from tests.support.documents import blocks, section
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow

TEXT = section("CONFIGURATION.md", "Least privilege")
(RULES,) = map(json.loads, blocks(TEXT, "json"))
"""The access rules of the document."""

WITHOUT_LISTS = [rule for rule in RULES if rule["path"] != "/v2/images"]
ONLY_LISTS = [rule for rule in RULES if rule["path"] == "/v2/images"]
GOLDEN = ({"tag": "golden"},)
PROJECT = {"project_name": "demo", "project_domain_name": "Default"}

Credential = Mapping[str, str]
"""The ID and the secret of an application credential."""


@pytest.fixture(scope="module")
def image_ids(openstack: OpenStack) -> Iterator[tuple[str, ...]]:
    """Create private images of the project ``demo``, of which the last one is discovered."""
    created = tuple(str(uuid4()) for _ in range(3))
    for number, image_id in enumerate(created):
        openstack.demo.create(image_id, "golden", tags=["golden"] if number == 2 else [])
    yield created
    for image_id in created:
        openstack.demo.delete(image_id)


@pytest.fixture(scope="module")
def documented(openstack: OpenStack) -> Credential:
    """Create the application credential as the command line of the document does."""
    (line,) = [line for line in blocks(TEXT, "sh") if line.startswith("openstack ")]
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--role")
    parser.add_argument("--access-rules")
    words = shlex.split(line)
    assert words[:4] == ["openstack", "application", "credential", "create"]
    arguments = parser.parse_args(words[4:])
    assert f"`{arguments.access_rules}`" in TEXT
    return openstack.demo.application_credential(arguments.name, RULES, arguments.role)


def checked(
    folder: Path, openstack: OpenStack, image_ids: Sequence[str], credential: Credential
) -> Checked:
    """Run ``check`` with an application credential, which also discovers images."""
    auth = {
        "application_credential_id": credential["id"],
        "application_credential_secret": credential["secret"],
    }
    return Checked(
        folder,
        openstack,
        image_ids,
        discover=GOLDEN,
        auth=auth,
        auth_type="v3applicationcredential",
    )


def token_of(account: Account, credential: Credential) -> str:
    """Return a token of an application credential."""
    identity = {"methods": ["application_credential"], "application_credential": dict(credential)}
    body = {"auth": {"identity": identity}}
    response = account.request("POST", f"{account.keystone}/v3/auth/tokens", json=body)
    response.raise_for_status()
    return response.headers["X-Subject-Token"]


def test_documented_credential_polls_and_discovers(
    openstack: OpenStack, tmp_path: Path, image_ids: tuple[str, ...], documented: Credential
) -> None:
    result = checked(tmp_path, openstack, image_ids[:2], documented)
    assert result.succeeded, result.text
    assert result.states == ["queued"] * 3


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/v2/images", 200),
        ("GET", "/v2/images/{}", 200),
        ("HEAD", "/v2/images/{}", 401),
        ("DELETE", "/v2/images/{}", 401),
        ("GET", "/v2/images/{}/file", 401),
        ("GET", "/v2/images/{}/members", 401),
        ("GET", "/v2/info/import", 401),
    ],
)
def test_documented_credential_reads_images_and_nothing_else(
    openstack: OpenStack,
    image_ids: tuple[str, ...],
    documented: Credential,
    method: str,
    path: str,
    code: int,
) -> None:
    """A rule is for one method, and ``*`` for one part of a path."""
    token = token_of(openstack.demo, documented)
    url = f"{openstack.glance.url}{path.format(image_ids[0])}"
    assert send(method, url, token).status_code == code


def test_documented_credential_is_of_no_use_at_keystone(
    openstack: OpenStack, documented: Credential
) -> None:
    """The catalog is in the token, so signing in needs no rule."""
    token = token_of(openstack.demo, documented)
    for path in ("auth/catalog", "auth/projects", f"users/{openstack.demo.user_id}"):
        assert send("GET", f"{openstack.keystone.url}/v3/{path}", token).status_code == 401


def test_images_are_polled_one_by_one_without_the_rule_for_lists(
    openstack: OpenStack, tmp_path: Path, image_ids: tuple[str, ...]
) -> None:
    """Discovery fails, and a deleted image is gone by means of the others."""
    credential = openstack.demo.application_credential(f"rules {uuid4()}", WITHOUT_LISTS, "reader")
    result = checked(tmp_path, openstack, (*image_ids, str(uuid4())), credential)
    assert sorted(result.states) == ["gone", "queued", "queued", "queued"]
    assert "discovery failed" in result.text
    assert not result.succeeded


def test_deleted_image_is_not_gone_without_the_rule_for_single_images(
    openstack: OpenStack, tmp_path: Path, image_ids: tuple[str, ...]
) -> None:
    credential = openstack.demo.application_credential(f"rules {uuid4()}", ONLY_LISTS, "reader")
    result = checked(tmp_path, openstack, (*image_ids, str(uuid4())), credential)
    assert sorted(result.states) == ["queued", "queued", "queued", "unknown"]
    assert "unauthorized" in result.text


def test_glance_without_service_type_refuses_access_rules_only(
    openstack: OpenStack, tmp_path: Path, image_ids: tuple[str, ...], documented: Credential
) -> None:
    auth = {"username": "reader", "password": PASSWORD, "user_domain_name": "Default", **PROJECT}
    unlimited = openstack.demo.application_credential(f"role {uuid4()}", role="reader")
    with openstack.without_service_type():
        limited = checked(tmp_path, openstack, image_ids, documented)
        by_role = checked(tmp_path, openstack, image_ids, unlimited)
        by_password = Checked(tmp_path, openstack, image_ids, auth=auth)
        assert "Set service_type in [keystone_authtoken]" in openstack.glance.log()
    assert set(limited.states) == {"unknown"}
    assert "unauthorized" in limited.text
    assert by_role.succeeded, by_role.text
    assert by_password.succeeded, by_password.text


def test_credential_without_a_role_of_its_own_still_only_reads_images(
    openstack: OpenStack, image_ids: tuple[str, ...]
) -> None:
    credential = openstack.demo.application_credential(f"roles {uuid4()}", RULES)
    token = token_of(openstack.demo, credential)
    url = f"{openstack.glance.url}/v2/images/{image_ids[0]}"
    assert send("GET", url, token).status_code == 200
    assert send("DELETE", url, token).status_code == 401


def test_role_reader_alone_changes_nothing(
    openstack: OpenStack, image_ids: tuple[str, ...]
) -> None:
    credential = openstack.demo.application_credential(f"role {uuid4()}", role="reader")
    token = token_of(openstack.demo, credential)
    url = f"{openstack.glance.url}/v2/images/{image_ids[0]}"
    assert send("GET", url, token).status_code == 200
    assert send("DELETE", url, token).status_code == 403


def test_user_with_only_the_role_reader_can_create_the_credential(
    openstack: OpenStack, tmp_path: Path, image_ids: tuple[str, ...]
) -> None:
    credential = openstack.reader.application_credential("image-exporter", RULES, "reader")
    result = checked(tmp_path, openstack, image_ids, credential)
    assert result.succeeded, result.text


def test_keystone_hides_tokens_with_access_rules_from_services_that_do_not_know_them(
    openstack: OpenStack, documented: Credential
) -> None:
    """Releases before Train do not send the header, and so refuse these tokens with 401."""
    headers = {"X-Subject-Token": token_of(openstack.demo, documented)}
    url = f"{openstack.keystone.url}/v3/auth/tokens"
    assert openstack.admin.request("GET", url, headers=headers).status_code == 404
    headers["OpenStack-Identity-Access-Rules"] = "1"
    assert openstack.admin.request("GET", url, headers=headers).status_code == 200


def test_revoked_credential_ends_the_access(
    openstack: OpenStack, image_ids: tuple[str, ...]
) -> None:
    credential = openstack.demo.application_credential(f"revoked {uuid4()}", RULES, "reader")
    token = token_of(openstack.demo, credential)
    url = f"{openstack.glance.url}/v2/images/{image_ids[0]}"
    assert send("GET", url, token).status_code == 200
    path = f"/users/{openstack.demo.user_id}/application_credentials/{credential['id']}"
    openstack.demo.identity("DELETE", path)
    wait_until(lambda: send("GET", url, token).status_code == 401)
