"""Settings: flags over environment over a YAML file over defaults."""

from exporter.config.expect import Expect, expected_properties
from exporter.config.load import GETTING_STARTED, Invocation, SettingsError, parse
from exporter.config.reference import Row, reference
from exporter.config.schema import (
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

__all__ = [
    "GETTING_STARTED",
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
