"""Queries and commands about one image, ready to be copied from its page."""

import shlex
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from exporter.metrics.sample_lines import escape_label_values
from exporter.model.target import Target
from exporter.transport.url import base_url, service_address


class ClientAccess(Protocol):
    """The settings of a cloud with which a command line signs in."""

    @property
    def cloud(self) -> str | None:
        """Entry of clouds.yaml, None for the variables ``OS_*``."""

    @property
    def region(self) -> str | None:
        """Region of the Image service, None for the default."""

    @property
    def endpoint(self) -> str | None:
        """URL of an Image service without Keystone."""


class Snippet(NamedTuple):
    """A text to copy, and its purpose."""

    purpose: str
    text: str


_QUERIES: Mapping[str, str] = MappingProxyType(
    {
        "All series of the image": "{%s}",
        "Existence, also over time": "openstack_image_exists{%s}",
        "Current status": "openstack_image_status{%s} == 1",
        "Changes of the status in a day": "increase(openstack_image_status_changes_total{%s}[1d])",
        "Expectations that are not met": "openstack_image_expectation_met{%s} == 0",
        "Share of successful polls in an hour": (
            "avg_over_time(openstack_image_poll_success{%s}[1h])"
        ),
        "Alerts about the image": 'ALERTS{alertstate="firing",%s}',
    }
)
"""Queries with a place for the matchers of the image, by their purpose."""

_CURL: Mapping[str, str] = MappingProxyType({"v1": "curl --head", "v2": "curl"})
"""Commands that send the same request as the exporter, by the version of the API."""

_COLUMNS = "-c name -c status -c protected -c visibility -c size -c checksum -c updated_at"
"""Options that limit the output of ``openstack image show``."""

_DEFAULT_API = "v1"
"""Version of the API before the exporter has chosen one."""


def queries(target: Target) -> Sequence[Snippet]:
    """Return queries of PromQL about the image."""
    # Strings of PromQL have the escapes of label values.
    cloud, image_id = escape_label_values([target.cloud, target.image_id])
    matchers = f'cloud="{cloud}",image_id="{image_id}"'
    return [Snippet(purpose, query % matchers) for purpose, query in _QUERIES.items()]


def commands(target: Target, access: ClientAccess | None, api: str | None) -> Sequence[Snippet]:
    """Return commands that request the image from its cloud.

    Args:
        target: The image.
        access: The way to sign in, None if the cloud is being added or removed.
        api: Version of the API that the exporter uses, None if it has chosen none yet.
    """
    if access is None:
        return []
    if access.endpoint is not None:
        version = api or _DEFAULT_API
        address = service_address(base_url(access.endpoint), project_id="")
        url = address.base_url + address.path(f"/{version}/images/{target.image_id}")
        curl = f'{_CURL[version]} --header "X-Auth-Token: $OS_TOKEN" {shlex.quote(url)}'
        return [Snippet("The request of the exporter", curl)]
    words = ["openstack"]
    if access.cloud is not None:
        words.append(f"--os-cloud={access.cloud}")
    if access.region is not None:
        words.append(f"--os-region-name={access.region}")
    show = shlex.join([*words, "image", "show", target.image_id])
    return [
        Snippet("All attributes of the image", show),
        Snippet("The attributes that matter most", f"{show} {_COLUMNS}"),
    ]
