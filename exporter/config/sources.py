"""Sources of settings: the command line, the environment and a file.

Each has a source for pydantic-settings, and labels for errors about its values.
"""

import json
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
)

from exporter.config import yaml_reader
from exporter.config.messages import Loc, did_you_mean, file_name, key_path, name
from exporter.redaction import NOT_SHOWN, REDACTED, looks_like_key

ENVIRONMENT_PREFIX = "IMAGE_EXPORTER_"

# Kubernetes sets such variables in a pod for every Service, for example one named image-exporter.
_KUBERNETES = re.compile(
    r"\w+(_SERVICE_HOST|_SERVICE_PORT(_\w+)?|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)=|"
    r"\w+_PORT=\w+://"
)


class CompressedClouds:
    """The clouds of a source as they are shown, without secrets, in a tenth of the memory."""

    def __init__(self, clouds: object) -> None:
        text = json.dumps(clouds, default=hidden_or_text)
        self._compressed = zlib.compress(text.encode("ascii"))

    def decompress(self) -> Any:
        """Return the clouds."""
        return json.loads(zlib.decompress(self._compressed))


@dataclass(frozen=True)
class ConfigSource:
    """One source of settings.

    Attributes:
        source: The source for pydantic-settings.
        label: Returns the start of an error about a value of this source.
        errors: Errors of the source itself, such as invalid YAML.
        is_complete: False if a part of the source could not be read.
    """

    source: PydanticBaseSettingsSource
    label: Callable[[Loc], str]
    errors: tuple[str, ...] = ()
    is_complete: bool = True

    @cached_property
    def raw(self) -> dict[str, Any]:
        """The settings as written, not validated."""
        return self.source()

    def compressed(self) -> "ConfigSource":
        """Return a copy with compressed clouds, for settings that only /config will read again."""
        values = dict(self.raw)
        if "clouds" in values:
            values["clouds"] = CompressedClouds(values["clouds"])
        # A new source, since pydantic-settings keeps the values of all sources in each of them.
        return replace(self, source=InitSettingsSource(self.source.settings_cls, values))

    def clouds(self) -> Any:
        """Return the clouds as written, or as they are shown."""
        clouds = self.raw["clouds"]
        return clouds.decompress() if isinstance(clouds, CompressedClouds) else clouds

    def matched_depth(self, loc: Loc) -> int:
        """Return the number of leading keys of ``loc`` that this source has."""
        value: Any = self.raw
        for depth, key in enumerate(loc):
            if isinstance(key, int):
                has_key = isinstance(value, list) and key < len(value)
            else:
                has_key = isinstance(value, dict) and key in value
            if not has_key:
                return depth
            value = value[key]
        return len(loc)


def command_line(source: PydanticBaseSettingsSource, flags: Mapping[str, str]) -> ConfigSource:
    """Return the source of the flags; ``flags`` has the spelling of each by key."""
    return ConfigSource(source, lambda loc: f"flag {flags[_setting(loc, flags)]}")


def environment(
    settings: type[BaseSettings],
    environ: Mapping[str, str],
    variables: Mapping[str, str],
    without: Collection[str],
) -> ConfigSource:
    """Return the source of the environment variables.

    Args:
        settings: The class of the settings.
        environ: The environment. An empty variable counts as not set.
        variables: The name of the variable of each setting, by key.
        without: Keys to ignore.
    """
    errors = []
    is_complete = True
    keys = {variable: key for key, variable in variables.items()}
    values: dict[str, Any] = {}
    for variable, value in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        if variable not in keys:
            if not _KUBERNETES.match(f"{variable}={value}"):
                errors.append(_unknown_variable(variable, keys))
        elif value and keys[variable] not in without:
            values[variable.lower()] = value
    clouds = variables["clouds"]
    if clouds.lower() in values:
        try:
            document = yaml_reader.read_json(values.pop(clouds.lower()))
        except yaml_reader.UnreadableError as error:
            errors.append(f"environment variable {clouds}: {error}")
            is_complete = False
        else:
            values[clouds.lower()] = _with_secret_tokens(document.data)
            errors += [f"environment variable {clouds}: {text}" for text in document.errors]
    source = EnvSettingsSource(settings)
    source.env_vars = values

    def label(loc: Loc) -> str:
        variable = f"environment variable {variables[_setting(loc, variables)]}"
        return f"{variable}: {key_path(loc)}" if loc[0] == "clouds" else variable

    return ConfigSource(source, label, tuple(errors), is_complete)


def file(settings: type[BaseSettings], path: Path, without: Collection[str]) -> ConfigSource:
    """Return the source of the settings file; keys in ``without`` are ignored."""
    shown_path = file_name(str(path))
    data: dict[str, Any] = {}
    errors: list[str] = []
    try:
        document = yaml_reader.read_file(path)
    except yaml_reader.UnreadableError as error:
        errors.append(str(error))
        is_complete = False
    else:
        errors += document.errors
        is_complete = isinstance(document.data, dict)
        if isinstance(document.data, dict):
            data = {key: value for key, value in document.data.items() if key not in without}
        else:
            errors.append("is not a mapping of settings, such as interval: 60s")
    if "config" in data:
        del data["config"]
        errors.append("config: not allowed in the settings file; accepted: flag or variable")
    if "clouds" in data:
        data["clouds"] = _with_secret_tokens(data["clouds"])
    return ConfigSource(
        InitSettingsSource(settings, data),
        lambda loc: f"{shown_path}: {key_path(loc)}",
        tuple(f"{shown_path}: {text}" for text in errors),
        is_complete,
    )


def hidden_or_text(value: object) -> str:
    """Return the text of a value that JSON does not have, such as a date; hide a secret."""
    return REDACTED if isinstance(value, SecretStr) else str(value)


def _unknown_variable(variable: str, accepted: Iterable[str]) -> str:
    if looks_like_key(variable.removeprefix(ENVIRONMENT_PREFIX)):
        return f"environment variable {ENVIRONMENT_PREFIX}* {NOT_SHOWN}: unknown"
    near = did_you_mean(variable, accepted, ENVIRONMENT_PREFIX)
    return f"environment variable {name(variable)}: unknown{near}"


def _setting(loc: Loc, keys: Mapping[str, str]) -> str:
    """Return the key of the setting that a value belongs to."""
    paths = (".".join(map(str, loc[:depth])) for depth in range(len(loc), 0, -1))
    return next((path for path in paths if path in keys), str(loc[0]))


def _with_secret_tokens(clouds: object) -> object:
    """Wrap the tokens before any other code handles them, so that nothing can print one."""
    for cloud in clouds if isinstance(clouds, list) else ():
        if isinstance(cloud, dict) and isinstance(cloud.get("token"), str):
            cloud["token"] = SecretStr(cloud["token"])
    return clouds
