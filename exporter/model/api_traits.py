"""Differences between the API versions in the properties that they report."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

ApiName = Literal["v1", "v2"]

RequestedVersion = Literal["auto"] | ApiName
"""An API version, or ``auto`` for the preferred one of those that the service offers."""


@dataclass(frozen=True, slots=True)
class ApiTraits:
    """Alterations of an image's custom properties by an API version.

    Attributes:
        lowercases_property_names: Names arrive in lower case.
        trims_property_values: Values arrive without spaces at their ends, and a property with the
            value ``None`` cannot be distinguished from an absent one.
    """

    lowercases_property_names: bool = False
    trims_property_values: bool = False

    def property_name(self, name: str) -> str:
        """Return the name under which a property arrives."""
        return name.lower() if self.lowercases_property_names else name

    def property_value(self, value: str) -> str | None:
        """Return the value in a response for the true value, or None if it arrives as absent."""
        if not self.trims_property_values:
            return value
        trimmed = value.strip(" ")
        return None if trimmed in {"", "None"} else trimmed


API_TRAITS: Mapping[ApiName, ApiTraits] = MappingProxyType(
    {
        "v1": ApiTraits(lowercases_property_names=True, trims_property_values=True),
        "v2": ApiTraits(),
    }
)

assert set(API_TRAITS) == set(get_args(ApiName)), (  # noqa: S101  # a version needs its traits
    f"ApiName and API_TRAITS differ in {set(get_args(ApiName)) ^ set(API_TRAITS)}"
)
