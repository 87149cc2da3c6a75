"""Credentials and catalogs that must never make an image gone, at a real Keystone and Glance."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from tests.openstack.checked import Checked
from tests.openstack.stack import PASSWORD, REGION, OpenStack
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow

PROJECT = {"project_name": "demo", "project_domain_name": "Default"}
NOBODY_LISTS = {"get_images": "!"}
EVERYBODY_LISTS = {"get_images": "@"}
"""Policies of Glance; that without the rule would leave the previous one in force."""


@pytest.fixture(scope="module")
def image_ids(openstack: OpenStack) -> Iterator[tuple[str, ...]]:
    """Create private images of the project ``demo``."""
    created = tuple(str(uuid4()) for _ in range(3))
    for image_id in created:
        openstack.demo.create(image_id, "golden")
    yield created
    for image_id in created:
        openstack.demo.delete(image_id)


@pytest.fixture
def no_lists(openstack: OpenStack) -> Iterator[None]:
    """Refuse lists, but no single image, by a policy of Glance, which reads a changed file."""
    policy = openstack.folder / "glance" / "policy.yaml"
    policy.write_text(yaml.safe_dump(NOBODY_LISTS), "utf-8")
    wait_until(lambda: openstack.demo.image_api("GET", "/v2/images").status_code == 403)
    yield
    policy.write_text(yaml.safe_dump(EVERYBODY_LISTS), "utf-8")
    wait_until(lambda: openstack.demo.image_api("GET", "/v2/images").status_code == 200)


@contextmanager
def second_endpoint(openstack: OpenStack, *, region: str, service: str) -> Iterator[None]:
    """Offer another image endpoint, where nobody listens."""
    identity = openstack.admin.identity
    if region != REGION:
        identity("POST", "/regions", {"region": {"id": region}})
    added = identity("POST", "/services", {"service": {"name": service, "type": "image"}})
    service_id = added["service"]["id"]
    endpoint = {
        "service_id": service_id,
        "interface": "public",
        "region_id": region,
        "url": "http://127.0.0.1:1",
    }
    identity("POST", "/endpoints", {"endpoint": endpoint})
    yield
    identity("DELETE", f"/services/{service_id}")
    if region != REGION:
        identity("DELETE", f"/regions/{region}")


def by_password(**more: str) -> dict[str, str]:
    """Return the authentication of the user ``demo``."""
    return {"username": "demo", "password": PASSWORD, "user_domain_name": "Default", **more}


def test_token_without_a_project_is_rejected(
    openstack: OpenStack, tmp_path: Path, image_ids: tuple[str, ...]
) -> None:
    checked = Checked(tmp_path, openstack, image_ids, auth=by_password())
    assert "rejected: sign-in: the token is for no project" in checked.text
    assert set(checked.states) == {"unknown"}


def test_token_for_the_system_is_rejected(
    openstack: OpenStack, tmp_path: Path, image_ids: tuple[str, ...]
) -> None:
    auth = by_password(username="admin", system_scope="all")
    checked = Checked(tmp_path, openstack, image_ids, auth=auth)
    assert "the token is scoped to the system, a project is needed" in checked.text
    assert set(checked.states) == {"unknown"}


def test_no_image_is_gone_in_a_wrong_project(
    openstack: OpenStack, tmp_path: Path, image_ids: tuple[str, ...]
) -> None:
    """Its images are 404, and its list is empty."""
    identity, name = openstack.admin.identity, f"wrong {uuid4()}"
    project = identity("POST", "/projects", {"project": {"name": name, "domain_id": "default"}})
    (user,) = identity("GET", "/users?name=demo")["users"]
    (role,) = identity("GET", "/roles?name=reader")["roles"]
    assignment = f"/projects/{project['project']['id']}/users/{user['id']}/roles/{role['id']}"
    openstack.admin.request("PUT", f"{openstack.keystone.url}/v3{assignment}").raise_for_status()
    auth = by_password(project_name=name, project_domain_name="Default")
    overrides: tuple[dict[str, Any], ...] = (
        {},
        {"image_endpoint_override": openstack.glance.url},
    )
    for override in overrides:
        checked = Checked(tmp_path, openstack, image_ids, auth=auth, **override)
        assert "the list of images is empty, as in a wrong project" in checked.text
        assert set(checked.states) == {"unknown"}


def test_region_has_to_be_named_if_there_are_two(
    openstack: OpenStack, tmp_path: Path, image_ids: tuple[str, ...]
) -> None:
    auth = by_password(**PROJECT)
    with second_endpoint(openstack, region="RegionTwo", service="glance"):
        unnamed = Checked(tmp_path, openstack, image_ids, auth=auth)
        unknown = Checked(tmp_path, openstack, image_ids, auth=auth, region_name="Region3")
        named = Checked(tmp_path, openstack, image_ids, auth=auth, region_name=REGION)
    for checked in (unnamed, unknown):
        assert set(checked.states) == {"unknown"}
        assert all(region in checked.text for region in (REGION, "RegionTwo"))
    assert named.succeeded


def test_image_service_has_to_be_named_if_there_are_two(
    openstack: OpenStack, tmp_path: Path, image_ids: tuple[str, ...]
) -> None:
    auth = by_password(**PROJECT)
    with second_endpoint(openstack, region=REGION, service="glance-backup"):
        unnamed = Checked(tmp_path, openstack, image_ids, auth=auth)
        named = Checked(tmp_path, openstack, image_ids, auth=auth, image_service_name="glance")
    assert set(unnamed.states) == {"unknown"}
    assert "several image services in region RegionOne, glance, glance-backup" in unnamed.text
    assert named.succeeded


@pytest.mark.usefixtures("no_lists")
def test_images_are_polled_one_by_one_if_a_policy_denies_lists(
    openstack: OpenStack, tmp_path: Path, image_ids: tuple[str, ...]
) -> None:
    checked = Checked(tmp_path, openstack, image_ids, auth=by_password(**PROJECT))
    assert checked.succeeded, checked.text
    assert checked.states == ["queued"] * 3


@pytest.mark.usefixtures("no_lists")
def test_deleted_image_is_gone_although_a_policy_denies_lists(
    openstack: OpenStack, tmp_path: Path, image_ids: tuple[str, ...]
) -> None:
    deleted = str(uuid4())
    checked = Checked(tmp_path, openstack, (*image_ids, deleted), auth=by_password(**PROJECT))
    assert sorted(checked.states) == ["gone", "queued", "queued", "queued"]
