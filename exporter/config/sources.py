"""The places where settings are written: the command line, the environment, a file.

A place is a source for pydantic-settings, and what an error calls it.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
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
from exporter.config.cross_checks import Loc
from exporter.config.messages import did_you_mean, file_name, key_path, name

ENVIRONMENT_PREFIX = "IMAGE_EXPORTER_"

# Kubernetes gives a pod variables about every Service, also about one named image-exporter.
_KUBERNETES = re.compile(
    r"\w+(_SERVICE_HOST|_SERVICE_PORT(_\w+)?|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)=|"
    r"\w+_PORT=\w+://"
)


@dataclass(frozen=True)
class ConfigSource:
    """Settings written in one place.

    `label` begins an error about a value there, `mistakes` are about the place itself, and
    `is_complete` is false when some of what is written there could not be read.
    """

    source: PydanticBaseSettingsSource
    label: Callable[[Loc], str]
    mistakes: tuple[str, ...] = ()
    is_complete: bool = True

    @cached_property
    def written(self) -> dict[str, Any]:
        """The settings as they are written, checked by nobody yet."""
        return self.source()

    def reach(self, loc: Loc) -> int:
        """How many of the keys that lead to a value are written here."""
        value: Any = self.written
        for depth, key in enumerate(loc):
            if isinstance(key, int):
                is_written = isinstance(value, list) and key < len(value)
            else:
                is_written = isinstance(value, dict) and key in value
            if not is_written:
                return depth
            value = value[key]
        return len(loc)


def command_line(source: PydanticBaseSettingsSource, flags: Mapping[str, str]) -> ConfigSource:
    """The flags that were given; `flags` has how each is written, by key."""
    return ConfigSource(source, lambda loc: f"flag {flags[_setting(loc, flags)]}")


def environment(
    settings: type[BaseSettings],
    environ: Mapping[str, str],
    variables: Mapping[str, str],
    without: Collection[str],
) -> ConfigSource:
    """The variables of the environment; `variables` has the name of each, by key.

    An empty variable is as good as none. Keys in `without` are left out.
    """
    mistakes = []
    is_complete = True
    keys = {variable: key for key, variable in variables.items()}
    found: dict[str, Any] = {}
    for variable, value in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        if variable not in keys:
            if not _KUBERNETES.match(f"{variable}={value}"):
                near = did_you_mean(variable, keys, ENVIRONMENT_PREFIX)
                mistakes.append(f"environment variable {name(variable)}: unknown{near}")
        elif value and keys[variable] not in without:
            found[variable.lower()] = value
    clouds = variables["clouds"]
    if clouds.lower() in found:
        try:
            document = yaml_reader.read_json(found.pop(clouds.lower()))
        except yaml_reader.UnreadableError as error:
            mistakes.append(f"environment variable {clouds}: {error}")
            is_complete = False
        else:
            found[clouds.lower()] = _sealed(document.data)
            mistakes += [f"environment variable {clouds}: {text}" for text in document.mistakes]
    source = EnvSettingsSource(settings)
    source.env_vars = found

    def label(loc: Loc) -> str:
        place = f"environment variable {variables[_setting(loc, variables)]}"
        return f"{place}: {key_path(loc)}" if loc[0] == "clouds" else place

    return ConfigSource(source, label, tuple(mistakes), is_complete)


def file(settings: type[BaseSettings], path: Path, without: Collection[str]) -> ConfigSource:
    """The settings file. Keys in `without` are left out."""
    shown_path = file_name(str(path))
    data: dict[str, Any] = {}
    mistakes: list[str] = []
    try:
        document = yaml_reader.read_file(path)
    except yaml_reader.UnreadableError as error:
        mistakes.append(str(error))
        is_complete = False
    else:
        mistakes += document.mistakes
        is_complete = isinstance(document.data, dict)
        if isinstance(document.data, dict):
            data = {key: value for key, value in document.data.items() if key not in without}
        else:
            mistakes.append("is not a mapping of settings, such as interval: 60s")
    if "config" in data:
        del data["config"]
        mistakes.append("config: cannot stand in the file itself; accepted: flag or variable")
    if "clouds" in data:
        data["clouds"] = _sealed(data["clouds"])
    return ConfigSource(
        InitSettingsSource(settings, data),
        lambda loc: f"{shown_path}: {key_path(loc)}",
        tuple(f"{shown_path}: {text}" for text in mistakes),
        is_complete,
    )


def _setting(loc: Loc, known: Mapping[str, str]) -> str:
    """The key of the setting that a value is, or is a part of."""
    paths = (".".join(map(str, loc[:depth])) for depth in range(len(loc), 0, -1))
    return next((path for path in paths if path in known), str(loc[0]))


def _sealed(clouds: object) -> object:
    """Seal the tokens before anything else sees them, so that nothing can print one."""
    for cloud in clouds if isinstance(clouds, list) else ():
        if isinstance(cloud, dict) and isinstance(cloud.get("token"), str):
            cloud["token"] = SecretStr(cloud["token"])
    return clouds
