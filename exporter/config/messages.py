"""How errors about settings show what they are about.

A value may be anything that YAML can hold, from a hostile name to a mapping with a password in it,
so it is shown on one line, shortened, and only when it is a single value.
"""

from collections.abc import Callable, Iterable
from datetime import date
from difflib import get_close_matches
from typing import Any

LONGEST = 80

_BY_TYPE: dict[type | tuple[type, ...], Callable[[Any], str]] = {
    type(None): lambda _: "null",
    bool: lambda value: str(value).lower(),
    # Python refuses to write integers of thousands of digits.
    int: lambda value: repr(value) if abs(value) < 10**LONGEST else "a huge number",
    (str, float): repr,
    date: lambda value: value.isoformat(),
    dict: lambda _: "a mapping",
    (list, tuple): lambda _: "a list",
}
"""The first that fits, as a boolean is an integer too."""


def shown(value: object) -> str:
    """Show a value on one line of at most 80 characters; of a collection, only what it is."""
    for kind, show in _BY_TYPE.items():
        if isinstance(value, kind):
            return _shortened(show(value))
    return f"a value of type {type(value).__name__}"


def name(text: str) -> str:
    """Show a key, flag or variable: bare when harmless, else quoted and escaped."""
    return _shortened(file_name(text))


def file_name(text: str) -> str:
    """Show a file's name, never shortened: bare when harmless, else quoted and escaped."""
    return text if text.isprintable() and text.strip() else repr(text)


def key_path(keys: Iterable[str | int]) -> str:
    """Write where a value stands, as in ``clouds[0].images[2].id``."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{name(key)}" for key in keys)
    return text.removeprefix(".")


def did_you_mean(wrong: str, known: Iterable[str], prefix: str = "") -> str:
    """Name the nearest known word, as ``; did you mean web?``, or nothing when none is near.

    A prefix that all words have is left out of the comparison, as it makes all of them near.
    """
    rests = [word.removeprefix(prefix) for word in known]
    near = get_close_matches(wrong.removeprefix(prefix)[:LONGEST], rests, n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
