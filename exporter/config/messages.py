"""Errors about settings, and how they show values, keys and files.

A value may be anything that YAML can hold, from a hostile name to a mapping with a password in it.
It is shown on one line, shortened, and only if it is a single value.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from exporter.redaction import NOT_SHOWN, looks_secret, shown_file

Item = TypeVar("Item")

LONGEST = 80

EXAMINED = 4096
"""Characters of a value that are examined for secrets: far more than an error shows."""

MOST_LINES = 100
"""Errors that are reported. A file may have a million, which would fill the log at each reload."""

MOST_DETAILS = 10_000
"""Errors that pydantic describes at once, a kilobyte each; and values that are validated again to
find the first ones if there are more."""

Loc = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""

_HIDDEN = "a text that is not shown because it may be a secret"

_FORMATS: dict[type | tuple[type, ...], Callable[[Any], str]] = {
    type(None): lambda _: "null",
    bool: lambda value: str(value).lower(),
    # Python refuses to format integers of thousands of digits.
    int: lambda value: repr(value) if abs(value) < 10**LONGEST else "a huge number",
    (str, float): repr,
    date: lambda value: value.isoformat(),
    dict: lambda _: "a mapping",
    (list, tuple): lambda _: "a list",
}
"""How to show a value. The first type that matches counts, because a boolean is an integer."""


class SettingsError(Exception):
    """Settings that cannot be used.

    Attributes:
        lines: A line for each of the first errors, and the number of further ones. None of them
            has a secret.
    """

    def __init__(self, *lines: str) -> None:
        further = len(lines) - MOST_LINES
        end = (f"and {further} more errors",) if further > 1 else lines[MOST_LINES:]
        self.lines = (*lines[:MOST_LINES], *end)
        super().__init__("\n".join(self.lines))


class ConfigError(NamedTuple):
    """An error in the settings: the location, and the text that follows it."""

    loc: Loc
    text: str


def first_lines(items: Sequence[Item], line: Callable[[Item], str]) -> list[str]:
    """Return the line of each error that is reported, and an empty one for each further error."""
    reported = MOST_LINES + 1
    return [*map(line, items[:reported]), *[""] * (len(items) - reported)]


def first_errors(
    error: ValidationError,
    again: Callable[[], object],
    describe: Callable[[ErrorDetails], ConfigError],
) -> list[ConfigError]:
    """Return pydantic's errors. If there are too many, the last of the first ones is repeated.

    Args:
        error: The errors.
        again: Validates the beginning of the same data, which raises fewer errors.
        describe: Returns an error with its text.
    """
    count = error.error_count()
    if count > MOST_DETAILS:
        try:
            again()
        except ValidationError as first:
            error = first
    errors = [describe(details) for details in error.errors(include_url=False)]
    if len(errors) > MOST_LINES:
        # Only the number of further ones is reported.
        errors += errors[-1:] * (count - len(errors))
    return errors


def beginning(data: Mapping[str, object]) -> dict[str, object]:
    """Return a copy of data in which lists and long mappings end after many values."""
    remaining = MOST_DETAILS

    def copy(value: object) -> object:
        nonlocal remaining
        if isinstance(value, dict):
            length = min(len(value), max(remaining, MOST_LINES))
            remaining -= length
            return {key: copy(item) for key, item in islice(value.items(), length)}
        if isinstance(value, list):
            items = []
            for item in value:
                if remaining <= 0:
                    break
                remaining -= 1
                items.append(copy(item))
            return items
        return value

    return {key: copy(value) for key, value in islice(data.items(), MOST_DETAILS)}


def shown(value: object) -> str:
    """Show a value on one line of at most 80 characters, and a collection by its kind only."""
    if isinstance(value, str) and looks_secret(value[:EXAMINED]):
        return _HIDDEN
    for kind, show in _FORMATS.items():
        if isinstance(value, kind):
            return _shortened(show(value))
    return f"a value of type {type(value).__name__}"


def name(text: str) -> str:
    """Show a key, flag or variable: bare if it is harmless, otherwise quoted and escaped."""
    return _HIDDEN if looks_secret(text[:EXAMINED]) else _shortened(_quoted_if_needed(text))


def file_name(text: str) -> str:
    """Show the name of a file, never shortened: bare if harmless, otherwise quoted and escaped.

    A name that may be a secret is not shown.
    """
    return NOT_SHOWN if shown_file(text) == NOT_SHOWN else _quoted_if_needed(text)


def key_path(keys: Iterable[str | int]) -> str:
    """Show the location of a value, such as ``clouds[0].images[2].id``."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{name(key)}" for key in keys)
    return text.removeprefix(".")


def did_you_mean(wrong: str, accepted: Iterable[str], prefix: str = "") -> str:
    """Suggest the nearest accepted word, as ``; did you mean web?``, or nothing if none is near.

    A prefix that all words share is not compared, because it makes every word near.
    """
    words = [word.removeprefix(prefix) for word in accepted]
    near = get_close_matches(wrong.removeprefix(prefix)[:LONGEST], words, n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


def _quoted_if_needed(text: str) -> str:
    return text if text.isprintable() and text.strip() else repr(text)


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
