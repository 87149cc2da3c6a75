from typing import Any

import pytest

from exporter.config import Cloud, ResolvedCloud, Settings, resolved_clouds
from exporter.model.discovery import DiscoveryRule

INHERITED: dict[str, tuple[Any, Any]] = {
    "interval": ("40s", "50s"),
    "timeout": ("4s", "5s"),
    "concurrency": (4, 5),
    "rate_limit": (4, 5),
    "max_stale": ("40m", "50m"),
    "discovery_interval": ("40m", "50m"),
    "forget_after": ("40h", "50h"),
    "properties": (["general"], ["own"]),
    "expect": ({"size": "4MiB"}, {"size": "5MiB"}),
    "labels": ({"team": "general"}, {"team": "own"}),
}
"""A general value and a value of the cloud itself, for every setting that both may have."""

OF_CLOUD_ONLY: dict[str, Any] = {
    "name": "b",
    "cloud": "entry",
    "region": "north",
    "image_service_name": "glance",
    "interface": "internal",
    "api": "v2",
    "endpoint": "http://b",
    "token": "t",
    "token_file": "file",
    "images": ["j"],
    "discover": [{"name": "x"}],
}
"""A value that is not the default, for every setting that only a cloud has."""


def resolve(general: dict[str, Any], own: dict[str, Any]) -> ResolvedCloud:
    cloud = Cloud.model_validate({"name": "a", "images": ["i"], **own})
    base = Settings.model_validate(general)
    (resolved,) = resolved_clouds(base.model_copy(update={"clouds": (cloud,)}))
    return resolved


def value(cloud: ResolvedCloud, key: str) -> object:
    of_image = {"expect": cloud.images[0].expect, "labels": cloud.images[0].operator_labels}
    return of_image[key] if key in of_image else getattr(cloud, key)


def test_tables_of_this_test_name_every_setting_of_a_cloud() -> None:
    general = Settings.model_fields.keys()
    assert INHERITED.keys() == Cloud.model_fields.keys() & general
    assert OF_CLOUD_ONLY.keys() == Cloud.model_fields.keys() - general


@pytest.mark.parametrize("key", INHERITED)
def test_cloud_inherits_the_general_setting_and_can_override_it(key: str) -> None:
    general, own = INHERITED[key]
    default = value(resolve({}, {}), key)
    inherited = value(resolve({key: general}, {}), key)
    overridden = value(resolve({key: general}, {key: own}), key)
    assert len({default, inherited, overridden}) == 3
    assert overridden == value(resolve({}, {key: own}), key)


@pytest.mark.parametrize("key", OF_CLOUD_ONLY)
def test_setting_of_a_cloud_reaches_the_resolved_cloud(key: str) -> None:
    own = {key: OF_CLOUD_ONLY[key]}
    assert value(resolve({}, own), key) != value(resolve({}, {}), key)


def test_setting_of_an_image_reaches_the_resolved_image() -> None:
    image = {"id": "j", "alias": "b", "expect": {"protected": True}, "labels": {"team": "web"}}
    (resolved,) = resolve({}, {"images": [image]}).images
    assert resolved.operator_labels == (("team", "web"),)
    assert (resolved.image_id, resolved.alias) == ("j", "b")
    assert resolved.expect == (("protected", True),)


def test_every_criterion_of_discovery_reaches_its_rule() -> None:
    criteria = {
        "name": "x*",
        "tag": ["t"],
        "owner": "p",
        "visibility": "shared",
        "status": ["active"],
        "property": {"os": "linux"},
        "most_recent": True,
        "alias": "newest",
        "expect": {"protected": True},
        "labels": {"team": "web"},
    }
    (rule,) = resolve({}, {"discover": [criteria]}).discover
    assert rule == DiscoveryRule(
        name="x*",
        tags=("t",),
        owner="p",
        visibility="shared",
        statuses=("active",),
        properties=(("os", "linux"),),
        alias="newest",
        expect=(("protected", True),),
        operator_labels=(("team", "web"),),
    )


def test_images_with_equal_expectations_share_one_object() -> None:
    images = [{"id": image_id, "expect": {"size": "1GiB"}} for image_id in "ijk"]
    first, *others = resolve({"expect": {"public": True}}, {"images": images}).images
    assert all(image.expect is first.expect for image in others)
