"""Settings: flags over environment over a YAML file over defaults."""

from exporter.settings.expect import Expect, expected_properties
from exporter.settings.models import (
    Cloud,
    CloudPlan,
    ConfigFile,
    Discover,
    Image,
    ImagePlan,
    Log,
    Settings,
    Sharding,
    Web,
)
from exporter.settings.parsing import NEWCOMER, Invocation, SettingsError, parse
from exporter.settings.reference import Row, reference

__all__ = [
    "NEWCOMER",
    "Cloud",
    "CloudPlan",
    "ConfigFile",
    "Discover",
    "Expect",
    "Image",
    "ImagePlan",
    "Invocation",
    "Log",
    "Row",
    "Settings",
    "SettingsError",
    "Sharding",
    "Web",
    "expected_properties",
    "parse",
    "reference",
]
