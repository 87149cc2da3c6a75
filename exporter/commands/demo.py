"""``demo``: run the daemon against a simulated Image service.

Its images change, are deleted and fail to be polled.
"""

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from types import MappingProxyType

from exporter.app import bind_server, build_application
from exporter.commands import Exit
from exporter.config import Cloud, Image, ResolvedCloud, Settings, resolved_clouds, resolved_shard
from exporter.daemon import Daemon
from exporter.demo.story import IMAGES, LOOP_SECONDS, DemoStory
from exporter.process import dump_stacks_on_signal, stop_on_signals
from exporter.simulator.service import SimulatedImageService
from exporter.web.security.middleware import SecurityState
from exporter.web_security import load_security

DEFAULTS = MappingProxyType(
    {"interval": 5.0, "timeout": 2.0, "properties": ("os_distro", "os_version")}
)
"""The demo's own defaults, which show changes sooner than the defaults of the settings."""


def demo(
    settings: Settings,
    print_line: Callable[[str], object],
    redact: Callable[[str], object],
    config_text: Callable[[], str],
) -> int:
    """Run the demo until a signal ends it.

    Args:
        settings: The settings; their clouds are ignored.
        print_line: Prints an event of the demo.
        redact: Called with each secret that must not be logged.
        config_text: Returns the configuration in force, without secrets.

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
        cloud = demo_cloud(settings, service.url)
        scheme = "https" if security.tls else "http"
        url = settings.web.external_url or _url(server.addresses[0], settings.web.prefix, scheme)
        for line in _welcome(url, cloud):
            print_line(line)
        application = build_application([cloud], shard=resolved_shard(settings))
        Daemon(
            application,
            server,
            stop,
            security=security,
            config_text=config_text,
            prefix=settings.web.prefix,
            allowed_hosts=settings.web.allowed_hosts,
        ).run()
    return Exit.OK


def demo_cloud(settings: Settings, endpoint: str) -> ResolvedCloud:
    """Return the demo's only cloud; settings that are not written have the demo's defaults."""
    defaults = {
        key: value for key, value in DEFAULTS.items() if key not in settings.model_fields_set
    }
    images = tuple(Image(id=image.id, alias=alias) for alias, image in IMAGES.items())
    cloud = Cloud(name="demo", api="v1", endpoint=endpoint, images=images)
    (resolved,) = resolved_clouds(settings.model_copy(update={**defaults, "clouds": (cloud,)}))
    return replace(resolved, timeout=min(resolved.timeout, resolved.interval))


def _url(address: str, prefix: str, scheme: str) -> str:
    host, _, port = address.rpartition(":")
    return f"{scheme}://{'localhost' if host == '[::]' else host}:{port}{prefix}"


def _welcome(url: str, cloud: ResolvedCloud) -> tuple[str, ...]:
    base = url.removesuffix("/")
    return (
        f"{len(IMAGES)} images of a simulated Image service at {cloud.endpoint}, polled every "
        f"{cloud.interval:g} seconds.",
        f"metrics: {base}/metrics",
        f"web page: {base}/",
        f"events are printed here, in a loop of {LOOP_SECONDS / 60:g} minutes; Ctrl-C ends it.",
    )
