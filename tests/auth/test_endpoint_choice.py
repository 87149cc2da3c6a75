"""A sign-in uses the endpoint of one project, region and image service, or none."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.auth.base import Authenticator, AuthError
from exporter.simulator.keystone import (
    DOMAIN_SCOPE,
    SYSTEM_SCOPE,
    UNSCOPED,
    CatalogEndpoint,
    SimulatedKeystone,
)
from tests.auth.sign_in import IMAGE, authenticator, failure
from tests.support.clouds_yaml import password_auth, write_clouds_yaml


def test_region_and_interface_select_the_endpoint(lab: SimulatedKeystone) -> None:
    lab.endpoints = [
        CatalogEndpoint("http://volume", service_type="volumev3"),
        CatalogEndpoint("http://a/image", "A"),
        CatalogEndpoint("http://b/image/v2", "B"),
        CatalogEndpoint("http://b-inside:9292/v2.15/", "B", "internal"),
    ]
    assert authenticator(cloud="lab", region="A").token().endpoint == "http://a/image"
    assert authenticator(cloud="lab", region="B").token().endpoint == "http://b/image"
    inside = authenticator(cloud="lab", region="B", interface="internal").token()
    assert inside.endpoint == "http://b-inside:9292"


def test_missing_endpoint_is_named_with_those_that_exist(lab: SimulatedKeystone) -> None:
    error = failure(cloud="lab", region="East")
    assert error.reason == "rejected"
    assert error.detail.startswith(
        "the catalog has no image endpoint for region East; it has RegionOne; correct region_name"
    )
    lab.endpoints = []
    assert failure(cloud="lab").detail.startswith("the catalog has no image endpoint; ")


def test_several_regions_are_refused_unless_one_is_named(lab: SimulatedKeystone) -> None:
    lab.endpoints = [CatalogEndpoint("http://b", "B"), CatalogEndpoint("http://a", "A")]
    error = failure(cloud="lab")
    assert error.reason == "rejected"
    assert "in several regions, A, B; set region_name" in error.detail


def test_several_image_services_are_refused_unless_one_is_named(
    keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = {"auth": password_auth(keystone)}
    named = {**cloud, "image_service_name": "glance"}
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": cloud, "named": named})
    keystone.endpoints = [
        CatalogEndpoint("http://old", service_name="glance-old"),
        CatalogEndpoint("http://new", service_name="glance"),
    ]
    error = failure(cloud="lab")
    assert error.reason == "rejected"
    assert "glance, glance-old; set image_service_name" in error.detail
    assert authenticator(cloud="named").token().endpoint == "http://new"


def renewed_endpoint(authenticator: Authenticator) -> str:
    return authenticator.renew(authenticator.token()).endpoint


@pytest.mark.parametrize(
    "other",
    [
        CatalogEndpoint("http://other", "B"),
        CatalogEndpoint("http://other", service_name="glance-old"),
    ],
)
def test_renewal_never_moves_to_another_region_or_service(
    other: CatalogEndpoint, lab: SimulatedKeystone
) -> None:
    """Its images are others, and those of the first would look deleted."""
    lab_authenticator = authenticator(cloud="lab")
    assert lab_authenticator.token().endpoint == IMAGE
    lab.endpoints = [other]
    with pytest.raises(AuthError) as caught:
        renewed_endpoint(lab_authenticator)
    assert caught.value.reason == "rejected"
    assert caught.value.detail == (
        "the catalog no longer has the image endpoint of region RegionOne, service glance, but "
        f"that of region {other.region}, service {other.service_name}, which may have other "
        "images; name region_name and image_service_name, or restart to use it"
    )


@pytest.mark.parametrize(
    "other",
    [
        CatalogEndpoint("http://moved"),
        CatalogEndpoint(f"{IMAGE}/", "renamed", service_name="renamed"),
    ],
)
def test_renewal_follows_a_service_that_has_moved_or_was_renamed(
    other: CatalogEndpoint, lab: SimulatedKeystone
) -> None:
    lab_authenticator = authenticator(cloud="lab")
    assert lab_authenticator.token().endpoint == IMAGE
    lab.endpoints = [other]
    assert renewed_endpoint(lab_authenticator) == other.url.rstrip("/")


@pytest.mark.parametrize("has_override", [False, True])
@pytest.mark.parametrize(
    ("scope", "detail"),
    [
        (UNSCOPED, "the token is for no project: name project_id or project_name"),
        (
            SYSTEM_SCOPE,
            "the token is scoped to the system, a project is needed: name project_id or "
            "project_name instead of system_scope",
        ),
        (
            DOMAIN_SCOPE,
            "the token is scoped to a domain, a project is needed: name project_id or "
            "project_name instead of domain_id or domain_name",
        ),
    ],
)
def test_token_without_project_is_refused(
    scope: Mapping[str, Any],
    detail: str,
    has_override: bool,
    keystone: SimulatedKeystone,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Images are 404 for such a token, and lists are empty."""
    keystone.scope = scope
    cloud: dict[str, Any] = {"auth": password_auth(keystone)}
    if has_override:
        cloud["image_endpoint_override"] = IMAGE
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": cloud})
    error = failure(cloud="lab")
    assert (error.reason, error.detail) == ("rejected", detail)


def test_image_service_of_the_settings_overrides_that_of_clouds_yaml(
    keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = {"auth": password_auth(keystone), "image_service_name": "glance"}
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": cloud})
    keystone.endpoints = [
        CatalogEndpoint("http://old", service_name="glance-old"),
        CatalogEndpoint("http://new", service_name="glance"),
    ]
    selected = authenticator(cloud="lab", image_service_name="glance-old")
    assert selected.token().endpoint == "http://old"
    assert selected.identity != authenticator(cloud="lab").identity
