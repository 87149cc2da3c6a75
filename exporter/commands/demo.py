"""``demo``: run the daemon against simulated services.

The images change, are deleted and fail to be polled.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml
from pydantic_settings import InitSettingsSource

from exporter.app import bind_server, build_application
from exporter.commands import Exit
from exporter.config import (
    ResolvedCloud,
    Settings,
    resolved_clouds,
    resolved_selection,
    resolved_shard,
)
from exporter.config.sources import ConfigSource
from exporter.daemon import Daemon
from exporter.demo.clouds import CLOUDS, clouds_yaml
from exporter.demo.events import LOOP_SECONDS
from exporter.demo.services import DemoServices, running_services
from exporter.demo.story import DemoStory
from exporter.model.units import format_duration
from exporter.process import dump_stacks_on_signal, stop_on_signals
from exporter.web.security.middleware import SecurityState
from exporter.web_security import load_security

INTERVAL = 5.0
"""Default of ``interval`` in seconds, which shows changes sooner than that of the settings."""

TIMEOUT = 2.0
"""Default of ``timeout`` in seconds."""

FORGET_AFTER = 30.0
"""Default of ``forget_after`` in seconds."""

PROPERTIES = (
    "os_distro",
    "os_version",
    "image_build_date",
    "replace_frequency",
    "provided_until",
    "uuid_validity",
)
"""Default of ``properties``."""

Describe = Callable[[Settings, ConfigSource], str]
"""Returns settings as text, without secrets; the source has those of the demo itself."""


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
    loaded = load_security(settings.web.config.file, redact)
    security = SecurityState(loaded.config, settings.web.prefix)
    with (
        closing(bind_server(settings.web)) as server,
        running_services() as services,
        DemoStory(services, print_line),
    ):
        added = added_settings(settings, services, use_own_clouds_yaml(services))
        own_settings = demo_settings(settings, added)
        clouds = resolved_clouds(own_settings)
        scheme = "https" if security.tls else "http"
        url = settings.web.external_url or _url(server.addresses[0], settings.web.prefix, scheme)
        for line in _welcome(url, settings.web.telemetry_path, clouds):
            print_line(line)
        application = build_application(clouds, shard=resolved_shard(settings))
        application.selection = resolved_selection(settings)
        Daemon(
            application,
            server,
            stop,
            security=security,
            config_text=lambda: describe(own_settings, _source(added)),
            web=settings.web,
        ).run()
    return Exit.OK


def use_own_clouds_yaml(services: DemoServices) -> Path:
    """Replace the user's configuration of OpenStack in this process; return the clouds.yaml.

    The file exists in memory only, since a container may have no folder to write to.
    """
    for name in tuple(os.environ):
        if name.startswith("OS_"):
            del os.environ[name]
    # The services run on this machine, where a proxy cannot reach them.
    os.environ["no_proxy"] = "*"
    descriptor = os.memfd_create("clouds.yaml")
    os.write(descriptor, yaml.safe_dump(clouds_yaml(services)).encode())
    path = f"/proc/self/fd/{descriptor}"
    os.environ["OS_CLIENT_SECURE_FILE"] = path
    return Path(path)


def added_settings(settings: Settings, services: DemoServices, clouds_file: Path) -> dict[str, Any]:
    """Return the settings that the demo adds or replaces, as in a settings file."""
    written = {key for key in settings.model_fields_set if getattr(settings, key) is not None}
    interval = settings.interval if "interval" in written else INTERVAL
    timeout = min(settings.timeout or TIMEOUT, interval)
    defaults = {
        "interval": format_duration(INTERVAL),
        "discovery_interval": format_duration(interval),
        "forget_after": format_duration(FORGET_AFTER),
        "properties": [*PROPERTIES],
    }
    added = {key: value for key, value in defaults.items() if key not in written}
    if timeout != settings.timeout:
        added["timeout"] = format_duration(timeout)
    endpoints = {"demo": {"endpoint": services.first.url}}
    clouds = [{**cloud, **endpoints.get(cloud["name"], {})} for cloud in CLOUDS]
    return {**added, "os_client_config": str(clouds_file), "clouds": clouds}


def demo_settings(settings: Settings, added: Mapping[str, Any]) -> Settings:
    """Return the settings with those that the demo adds or replaces."""
    own = Settings.model_validate(added)
    return settings.model_copy(update={key: getattr(own, key) for key in added})


def _source(added: Mapping[str, Any]) -> ConfigSource:
    return ConfigSource(InitSettingsSource(Settings, dict(added)), lambda _: "the demo")


def _url(address: str, prefix: str, scheme: str) -> str:
    host, _, port = address.rpartition(":")
    return f"{scheme}://{'localhost' if host == '[::]' else host}:{port}{prefix}"


def _welcome(url: str, metrics_path: str, clouds: tuple[ResolvedCloud, ...]) -> tuple[str, ...]:
    base = url.removesuffix("/")
    return (
        f"{len(clouds)} simulated clouds, polled every {clouds[0].interval:g} seconds: "
        "demo by API v1 without Keystone, and demo-v2 by API v2 with Keystone.",
        f"metrics: {base}{metrics_path}",
        f"web page: {base}/",
        f"events are printed here, in a loop of {LOOP_SECONDS / 60:g} minutes; Ctrl-C ends it.",
    )
