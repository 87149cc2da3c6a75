"""Settings: flags over environment over a YAML file over defaults.

The models are filled by pydantic-settings. `parse` adds what a model cannot say of itself: rules
between fields, and errors that name the source, the key, the value and what is accepted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from exporter.config import flags, sources, types
from exporter.config.cross_checks import ConfigError, between_fields, nothing_to_watch
from exporter.config.flags import Command, CommandLine
from exporter.config.messages import did_you_mean, shown
from exporter.config.reference import NONE, Row, inner_model, reference
from exporter.config.resolved import resolved_clouds
from exporter.config.schema import DEFAULT_PACE, Settings
from exporter.config.sources import ConfigSource

_CLOUDS = "accepted: a list of clouds, each with a name and images"

WITHOUT_IMAGES = frozenset({"demo", "list"})
"""The commands that need no images in the settings, nor clouds."""

GETTING_STARTED = (
    "no clouds to watch: list them in a file and name it by --config.file=FILE, such as",
    "  clouds:",
    "    - name: mycloud",
    "      images: [IMAGE_ID]",
    f"or see everything against a simulated cloud: {flags.PROGRAM} demo",
)

_PROBLEMS = {
    "missing": "missing; accepted: {meaning}",
    "extra_forbidden": "unknown key{near}; accepted: {accepted}",
    "model_type": "{value} is not a mapping; accepted: a mapping of keys to values",
    "tuple_type": "{value} is not a list; accepted: a list",
    types.HIDDEN: "{problem}",
}
"""What is said of pydantic's own errors; values that may be secrets are not in it."""


class SettingsError(Exception):
    """Settings that cannot be used; `lines` has one line per mistake, none with a secret."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


@dataclass(frozen=True)
class Invocation:
    """What a command line asks for; `image_id` is what `show` is to show, else ``None``.

    `argv` is that command line, which may come to mean something else when files change, and
    `options` has the flags that only this command has.
    """

    command: Command
    settings: Settings
    image_id: str | None
    argv: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Invocation:
    """Read the command and the settings from the arguments after the program's name.

    Nothing else is read, but for the settings file that they name. `demo` is given no clouds.

    Raises:
        SettingsError: with every mistake that was found.
        SystemExit: with status 0, after ``--help`` or ``--version``.
    """
    rows = reference()
    helps = {
        row.key: f"{row.meaning} [default: {row.default}; {row.variable}]"
        for row in rows
        if row.flag != NONE
    }
    try:
        line = flags.read(argv, Settings, helps, {row.flag for row in rows if row.is_switch})
    except flags.UsageError as error:
        raise SettingsError(*error.lines) from None
    places = _places(line, environ, rows)
    # The demo has a pace of its own, so only what is written there can be at odds.
    general = {} if line.command == "demo" else DEFAULT_PACE
    settings, found = _validated(places, general, watches=line.command not in WITHOUT_IMAGES)
    mistakes = [
        *_image_id_mistakes(line.image_id, settings),
        *(mistake for place in places for mistake in place.mistakes),
        *(_line(mistake, places) for mistake in found),
        *(_missing_clouds(places) if line.command not in WITHOUT_IMAGES else ()),
    ]
    if mistakes or settings is None:
        raise SettingsError(*mistakes)
    return Invocation(line.command, settings, line.image_id, tuple(argv), line.options)


def _places(
    line: CommandLine, environ: Mapping[str, str], rows: Sequence[Row]
) -> tuple[ConfigSource, ...]:
    """Where settings are written, what wins first."""
    without = {"clouds"} if line.command == "demo" else set[str]()
    by_flags = sources.command_line(line.source, {row.key: row.flag for row in rows})
    variables = {row.key: row.variable for row in rows if row.variable != NONE}
    by_variables = sources.environment(Settings, environ, variables, without)
    for place in (by_flags, by_variables):
        # The file's name is needed before anything is validated.
        if path := place.written.get("config", {}).get("file"):
            return by_flags, by_variables, sources.file(Settings, Path(path), without)
    return by_flags, by_variables


def _validated(
    places: Sequence[ConfigSource], defaults: Mapping[str, object], *, watches: bool
) -> tuple[Settings | None, list[ConfigError]]:
    """Build the settings, and find what is wrong in them and between them."""
    written: dict[str, object] = {}
    for place in reversed(places):
        written |= {key: _merged(written.get(key), each) for key, each in place.written.items()}
    between = [*between_fields(written, defaults), *(nothing_to_watch(written) if watches else ())]
    try:
        return Settings(_build_sources=(tuple(place.source for place in places), {})), between
    except ValidationError as error:
        errors = error.errors(include_url=False)
        return None, [*(mistake(each, Settings) for each in errors), *between]


def _merged(before: object, over: object) -> object:
    """What is written in two places: a group of settings may be written half here, half there."""
    return {**before, **over} if isinstance(before, dict) and isinstance(over, dict) else over


def mistake(error: ErrorDetails, root: type[BaseModel]) -> ConfigError:
    """What pydantic found in a model, in a line."""
    *above, key = error["loc"]
    beside = root
    for part in above:
        if isinstance(part, str) and part in beside.model_fields:
            beside = inner_model(beside.model_fields[part]) or beside
    # The keys of config belong to flags and variables.
    without = "config" if beside is Settings else None
    known = {key: field for key, field in beside.model_fields.items() if key != without}
    problem = _PROBLEMS.get(error["type"], "{value} {problem}").format(
        value=shown(error["input"]),
        problem=error["msg"],
        near=did_you_mean(str(key), known),
        accepted=", ".join(known),
        meaning=_within_a_line(known[key].description) if key in known else "",
    )
    return ConfigError(error["loc"], problem)


def _within_a_line(description: str | None) -> str:
    text = (description or "").removesuffix(".")
    return text[:1].lower() + text[1:]


def _line(mistake: ConfigError, places: Sequence[ConfigSource]) -> str:
    """One line about a mistake, which names the place where it is written."""
    place = max(places, key=lambda place: place.reach(mistake.loc))
    # An image that is a bare ID has no key "id"; what is missing is written nowhere.
    is_absent = mistake.text.startswith("missing")
    loc = mistake.loc if is_absent else mistake.loc[: place.reach(mistake.loc)]
    return f"{place.label(loc)}: {mistake.text}"


def _image_id_mistakes(image_id: str | None, settings: Settings | None) -> Iterator[str]:
    plans = resolved_clouds(settings) if settings else ()
    aliases = {image.alias for plan in plans for image in plan.images}
    try:
        if image_id is not None and image_id not in aliases:
            types.image_id(image_id)
    except PydanticCustomError as error:
        yield f"show: {shown(image_id)} {error.message()}"


def _missing_clouds(places: Sequence[ConfigSource]) -> tuple[str, ...]:
    if any("clouds" in place.written or not place.is_complete for place in places):
        return ()
    _, _, *files = places
    return (
        tuple(f"{file.label(('clouds',))}: missing; {_CLOUDS}" for file in files) or GETTING_STARTED
    )
