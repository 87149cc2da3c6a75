"""Settings: flags over environment over a YAML file over defaults."""

from exporter.config.expect import Expect
from exporter.config.in_force import describe, fixed_settings
from exporter.config.load import GETTING_STARTED, Invocation, parse
from exporter.config.messages import SettingsError
from exporter.config.reference import Row, reference
from exporter.config.resolved import (
    ResolvedCloud,
    ResolvedImage,
    resolved_clouds,
    resolved_selection,
    resolved_shard,
)
from exporter.config.schema import (
    Cloud,
    ConfigFile,
    Discover,
    Image,
    Log,
    Settings,
    Sharding,
    Web,
)

__all__ = [
    "GETTING_STARTED",
    "Cloud",
    "ConfigFile",
    "Discover",
    "Expect",
    "Image",
    "Invocation",
    "Log",
    "ResolvedCloud",
    "ResolvedImage",
    "Row",
    "Settings",
    "SettingsError",
    "Sharding",
    "Web",
    "describe",
    "fixed_settings",
    "parse",
    "reference",
    "resolved_clouds",
    "resolved_selection",
    "resolved_shard",
]
