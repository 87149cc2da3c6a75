"""Settings as written: one class for each mapping of the settings file.

``resolved`` fills in inherited values and defaults.
"""

from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, CliSuppress, NoDecode, SettingsConfigDict

from exporter.config import types
from exporter.config.expect import Expect
from exporter.config.labels import Labels
from exporter.config.metric_globs import Metrics
from exporter.config.sources import ENVIRONMENT_PREFIX
from exporter.model.api_traits import ApiName, RequestedVersion
from exporter.model.expectations.checks import VISIBILITIES
from exporter.model.target import DEFAULT_LABEL_VALUE_LIMIT

LISTED_STATUSES = ("queued", "saving", "uploading", "importing", "active", "deactivated")
"""The statuses of images in a list, which has no deleted images."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ConfigFile(_Model):
    """Location of the settings file. These keys are not allowed in the file itself."""

    file: types.FileName | None = Field(
        default=None, description="Settings file, in YAML, with the list of clouds."
    )
    reload_on_change: types.Switch = Field(
        default=False,
        description="Reload the settings when the settings file changes, and the credentials when "
        "clouds.yaml, secure.yaml, or a CA or client certificate file changes.",
        json_schema_extra={"default": "false"},
    )


class WebConfig(_Model):
    """Location of the web configuration file."""

    file: types.FileName | None = Field(
        default=None,
        description="File with certificates, users and headers, in the format of Prometheus' "
        "exporter-toolkit.",
    )


class Web(_Model):
    """HTTP server."""

    config: WebConfig = Field(default_factory=WebConfig, description="Web configuration file.")
    listen_address: Annotated[types.Addresses, NoDecode] = Field(
        default=(":10292",),
        description="Address to listen on, or several; without a host, all addresses, including "
        "IPv6.",
        json_schema_extra={"default": ":10292"},
    )
    systemd_socket: types.Switch = Field(
        default=False,
        description="Listen on the sockets that systemd passes, instead of the address.",
        json_schema_extra={"default": "false"},
    )
    external_url: types.ExternalUrl | None = Field(
        default=None,
        description="URL of the exporter behind a proxy; all pages are below its path.",
    )
    route_prefix: types.RoutePrefix | None = Field(
        default=None,
        description="Path of all pages, if it differs, such as / behind a proxy that removes "
        "the path.",
        json_schema_extra={"default": "the path of `external_url`"},
    )
    telemetry_path: types.TelemetryPath = Field(
        default="/metrics", description="Path of the metrics, below that of all pages."
    )
    enable_lifecycle: types.Switch = Field(
        default=False,
        description="Reload the settings on `POST /-/reload`.",
        json_schema_extra={"default": "false"},
    )
    allowed_hosts: Annotated[types.HostNames, NoDecode] = Field(
        default=(),
        description="Host names, without port, that requests may name in `Host`, against DNS "
        "rebinding. Addresses and localhost are always served.",
        json_schema_extra={"default": "any"},
    )
    connections_per_address: types.Concurrency | None = Field(
        default=None,
        description="Open connections from one address, or from one IPv6 network; those of this "
        "machine are not limited.",
        json_schema_extra={"default": "a quarter of all connections, 250"},
    )

    @property
    def prefix(self) -> str:
        """The path of all pages, without a slash at its end; empty for the root."""
        path = urlsplit(self.external_url or "").path
        prefix = f"/{path.strip('/')}" if self.route_prefix is None else self.route_prefix
        return prefix.rstrip("/")


class Log(_Model):
    """Log."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(types.one_of("debug", "info", "warning", "error")),
        BeforeValidator(types.warn_as_warning),
    ] = Field(
        default="info", description="Minimum level of log lines: debug, info, warning or error."
    )
    format: Annotated[
        Literal["logfmt", "json"], BeforeValidator(types.one_of("logfmt", "json"))
    ] = Field(default="logfmt", description="Format of log lines.")


class Sharding(_Model):
    """Shard of the images that this exporter watches."""

    index: types.ShardIndex | None = Field(
        default=None,
        description="Index of this shard, from 0, or the name of a StatefulSet's pod.",
    )
    total: types.ShardTotal | None = Field(
        default=None,
        description="Number of shards, the same for all of them; requires the index.",
    )


class State(_Model):
    """File for the state that a restart must not lose."""

    file: types.FileName | None = Field(
        default=None, description="File in which the exporter keeps its state over a restart."
    )


_NO_EXPECTATIONS = Expect()


def _no_expectations() -> Expect:
    """Return an object that all images without expectations of their own share.

    An object of its own would take 1 KiB of memory per image.
    """
    return _NO_EXPECTATIONS


class Image(_Model):
    """An image to watch; a bare string is its ID."""

    id: types.ImageId = Field(description="Image ID, usually a UUID in lower case.")
    alias: types.Label | None = Field(
        default=None,
        description="Label `image` of the image's series, 1 to 255 printable characters.",
        json_schema_extra={"default": "the ID"},
    )
    expect: Expect = Field(
        default_factory=_no_expectations,
        description="Expectations of the image, see below.",
        json_schema_extra={"default": "those of the cloud"},
    )
    labels: Labels = Field(
        default_factory=dict,
        description="Labels of the image, see below.",
        json_schema_extra={"default": "those of the cloud"},
    )

    @model_validator(mode="before")
    @classmethod
    def _from_id(cls, value: object) -> object:
        return value if isinstance(value, dict | Image) else {"id": value}


def _inherited(key: str) -> dict[str, Any]:
    """Return the arguments of a field that overrides a general setting."""
    return {
        "default": None,
        "description": f"Overrides `{key}` for this cloud.",
        "json_schema_extra": {"default": f"`{key}`"},
    }


class Discover(_Model):
    """Discovery rule: watch all images that match every criterion."""

    name: types.Label | None = Field(
        default=None, description="Glob for the image's name, such as `ubuntu-24.04-*`."
    )
    tag: Annotated[
        tuple[types.Label, ...],
        BeforeValidator(types.not_empty),
        BeforeValidator(types.as_list),
    ] = Field(default=(), description="A tag, or a list of tags that the image must all have.")
    owner: types.Label | None = Field(
        default=None, description="ID of the project that owns the image."
    )
    visibility: Annotated[str, BeforeValidator(types.one_of(*VISIBILITIES))] | None = Field(
        default=None, description=f"Visibility of the image: {', '.join(VISIBILITIES)}."
    )
    status: Annotated[
        tuple[Annotated[str, BeforeValidator(types.one_of(*LISTED_STATUSES))], ...],
        BeforeValidator(types.not_empty),
        BeforeValidator(types.as_list),
    ] = Field(default=(), description=f"A status or a list of them: {', '.join(LISTED_STATUSES)}.")
    property: types.Properties = Field(
        default=(),
        description="Mapping of custom properties to their values, all of which must match.",
    )
    most_recent: types.Flag = Field(
        default=False,
        description="Watch only the most recently created image that matches; requires `alias`.",
        json_schema_extra={"default": "false"},
    )
    alias: types.Label | None = Field(
        default=None,
        description="Label `image` of the most recent image. Only with `most_recent`.",
    )
    expect: Expect = Field(
        default_factory=Expect,
        description="Expectations of the images that match, see below.",
        json_schema_extra={"default": "those of the cloud"},
    )
    labels: Labels = Field(
        default_factory=dict,
        description="Labels of the images that match, see below.",
        json_schema_extra={"default": "those of the cloud"},
    )


class Cloud(_Model):
    """A cloud: its authentication, and its images."""

    name: types.Label = Field(
        description="Label `cloud` of the cloud's series, 1 to 255 printable characters."
    )
    cloud: types.Label | None = Field(
        default=None,
        description="Entry of clouds.yaml to sign in with.",
        json_schema_extra={"default": "the OS_* variables, unless `endpoint` is given"},
    )
    region: types.Label | None = Field(
        default=None,
        description="Region of the Image service.",
        json_schema_extra={"default": "from clouds.yaml or OS_REGION_NAME"},
    )
    image_service_name: types.Label | None = Field(
        default=None,
        description="Name of the Image service in the catalog, if a region has several.",
        json_schema_extra={"default": "from clouds.yaml or OS_IMAGE_SERVICE_NAME"},
    )
    interface: (
        Annotated[str, BeforeValidator(types.one_of("public", "internal", "admin"))] | None
    ) = Field(
        default=None,
        description="Interface of the endpoint in the catalog: public, internal or admin.",
        json_schema_extra={"default": "from clouds.yaml or OS_INTERFACE, otherwise public"},
    )
    api: Annotated[RequestedVersion, BeforeValidator(types.one_of("auto", *get_args(ApiName)))] = (
        Field(
            default="auto",
            description=f"Version of the Image API: {', '.join(get_args(ApiName))}, or auto, which "
            "prefers v1 if the endpoint offers both and serves it.",
            json_schema_extra={"default": "from image_api_version in clouds.yaml, otherwise auto"},
        )
    )
    endpoint: types.Endpoint | None = Field(
        default=None,
        description="URL of an Image service to use without Keystone. Excludes `cloud`.",
    )
    token: types.Token | None = Field(
        default=None,
        description="Token for `endpoint`. Prefer `token_file`.",
    )
    token_file: types.TokenFile | None = Field(
        default=None,
        description="File with the token for `endpoint`, read again when it changes. A relative "
        "name starts at the directory of the settings file.",
    )
    images: Annotated[tuple[Image, ...], BeforeValidator(types.not_empty)] = Field(
        default=(),
        description="List of image IDs, or of mappings as below.",
        json_schema_extra={"default": "required without `discover`"},
    )
    discover: Annotated[tuple[Discover, ...], BeforeValidator(types.not_empty)] = Field(
        default=(), description="List of discovery rules, mappings as below."
    )
    interval: types.Interval | None = Field(**_inherited("interval"))
    timeout: types.Seconds | None = Field(**_inherited("timeout"))
    concurrency: types.Concurrency | None = Field(**_inherited("concurrency"))
    rate_limit: types.Rate = Field(**_inherited("rate_limit"))
    max_stale: types.Seconds | None = Field(**_inherited("max_stale"))
    discovery_interval: types.Interval | None = Field(**_inherited("discovery_interval"))
    forget_after: types.Seconds | None = Field(**_inherited("forget_after"))
    properties: types.Names | None = Field(**_inherited("properties"))
    expect: Expect = Field(
        default_factory=Expect,
        description="Expectations of the cloud's images, see below.",
        json_schema_extra={"default": "those of all clouds"},
    )
    labels: Labels = Field(
        default_factory=dict,
        description="Labels of the cloud's images, see below.",
        json_schema_extra={"default": "those of all clouds"},
    )


class Settings(BaseSettings):
    """All settings. Only `parse` checks the rules between fields."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
        # The default of `clouds`, which only demo accepts, is not a valid value.
        validate_default=False,
    )

    config: ConfigFile = Field(default_factory=ConfigFile, description="Settings file.")
    web: Web = Field(default_factory=Web, description="HTTP server.")
    log: Log = Field(default_factory=Log, description="Log.")
    metrics: Metrics = Field(default_factory=Metrics, description="Metrics that are served.")
    shard: Sharding = Field(default_factory=Sharding, description="Shard of the images.")
    state: State = Field(default_factory=State, description="State that survives a restart.")
    os_client_config: types.FileName | None = Field(
        default=None,
        description="File with the clouds of OpenStack's clients, clouds.yaml.",
        json_schema_extra={"default": "OS_CLIENT_CONFIG_FILE, otherwise as OpenStack's clients"},
    )
    interval: types.Interval = Field(
        default="60s",
        validate_default=True,
        description="Time between the starts of two polls of a cloud's images, at least 1s.",
    )
    timeout: types.Seconds | None = Field(
        default=None,
        description="Timeout of one request, at most the interval.",
        json_schema_extra={"default": "the smaller of 10s and the interval"},
    )
    concurrency: types.Concurrency = Field(
        default=16,
        description="Maximum number of concurrent requests per cloud, 1 to 1000; a list of many "
        "images counts as 8.",
    )
    rate_limit: types.Rate = Field(
        default=None,
        description="Maximum number of requests per second and cloud, for all shards together; "
        "none for no limit.",
        json_schema_extra={"default": "none"},
    )
    max_stale: types.Seconds | None = Field(
        default=None,
        description="Time for which values are kept while polls fail, at least 2 intervals.",
        json_schema_extra={"default": "the larger of 15m and 3 intervals"},
    )
    discovery_interval: types.Interval | None = Field(
        default=None,
        description="Time between two lists of a cloud's images for `discover`, at least the "
        "interval.",
        json_schema_extra={"default": "the larger of 5m and the interval"},
    )
    forget_after: types.Seconds = Field(
        default="24h",
        validate_default=True,
        description="Time after which a discovered image that is gone is no longer watched.",
    )
    properties: Annotated[types.Names, NoDecode] = Field(
        default=(),
        description="Custom properties to export as openstack_image_property_info.",
        json_schema_extra={"default": "none"},
    )
    label_value_limit: types.LabelValueLimit = Field(
        default=DEFAULT_LABEL_VALUE_LIMIT,
        description="Maximum length of a label value that the API provides, such as that of a "
        "property, in bytes, 64 to 1000000. Longer values are cut.",
    )
    expect: Annotated[Expect, CliSuppress] = Field(
        default_factory=Expect, description="Expectations of all images, see below."
    )
    labels: Annotated[Labels, CliSuppress] = Field(
        default_factory=dict,
        description="Labels of all images, see below.",
        json_schema_extra={"default": "none"},
    )
    clouds: Annotated[tuple[Cloud, ...], NoDecode, BeforeValidator(types.not_empty)] = Field(
        default=(),
        description="List of clouds, mappings as below; in the environment, as JSON.",
        json_schema_extra={"default": "required, except for demo"},
    )


DEFAULT_INTERVAL = Settings.model_fields["interval"].default
"""The default interval, in the form in which it is written."""
