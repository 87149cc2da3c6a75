"""``demo``: run the daemon against a simulated Image service.

Its images change, are deleted and fail to be polled.
"""

import os
from collections.abc import Callable
from contextlib import closing

from pydantic_settings import InitSettingsSource

from exporter.app import bind_server, build_application
from exporter.commands import Exit
from exporter.config import Cloud, Image, ResolvedCloud, Settings, resolved_clouds, resolved_shard
from exporter.config.sources import ConfigSource
from exporter.daemon import Daemon
from exporter.demo.story import IMAGES, LOOP_SECONDS, DemoStory
from exporter.model.units import format_duration
from exporter.process import dump_stacks_on_signal, stop_on_signals
from exporter.simulator.service import SimulatedImageService
from exporter.web.security.middleware import SecurityState
from exporter.web_security import load_security

INTERVAL = 5.0
"""Default of ``interval`` in seconds, which shows changes sooner than that of the settings."""

TIMEOUT = 2.0
"""Default of ``timeout`` in seconds."""

PROPERTIES = ("os_distro", "os_version")
"""Default of ``properties``."""

Describe = Callable[[Settings, ConfigSource], str]
"""Returns settings as text, without secrets; the source has what the demo adds to them."""


def demo(
    settings: Settings,
    print_line: Callable[[str], object],
    redact: Callable[[str], object],
    describe: Describe,
) -> int:
    """Run the demo until a signal ends it.

    Args:
        settings: The settings; their clouds are ignored.
        print_line: Prints an event of the demo.
        redact: Called with each secret that must not be logged.
        describe: Returns the text of `/config`.

    Raises:
        ListenError: An address cannot be bound.
        SettingsError: The web configuration file is invalid.
    """
    stop = stop_on_signals()
    dump_stacks_on_signal()
    security = SecurityState(load_security(settings.web.config.file, redact).config)
    # The service runs on this machine, where a proxy cannot reach it.
    os.environ["no_proxy"] = "*"
    with (
        closing(bind_server(settings.web)) as server,
        SimulatedImageService(IMAGES.values()) as service,
        DemoStory(service, print_line),
    ):
        own_settings = demo_settings(settings, service.url)
        cloud = demo_cloud(own_settings)
        scheme = "https" if security.tls else "http"
        url = settings.web.external_url or _url(server.addresses[0], settings.web.prefix, scheme)
        for line in _welcome(url, settings.web.telemetry_path, cloud):
            print_line(line)
        application = build_application([cloud], shard=resolved_shard(settings))
        Daemon(
            application,
            server,
            stop,
            security=security,
            config_text=lambda: describe(own_settings, _source(own_settings)),
            web=settings.web,
        ).run()
    return Exit.OK


def demo_settings(settings: Settings, endpoint: str) -> Settings:
    """Return the settings with the demo's only cloud; what is not written has its defaults."""
    written = settings.model_fields_set
    interval = settings.interval if "interval" in written else INTERVAL
    own = {
        "interval": interval,
        "timeout": min(settings.timeout or TIMEOUT, interval),
        "properties": settings.properties if "properties" in written else PROPERTIES,
    }
    images = tuple(Image(id=image.id, alias=alias) for alias, image in IMAGES.items())
    cloud = Cloud(name="demo", api="v1", endpoint=endpoint, images=images)
    return settings.model_copy(update={**own, "clouds": (cloud,)})


def demo_cloud(settings: Settings) -> ResolvedCloud:
    """Return the only cloud of ``demo_settings``."""
    (cloud,) = resolved_clouds(settings)
    return cloud


def _source(settings: Settings) -> ConfigSource:
    """Return what the demo adds to the settings that are written."""
    (cloud,) = settings.clouds
    own = {
        "interval": format_duration(settings.interval),
        "timeout": format_duration(settings.timeout or TIMEOUT),
        "properties": [*settings.properties],
        "clouds": [cloud.model_dump(mode="json", exclude_unset=True)],
    }
    return ConfigSource(InitSettingsSource(Settings, own), lambda _: "the demo")


def _url(address: str, prefix: str, scheme: str) -> str:
    host, _, port = address.rpartition(":")
    return f"{scheme}://{'localhost' if host == '[::]' else host}:{port}{prefix}"


def _welcome(url: str, metrics_path: str, cloud: ResolvedCloud) -> tuple[str, ...]:
    base = url.removesuffix("/")
    return (
        f"{len(IMAGES)} images of a simulated Image service at {cloud.endpoint}, polled every "
        f"{cloud.interval:g} seconds.",
        f"metrics: {base}{metrics_path}",
        f"web page: {base}/",
        f"events are printed here, in a loop of {LOOP_SECONDS / 60:g} minutes; Ctrl-C ends it.",
    )
