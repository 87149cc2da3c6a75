"""The settings as models, one class for each mapping of the file."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, CliSuppress, NoDecode, SettingsConfigDict

from exporter.config import types
from exporter.config.expect import Expect
from exporter.config.sources import ENVIRONMENT_PREFIX
from exporter.model.expectations.checks import VISIBILITIES

LISTED_STATUSES = ("queued", "saving", "uploading", "importing", "active", "deactivated")
"""The statuses of images that a list may hold: those of deleted ones are left out."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ConfigFile(_Model):
    """Where the settings file is; these keys cannot stand in the file itself."""

    file: types.FileName | None = Field(
        default=None, description="The settings file, in YAML. Clouds are listed there."
    )
    reload_on_change: types.Switch = Field(
        default=False,
        description="Whether the settings are read again when the file changes.",
        json_schema_extra={"default": "false"},
    )


class WebConfig(_Model):
    """Where the web configuration file is."""

    file: types.FileName | None = Field(
        default=None,
        description="File with certificates, users and headers, in the format of Prometheus' "
        "exporter-toolkit.",
    )


class Web(_Model):
    """What is served, and where."""

    config: WebConfig = Field(
        default_factory=WebConfig, description="Where the web configuration file is."
    )
    listen_address: Annotated[
        str, BeforeValidator(types.text('an address such as ":10292" or "127.0.0.1:10292"'))
    ] = Field(
        default=":10292",
        description="Address to listen on; without a host, all addresses, IPv6 too.",
    )
    systemd_socket: types.Switch = Field(
        default=False,
        description="Whether to listen on the sockets that systemd hands on, instead of the "
        "address.",
        json_schema_extra={"default": "false"},
    )
    external_url: types.ExternalUrl | None = Field(
        default=None,
        description="URL by which it is reached, behind a proxy; its path goes before all pages.",
    )
    route_prefix: types.RoutePrefix | None = Field(
        default=None,
        description="What goes before all pages instead, such as / behind a proxy that takes the "
        "path away.",
        json_schema_extra={"default": "the path of `external_url`"},
    )
    enable_lifecycle: types.Switch = Field(
        default=False,
        description="Whether `POST /-/reload` reads the settings again.",
        json_schema_extra={"default": "false"},
    )

    @property
    def prefix(self) -> str:
        """What goes before all pages: it begins with a slash and ends in none, or is empty."""
        path = urlsplit(self.external_url or "").path
        prefix = f"/{path.strip('/')}" if self.route_prefix is None else self.route_prefix
        return prefix.rstrip("/")


class Log(_Model):
    """What is logged, and how."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(types.one_of("debug", "info", "warning", "error")),
    ] = Field(default="info", description="Least severe level that is logged.")
    format: Annotated[
        Literal["logfmt", "json"], BeforeValidator(types.one_of("logfmt", "json"))
    ] = Field(default="logfmt", description="Format of a log line.")


class Sharding(_Model):
    """Which part of the images is watched, where several exporters share them."""

    index: types.ShardIndex | None = Field(
        default=None,
        description="Which of the shards this is, from 0; the name of a StatefulSet's pod will do.",
    )
    total: types.Shards | None = Field(
        default=None,
        description="How many shards share the images, the same for all; needs the index.",
    )


class Image(_Model):
    """An image to watch; a bare string is its ID."""

    id: types.ImageId = Field(description="Image ID, a UUID in lower case as a rule.")
    alias: types.Label | None = Field(
        default=None,
        description="Label `image` of its series, 1 to 255 printable characters.",
        json_schema_extra={"default": "the ID"},
    )
    expect: Expect = Field(
        default_factory=Expect,
        description="What the image should be like, see below.",
        json_schema_extra={"default": "what the cloud says"},
    )

    @model_validator(mode="before")
    @classmethod
    def _from_id(cls, value: object) -> object:
        return value if isinstance(value, dict | Image) else {"id": value}


def _inherited(key: str) -> dict[str, Any]:
    """What the fields share by which a cloud overrides a general setting."""
    return {
        "default": None,
        "description": f"Overrides `{key}` for this cloud.",
        "json_schema_extra": {"default": f"`{key}`"},
    }


class Discover(_Model):
    """Images to watch for what they are: those that meet every criterion given."""

    name: types.Label | None = Field(
        default=None, description="Glob for the image's name, such as `ubuntu-24.04-*`."
    )
    tag: Annotated[
        tuple[types.Label, ...],
        BeforeValidator(types.not_empty),
        BeforeValidator(types.as_list),
    ] = Field(default=(), description="A tag or a list of them, all of which the image must have.")
    owner: types.Label | None = Field(
        default=None, description="ID of the project that owns the image."
    )
    visibility: Annotated[str, BeforeValidator(types.one_of(*VISIBILITIES))] | None = Field(
        default=None, description=f"Who sees the image: {', '.join(VISIBILITIES)}."
    )
    status: Annotated[
        tuple[Annotated[str, BeforeValidator(types.one_of(*LISTED_STATUSES))], ...],
        BeforeValidator(types.not_empty),
        BeforeValidator(types.as_list),
    ] = Field(default=(), description=f"A status or a list of them: {', '.join(LISTED_STATUSES)}.")
    property: types.Properties = Field(
        default=(), description="Mapping of custom properties to their values, all to be so."
    )
    most_recent: types.Flag = Field(
        default=False,
        description="Whether only the image created last is meant; needs `alias`.",
        json_schema_extra={"default": "false"},
    )
    alias: types.Label | None = Field(
        default=None,
        description="Label `image` of the most recent image, whichever it is. Only with "
        "`most_recent`.",
    )
    expect: Expect = Field(
        default_factory=Expect,
        description="What the images that it finds should be like, see below.",
        json_schema_extra={"default": "what the cloud says"},
    )


class Cloud(_Model):
    """A cloud, how to sign in to it, and its images."""

    name: types.Label = Field(
        description="Label `cloud` of its series, 1 to 255 printable characters."
    )
    cloud: types.Label | None = Field(
        default=None,
        description="Entry of clouds.yaml to sign in by.",
        json_schema_extra={"default": "the OS_* variables, unless `endpoint` is given"},
    )
    region: types.Label | None = Field(
        default=None,
        description="Region whose Image service is asked.",
        json_schema_extra={"default": "that of clouds.yaml or OS_REGION_NAME"},
    )
    interface: (
        Annotated[str, BeforeValidator(types.one_of("public", "internal", "admin"))] | None
    ) = Field(
        default=None,
        description="Endpoint of the catalogue to use: public, internal or admin.",
        json_schema_extra={"default": "that of clouds.yaml or OS_INTERFACE, else public"},
    )
    api: Annotated[
        Literal["auto", "v1", "v2"], BeforeValidator(types.one_of("auto", "v1", "v2"))
    ] = Field(
        default="auto",
        description="Version of the Image API: v1, v2, or auto for what the endpoint offers, "
        "v1 first.",
    )
    endpoint: types.Endpoint | None = Field(
        default=None,
        description="URL of an Image service that is asked without Keystone. Excludes `cloud`.",
    )
    token: types.Token | None = Field(
        default=None,
        description="Token for `endpoint`. Better kept out of the file, in `token_file`.",
    )
    token_file: types.TokenFile | None = Field(
        default=None,
        description="File with the token for `endpoint`, read again when it changes. "
        "Relative to the settings file's directory.",
    )
    images: Annotated[tuple[Image, ...], BeforeValidator(types.not_empty)] = Field(
        default=(),
        description="List of image IDs, or of mappings as below.",
        json_schema_extra={"default": "required without `discover`"},
    )
    discover: Annotated[tuple[Discover, ...], BeforeValidator(types.not_empty)] = Field(
        default=(), description="List of mappings as below: images to watch for what they are."
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
        description="What its images should be like, see below.",
        json_schema_extra={"default": "what is said for all clouds"},
    )


class Settings(BaseSettings):
    """All settings. `parse` makes them, and it alone checks what must hold between fields."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
        # No clouds is right for demo only: a default that could not be written.
        validate_default=False,
    )

    config: ConfigFile = Field(default_factory=ConfigFile, description="The settings file.")
    web: Web = Field(default_factory=Web, description="What is served, and where.")
    log: Log = Field(default_factory=Log, description="What is logged, and how.")
    shard: Sharding = Field(
        default_factory=Sharding, description="Which part of the images is watched."
    )
    interval: types.Interval = Field(
        default="60s",
        validate_default=True,
        description="Time from one poll of all images of a cloud to the next, at least 1s.",
    )
    timeout: types.Seconds = Field(
        default="10s",
        validate_default=True,
        description="Longest time that one request may take; at most the interval.",
    )
    concurrency: types.Concurrency = Field(
        default=16,
        description="Most requests in flight per cloud, 1 to 1000; a list of many images counts "
        "as 8.",
    )
    rate_limit: types.Rate = Field(
        default=None,
        description="Most requests per second and cloud, all shards together; none for no limit.",
        json_schema_extra={"default": "none"},
    )
    max_stale: types.Seconds | None = Field(
        default=None,
        description="How long values are kept while polls fail; at least 2 intervals.",
        json_schema_extra={"default": "the larger of 15m and 3 intervals"},
    )
    discovery_interval: types.Interval | None = Field(
        default=None,
        description="Time from one list of a cloud's images, for `discover`, to the next; at "
        "least the interval.",
        json_schema_extra={"default": "the larger of 5m and the interval"},
    )
    forget_after: types.Seconds = Field(
        default="24h",
        validate_default=True,
        description="How long a discovered image that is gone is shown as such.",
    )
    properties: Annotated[types.Names, NoDecode] = Field(
        default=(),
        description="Custom properties to show as openstack_image_property_info.",
        json_schema_extra={"default": "none"},
    )
    expect: Annotated[Expect, CliSuppress] = Field(
        default_factory=Expect, description="What all images should be like, see below."
    )
    clouds: Annotated[tuple[Cloud, ...], NoDecode, BeforeValidator(types.not_empty)] = Field(
        default=(),
        description="List of clouds, mappings as below; in the environment, as JSON.",
        json_schema_extra={"default": "required, except for demo"},
    )


DEFAULT_PACE = {key: Settings.model_fields[key].default for key in ("interval", "timeout")}
"""The times that hold when nothing is written, as they would be written."""
