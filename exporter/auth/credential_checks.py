"""Mistakes in the credentials of an entry of clouds.yaml, found before a request is sent.

Keystone refuses them with 400 or 401, which does not say why. No text shows a value.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from keystoneauth1 import exceptions, loading

from exporter.auth.openstack_files import Misread
from exporter.redaction import NOT_SHOWN, looks_like_path, shown_value

DEFAULT_AUTH_TYPE = "password"

_BESIDE_AUTH = frozenset(
    {
        "auth_type",
        "verify",
        "insecure",
        "cacert",
        "cert",
        "key",
        "region_name",
        "regions",
        "interface",
        "profile",
        "cloud",
        "identity_api_version",
        "image_api_version",
        "image_endpoint_override",
        "image_service_name",
    }
)
"""Keys that are often written below ``auth`` and belong beside it."""

_ACCESS_KEYS = frozenset({"ak", "sk", "access_key", "secret_key", "access_key_id"})

_CONVERTED = frozenset(
    {
        "project_id",
        "project_name",
        "tenant_id",
        "tenant_name",
        "domain_id",
        "domain_name",
        "user_domain_id",
        "user_domain_name",
        "project_domain_id",
        "project_domain_name",
        "token",
        "passcode",
    }
)
"""Keys whose numbers openstacksdk converts to text."""

_AUTH_TYPES = (
    ({"application_credential_id", "application_credential_name"}, "v3applicationcredential"),
    ({"application_credential_secret"}, "v3applicationcredential"),
    ({"access_token"}, "v3oidcaccesstoken"),
    ({"oauth2_client_id", "oauth2_endpoint"}, "v3oauth2clientcredential"),
    ({"identity_provider", "discovery_endpoint", "access_token_endpoint"}, "v3oidcpassword"),
    ({"token", "auth_token"}, "v3token"),
    ({"passcode"}, "v3totp"),
)
"""The ``auth_type`` that needs one of these keys; the first row that matches counts."""

_COMMON = "password, v3applicationcredential or v3token"

_SECRET_KEYS = frozenset(
    {
        "password",
        "application_credential_secret",
        "client_secret",
        "oauth2_client_secret",
        "token",
        "access_token",
        "passcode",
    }
)
_NAMES_IN_DOMAINS = (
    ("username", "user_id", "user_domain"),
    ("project_name", "project_id", "project_domain"),
)
"""A name, the ID that needs no domain, and the domain of the name."""

_TEXTS = _SECRET_KEYS | _CONVERTED | {"auth_url", "user_id", "username"}

_UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")
_MISSING = re.compile(r"missing \d+ required .*?'(\w+)'")
_MISSING_KEY = {"You must provide an auth secret.": "application_credential_secret"}
"""The key that is missing, by the text of an exception of keystoneauth that does not name it."""

_QUOTES = ('"', "'")


def misread_value(*parts: Mapping[str, Any]) -> str:
    """Return the first value that YAML does not read as text; parts of an entry, from each file."""
    for part in parts:
        auth = part.get("auth")
        for key, value in auth.items() if isinstance(auth, dict) else ():
            kind = _kind_of_misread(key, value)
            if kind:
                return f"auth.{key}: YAML reads this value as {kind}, not as text; put it in quotes"
    return ""


def _kind_of_misread(key: str, value: object) -> str:
    if isinstance(value, Misread):
        return value.kind
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float) and key not in _CONVERTED:
        return "a number"
    if isinstance(value, list | dict) and key in _TEXTS:
        return "a list" if isinstance(value, list) else "a mapping"
    return ""


def cause_of_failure(entry: Mapping[str, Any], error: Exception, *, variables: bool) -> str:
    """Return why openstacksdk cannot use an entry, in the words of the file, or nothing.

    Args:
        entry: The entry, with the credentials below or beside ``auth``.
        error: The exception of openstacksdk.
        variables: True if the entry consists of the ``OS_*`` variables.
    """
    auth = entry.get("auth")
    below: Mapping[str, Any] = auth if isinstance(auth, dict) else {}
    keys = {str(key).replace("-", "_") for key in (*below, *entry)}
    if access_keys := sorted(keys & _ACCESS_KEYS):
        return (
            f"{access_keys[0]} is an access key, with which Keystone has no sign-in; accepted: "
            "username and password, an application credential, or a token"
        )
    if misplaced := [key for key in below if key in _BESIDE_AUTH]:
        return f"auth.{misplaced[0]} belongs beside auth, not under it"
    likely = _likely_auth_type(keys)
    if likely and entry.get("auth_type") in {None, "", DEFAULT_AUTH_TYPE}:
        missing = f"OS_AUTH_TYPE={likely}" if variables else f"auth_type: {likely}, beside auth,"
        return f"{missing} is missing: the credentials are not for auth_type {DEFAULT_AUTH_TYPE}"
    auth_type = str(entry.get("auth_type") or DEFAULT_AUTH_TYPE)
    return _wrong_options(auth_type, error, variables=variables)


def _wrong_options(auth_type: str, error: Exception, *, variables: bool) -> str:
    if match := _UNEXPECTED.search(str(error)):
        near = get_close_matches(match[1], _options(auth_type), n=1)
        advice = f"; did you mean {near[0]}?" if near else ""
        return f"auth.{match[1]} is not an option of auth_type {auth_type}{advice}"
    if isinstance(error, exceptions.NoMatchingPlugin):
        setting = "OS_AUTH_TYPE" if variables else "auth_type"
        shown = shown_value(auth_type) if looks_like_path(auth_type) else NOT_SHOWN
        return f"{setting} {shown} is unknown; accepted, for example: {_COMMON}"
    match = _MISSING.search(str(error))
    if needed := match[1] if match else _MISSING_KEY.get(str(error)):
        return f"auth has no {needed}, which auth_type {auth_type} needs"
    return ""


def _likely_auth_type(keys: set[str]) -> str:
    auth_type = next((auth_type for needed, auth_type in _AUTH_TYPES if needed & keys), "")
    if auth_type == "v3oidcpassword" and not {"username", "password"} & keys:
        return "v3oidcclientcredentials"
    return auth_type


def _options(auth_type: str) -> list[str]:
    try:
        options = loading.get_plugin_loader(auth_type).get_options()
    except exceptions.NoMatchingPlugin:
        return []
    return [option.dest for option in options]


def broken_value(auth: Mapping[str, Any], *, variables: bool) -> str:
    """Return the first credential that is certainly not as it was meant, or nothing.

    Args:
        auth: The credentials.
        variables: True if they come from the ``OS_*`` variables.
    """
    for key, value in auth.items():
        if not isinstance(value, str):
            continue
        setting = f"OS_{key.upper()}" if variables else f"auth.{key}"
        if value.strip("\r\n") != value:
            return (
                f"{setting} begins or ends with a line break; remove it, for example with "
                "`echo -n` where a Kubernetes Secret is made"
            )
        if key not in _SECRET_KEYS and _is_quoted(value):
            return f"{setting} begins and ends with a quote, which is part of the value; remove it"
    return ""


def suspicions(auth: Mapping[str, Any], auth_type: str) -> Iterator[str]:
    """Yield likely reasons for a refused sign-in, each of which may be intended."""
    for key in sorted(_SECRET_KEYS & auth.keys()):
        if isinstance(auth[key], str) and _is_quoted(auth[key]):
            yield f"auth.{key} begins and ends with a quote, which is part of the value"
    if auth_type.startswith(("v2", "v3oidc")):
        return
    for name, identifier, domain in _NAMES_IN_DOMAINS:
        domains = (f"{domain}_name", f"{domain}_id", "default_domain_name", "default_domain_id")
        if auth.get(name) and not any(auth.get(key) for key in (identifier, *domains)):
            yield f"auth has {name} without {domain}_name or {domain}_id, which is often `Default`"


def _is_quoted(value: str) -> bool:
    return len(value) > 1 and value[0] == value[-1] and value.startswith(_QUOTES)
