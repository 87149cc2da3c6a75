"""Loading of settings: flags over environment over a YAML file over defaults.

pydantic-settings fills the models. `parse` adds what a model cannot check by itself: rules between
fields, and errors that name the source, the key, the value and what is accepted.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import InitSettingsSource, PydanticBaseSettingsSource

from exporter.config import flags, sources, types
from exporter.config.cross_checks import between_fields, nothing_to_watch
from exporter.config.flags import Command, CommandLine, SettingHelp
from exporter.config.messages import (
    ConfigError,
    SettingsError,
    beginning,
    did_you_mean,
    first_errors,
    first_lines,
    shown,
)
from exporter.config.reference import NONE, Row, inner_model, reference
from exporter.config.resolved import resolved_clouds
from exporter.config.schema import DEFAULT_INTERVAL, Settings
from exporter.config.sources import ConfigSource

_CLOUDS = "accepted: a list of clouds, each with a name and images"

WITHOUT_IMAGES = frozenset({"demo", "list"})
"""The commands that need neither clouds nor images in the settings."""

GETTING_STARTED = (
    "no clouds to watch: list them in a file and name it by --config.file=FILE, such as",
    "  clouds:",
    "    - name: mycloud",
    "      images: [IMAGE_ID]",
    f"or try the exporter with a simulated cloud: {flags.PROGRAM} demo",
)

_PROBLEMS = {
    "missing": "missing; accepted: {meaning}",
    "extra_forbidden": "unknown key{near}; accepted: {accepted}",
    "model_type": "{value} is not a mapping; accepted: a mapping of keys to values",
    "tuple_type": "{value} is not a list; accepted: a list",
    types.HIDDEN: "{problem}",
}
"""The text of pydantic's errors by type. No text shows a value that may be a secret."""


@dataclass(frozen=True)
class Invocation:
    """A command with its settings, its argument and its own options.

    Attributes:
        command: The command.
        settings: The settings.
        image_id: The argument of ``show``.
        argv: The arguments, which are parsed again at a reload.
        options: The values of the flags that only this command has.
        sources: The sources of the settings; the first that has a value wins.
    """

    command: Command
    settings: Settings
    image_id: str | None
    argv: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[ConfigSource, ...] = ()


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Invocation:
    """Read the command and the settings from the arguments and the environment.

    The only file that is read is the settings file. `demo` gets no clouds.

    Raises:
        SettingsError: With every error in the settings.
        SystemExit: With status 0, after ``--help`` or ``--version``.
    """
    rows = reference()
    command_line = flags.read(
        argv,
        Settings,
        _help_texts(rows),
        switches={row.flag for row in rows if row.is_switch},
        lists={row.flag for row in rows if row.is_list},
    )
    config_sources = _sources(command_line, environ, rows)
    needs_images = command_line.command not in WITHOUT_IMAGES
    # The demo has defaults of its own, so only written values can contradict each other.
    defaults = {} if command_line.command == "demo" else {"interval": DEFAULT_INTERVAL}
    settings, errors = _validate(config_sources, defaults, needs_images=needs_images)
    lines = [
        *_image_id_errors(command_line.image_id, settings),
        *(line for source in config_sources for line in source.errors),
        *first_lines(errors, lambda error: _error_line(error, config_sources)),
        *(_missing_clouds(config_sources) if needs_images else ()),
    ]
    if lines or settings is None:
        raise SettingsError(*lines)
    return Invocation(
        command_line.command,
        settings,
        command_line.image_id,
        tuple(argv),
        command_line.options,
        tuple(source.compressed() for source in config_sources),
    )


def _help_texts(rows: Sequence[Row]) -> dict[str, SettingHelp]:
    """Return the help of every setting that has a flag, by key."""
    return {
        row.key: SettingHelp(f"{row.meaning} [default: {row.default}; {row.variable}]", row.metavar)
        for row in rows
        if row.flag != NONE
    }


def _sources(
    command_line: CommandLine, environ: Mapping[str, str], rows: Sequence[Row]
) -> tuple[ConfigSource, ...]:
    """Return the sources of settings; the first that has a value wins."""
    without = {"clouds"} if command_line.command == "demo" else set[str]()
    by_flags = sources.command_line(command_line.source, {row.key: row.flag for row in rows})
    variables = {row.key: row.variable for row in rows if row.variable != NONE}
    by_variables = sources.environment(Settings, environ, variables, without)
    for source in (by_flags, by_variables):
        # The name of the file is needed before anything is validated.
        if path := source.raw.get("config", {}).get("file"):
            return by_flags, by_variables, sources.file(Settings, Path(path), without)
    return by_flags, by_variables


def _validate(
    config_sources: Sequence[ConfigSource], defaults: Mapping[str, object], *, needs_images: bool
) -> tuple[Settings | None, list[ConfigError]]:
    """Build the settings, and return them with the errors in them and between them."""
    raw: dict[str, object] = {}
    for source in reversed(config_sources):
        raw |= {key: _merge_groups(raw.get(key), value) for key, value in source.raw.items()}
    between = [*between_fields(raw, defaults), *(nothing_to_watch(raw) if needs_images else ())]
    try:
        return _settings(source.source for source in config_sources), between
    except ValidationError as error:
        errors = first_errors(
            error,
            lambda: _settings([InitSettingsSource(Settings, beginning(raw))]),
            lambda details: config_error(details, Settings),
        )
        return None, [*errors, *between]


def _settings(config_sources: Iterable[PydanticBaseSettingsSource]) -> Settings:
    return Settings(_build_sources=(tuple(config_sources), {}))


def _merge_groups(lower: object, higher: object) -> object:
    """Return the higher value; the keys of a group of settings may come from several sources."""
    if isinstance(lower, dict) and isinstance(higher, dict):
        return {**lower, **higher}
    return higher


def config_error(details: ErrorDetails, root: type[BaseModel]) -> ConfigError:
    """Return pydantic's error about a value below the model ``root``."""
    *parents, key = details["loc"]
    model = root
    for part in parents:
        if isinstance(part, str) and part in model.model_fields:
            model = inner_model(model.model_fields[part]) or model
    # The keys of config are accepted as flags and variables only.
    excluded = "config" if model is Settings else None
    accepted = {name: field for name, field in model.model_fields.items() if name != excluded}
    problem = _PROBLEMS.get(details["type"], "{value} {problem}").format(
        value=shown(details["input"]),
        problem=details["msg"],
        near=did_you_mean(str(key), accepted),
        accepted=", ".join(accepted),
        meaning=_within_a_line(accepted[key].description) if key in accepted else "",
    )
    return ConfigError(details["loc"], problem)


def _within_a_line(description: str | None) -> str:
    text = (description or "").removesuffix(".")
    return text[:1].lower() + text[1:]


def _error_line(error: ConfigError, config_sources: Sequence[ConfigSource]) -> str:
    """Return an error as one line that names the source of the value.

    The named source is the one with most of the keys on the path to the value. For example, if
    ``log.level`` is wrong, a file with the key ``log.level`` is named rather than a variable that
    only sets ``log.format``.
    """
    source = max(config_sources, key=lambda source: source.matched_depth(error.loc))
    # An image that is a bare ID has no key "id"; a missing key is in no source.
    is_missing = error.text.startswith("missing")
    loc = error.loc if is_missing else error.loc[: source.matched_depth(error.loc)]
    return f"{source.label(loc)}: {error.text}"


def _image_id_errors(image_id: str | None, settings: Settings | None) -> Iterator[str]:
    clouds = resolved_clouds(settings) if settings else ()
    aliases = {image.alias for cloud in clouds for image in cloud.images}
    try:
        if image_id is not None and image_id not in aliases:
            types.image_id(image_id)
    except PydanticCustomError as error:
        yield f"show: {shown(image_id)} {error.message()}"


def _missing_clouds(config_sources: Sequence[ConfigSource]) -> tuple[str, ...]:
    if any("clouds" in source.raw or not source.is_complete for source in config_sources):
        return ()
    _, _, *files = config_sources
    lines = tuple(f"{file.label(('clouds',))}: missing; {_CLOUDS}" for file in files)
    return lines or GETTING_STARTED
