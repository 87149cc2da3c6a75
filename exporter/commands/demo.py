"""The daemon on a simulated Image service, whose images change, vanish and fail."""

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
from exporter.process import stop_on_signals
from exporter.simulator.service import SimulatedImageService
from exporter.web.security.middleware import SecurityState
from exporter.web_security import load_security

DEFAULTS = MappingProxyType(
    {"interval": 5.0, "timeout": 2.0, "properties": ("os_distro", "os_version")}
)
"""What differs from the settings' own defaults, so that there is something to see at once."""


def plan(settings: Settings, endpoint: str) -> ResolvedCloud:
    """The demo's one cloud, by the settings that were given, else by the demo's own."""
    own = {key: value for key, value in DEFAULTS.items() if key not in settings.model_fields_set}
    images = tuple(Image(id=image.id, alias=alias) for alias, image in IMAGES.items())
    cloud = Cloud(name="demo", api="v1", endpoint=endpoint, images=images)
    (planned,) = resolved_clouds(settings.model_copy(update={**own, "clouds": (cloud,)}))
    return replace(planned, timeout=min(planned.timeout, planned.interval))


def demo(settings: Settings, say: Callable[[str], object], hide: Callable[[str], object]) -> int:
    """Runs the demo until a signal ends it; ``say`` is given what happens, line by line.

    ``hide`` is given what must not be in the log. Raises ``ListenError`` and ``SettingsError``.
    """
    stop = stop_on_signals()
    guard = SecurityState(load_security(settings.web.config.file, hide).config)
    # The service is on this machine: a proxy, which many networks ask for, would not find it.
    os.environ["no_proxy"] = "*"
    with (
        closing(bind_server(settings.web)) as server,
        SimulatedImageService(IMAGES.values()) as service,
        DemoStory(service, say),
    ):
        planned = plan(settings, service.url)
        here = settings.web.external_url or _url(
            server.addresses[0], settings.web.prefix, "https" if guard.tls else "http"
        )
        for line in _welcome(here, planned):
            say(line)
        application = build_application([planned], shard=resolved_shard(settings))
        Daemon(application, server, stop, security=guard, prefix=settings.web.prefix).run()
    return Exit.OK


def _url(address: str, prefix: str, scheme: str) -> str:
    host, _, port = address.rpartition(":")
    return f"{scheme}://{'localhost' if host == '[::]' else host}:{port}{prefix}"


def _welcome(here: str, planned: ResolvedCloud) -> tuple[str, ...]:
    url = here.removesuffix("/")
    return (
        f"{len(IMAGES)} images of a simulated Image service at {planned.endpoint}, polled every "
        f"{planned.interval:g} seconds.",
        f"metrics: {url}/metrics",
        f"a page for people: {url}/",
        f"what happens is told here, in a loop of {LOOP_SECONDS / 60:g} minutes; Ctrl-C ends it.",
    )
