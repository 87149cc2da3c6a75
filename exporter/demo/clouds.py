"""The two clouds of the demo, as settings and as entries of clouds.yaml."""

from collections.abc import Mapping, Sequence
from typing import Any

from exporter.demo.images import BUILD, IMAGES, PLATFORM
from exporter.demo.services import DemoServices
from exporter.demo.v2_images import V2_IMAGES

_OF_IMAGES: Mapping[str, Mapping[str, Any]] = {
    "golden-base": {"expect": {"status": "active", "protected": True}},
    "rocky-9": {"expect": {"max_age": "90d"}},
    "ci-runner": {"expect": {"status": "active", "public": False}, "labels": {"team": "build"}},
    "k8s-node": {"labels": {"team": "containers"}},
    "postgres": {"expect": {"public": False}, "labels": {"team": "databases"}},
    "retired": {"expect": {"exists": False}},
}
"""Expectations and labels of images of the cloud ``demo``, by alias."""

CLOUDS: Sequence[Mapping[str, Any]] = (
    {
        "name": "demo",
        "api": "v1",
        "labels": {"team": "platform"},
        "images": [
            {"id": image.id, "alias": alias, **_OF_IMAGES.get(alias, {})}
            for alias, image in IMAGES.items()
        ],
    },
    {
        "name": "demo-v2",
        "cloud": "demo-v2",
        "api": "v2",
        "labels": {"team": "platform"},
        "images": [
            {"id": V2_IMAGES["debian-lts"].id, "alias": "debian-lts", "expect": {"hidden": False}},
            {"id": V2_IMAGES["debian-old"].id, "alias": "debian-old"},
            {
                "id": V2_IMAGES["toolbox"].id,
                "alias": "toolbox",
                "expect": {"visibility": "community"},
            },
        ],
        "discover": [
            {
                "name": "ubuntu-24.04-*",
                "owner": PLATFORM,
                "most_recent": True,
                "alias": "ubuntu-latest",
            },
            {
                "tag": "golden",
                "owner": BUILD,
                "expect": {"status": "active", "protected": True},
                "labels": {"team": "build"},
            },
        ],
    },
)
"""The settings of the clouds, without the ``endpoint`` of the first one."""


def clouds_yaml(services: DemoServices) -> dict[str, Any]:
    """Return clouds.yaml, with the entry by which the exporter signs in to ``demo-v2``."""
    ((user, password),) = services.keystone.users.items()
    auth = {
        "auth_url": services.keystone.auth_url,
        "username": user,
        "password": password,
        "user_domain_name": "Default",
        "project_name": "demo",
        "project_domain_name": "Default",
    }
    return {"clouds": {"demo-v2": {"auth": auth, "region_name": "RegionOne"}}}
