"""The kinds of values that settings hold: how each is read, and what is said when it is wrong.

A problem is worded to follow the value: ``'soon'`` "is not a duration; ...".
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_core import PydanticCustomError

from exporter.config.messages import name, shown
from exporter.model.responses.v2_fields import SCHEMA_KEYS
from exporter.model.units import (
    DURATION_EXAMPLES,
    LONGEST_MILLISECONDS,
    format_duration,
    parse_duration,
)

HIDDEN = "hidden"
"""Type of an error whose value must not be shown."""

MOST_SHARDS = 1000

_IMAGE_ID = re.compile(r"[A-Za-z0-9._-]{1,255}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,15}")
_POD = re.compile(r"[a-z][a-z0-9.-]*-([0-9]{1,3})")
_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")
_TOKEN = re.compile(r"[!-~]+")
_AN_IMAGE_ID = "1 to 255 letters, digits, '.', '_' and '-', but not '.' or '..'"


def refused(problem: str) -> PydanticCustomError:
    """An error that shows the value, then the problem."""
    return PydanticCustomError("refused", "{problem}", {"problem": problem})


def hidden(problem: str) -> PydanticCustomError:
    """An error that shows the problem only, because the value is or may hold a secret."""
    return PydanticCustomError(HIDDEN, "{problem}", {"problem": problem})


def duration(least: float) -> Callable[[object], float]:
    """Read a duration as Prometheus writes it, of at least so many seconds."""

    def read(value: object) -> float:
        seconds = _bare_number(value)
        if seconds and seconds >= least:
            raise refused(f"has no unit; write {format_duration(seconds)}")
        try:
            seconds = parse_duration(value if isinstance(value, str) else shown(value))
        except ValueError:
            raise refused(f"is not a duration; accepted: {DURATION_EXAMPLES}") from None
        if seconds < least:
            raise refused(f"is too short; accepted: {format_duration(least)} or longer")
        return seconds

    return read


def text(accepted: str = "1 to 255 printable characters") -> Callable[[object], str]:
    """Read 1 to 255 printable characters."""

    def read(value: object) -> str:
        string = _string(value, accepted)
        if not (1 <= len(string) <= 255 and string.isprintable()):
            raise refused(f"is not accepted; accepted: {accepted}")
        return string

    return read


def one_of(*words: str, beside: str = "") -> Callable[[object], str]:
    """Read one of a few words; `beside` is added to what is accepted."""
    accepted = ", ".join(words) + beside

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise refused(f"is not accepted; accepted: {accepted}")
        return value

    return read


def image_id(value: object) -> str:
    """Read an image ID; a UUID must be in lower case, as Glance answers 404 to capitals."""
    string = _string(value, _AN_IMAGE_ID)
    if not _IMAGE_ID.fullmatch(string) or string in {".", ".."}:
        raise refused(f"is not an image ID; accepted: {_AN_IMAGE_ID}")
    if _UUID.fullmatch(string) and string != string.lower():
        raise refused(f"is a UUID in capitals, which Glance does not find; write {string.lower()}")
    return string


def true_or_false(value: object) -> bool:
    """Read a YAML boolean."""
    if not isinstance(value, bool):
        raise refused("is not accepted; accepted: true or false")
    return value


def switch(value: object) -> bool:
    """Read a YAML boolean, or the word for one that a variable holds."""
    return true_or_false(
        {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    )


def whole_number(least: int, most: int) -> Callable[[object], int]:
    """Read a whole number within bounds."""

    def read(value: object) -> int:
        if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise refused(f"is not accepted; accepted: a whole number from {least} to {most}")
        return value

    return read


def shard_index(value: object) -> int:
    """Read the index of a shard; a StatefulSet numbers its pods by the end of their names."""
    if isinstance(value, str) and (named := _POD.fullmatch(value)):
        value = named[1]
    try:
        return whole_number(0, MOST_SHARDS - 1)(value)
    except PydanticCustomError as error:
        raise refused(
            f"{error.message()}, or a name that ends in one, as exporter-2 does"
        ) from None


def shards(value: object) -> int:
    """Read a number of shards."""
    return whole_number(1, MOST_SHARDS)(value)


def rate(value: object) -> float | None:
    """Read requests per second, above 0, or ``none`` for no limit."""
    if value in ("none", None):
        return None
    number = _bare_number(value)
    if not number:
        raise refused("is not accepted; accepted: a number above 0, or none")
    return number


def endpoint(value: object) -> str:
    """Read the URL of an Image service; one that may hold a password or token is not shown."""
    accepted = "an http or https URL with a host, without user, query and fragment"
    string = _string(value, accepted)
    if set("@?#") & set(string):
        raise hidden(f"not accepted (and not shown); accepted: {accepted}")
    try:
        url = urlsplit(string)
        is_url = bool(url.scheme in {"http", "https"} and url.hostname and url.port != 0)
    except ValueError:
        is_url = False
    if not is_url or " " in string or not string.isprintable():
        raise refused(f"is not accepted; accepted: {accepted}")
    return string


def external_url(value: object) -> str:
    """Read the URL by which people and Prometheus come here; what follows its path is refused."""
    string = endpoint(value)
    route_prefix(urlsplit(string).path)
    return string


def route_prefix(value: object) -> str:
    """Read a path that others are below; gives it with a slash before it and none after it."""
    accepted = "a path of letters, digits, '.', '_', '~' and '-', such as /exporter"
    string = _string(value, accepted).strip("/")
    parts = string.split("/") if string else []
    if any(not _SEGMENT.fullmatch(part) or part in {".", ".."} for part in parts):
        raise refused(f"is not accepted; accepted: {accepted}")
    return f"/{string}"


def token(value: object) -> SecretStr:
    """Read a token, which no error shows."""
    string = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(string, str) or not _TOKEN.fullmatch(string):
        raise hidden("not a token (and not shown); accepted: visible ASCII characters, in quotes")
    return SecretStr(string)


def file_name(value: object) -> Path:
    """Read the name of a file, which need not exist."""
    accepted = "the name of a file"
    string = _string(value, accepted)
    if not string or "\0" in string:
        raise refused(f"is not accepted; accepted: {accepted}")
    return Path(string)


def token_file(value: object) -> Path:
    """Read the name of a token's file; what is wrong may be the token itself and is not shown."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise hidden("not the name of a file (and not shown); accepted: a path, in quotes")
    return Path(value)


def separated(value: object) -> object:
    """Split what a flag or variable gives as ``a,b``; anything else is left to be checked."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",")] if value else []


def as_list(value: object) -> object:
    """Let one word stand for a list of it; so that what is no word is told what a word is."""
    return [value] if isinstance(value, str | int | float) else value


def not_empty(value: object) -> object:
    """Refuse an empty list; anything else is left to be checked."""
    if isinstance(value, list) and not value:
        raise hidden("an empty list; accepted: at least one entry")
    return value


def properties(value: object) -> tuple[tuple[str, str], ...]:
    """Read a mapping of custom properties to what they are to be."""
    if not isinstance(value, dict):
        raise refused("is not a mapping; accepted: a mapping of property names to values")
    not_empty(list(value))
    return tuple((_property_name(key), _property_value(key, each)) for key, each in value.items())


def each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a list in which an entry stands twice."""
    for index, value in enumerate(values):
        if value in values[:index]:
            raise hidden(f"{shown(value)} stands twice")
    return values


Label = Annotated[str, BeforeValidator(text())]
ImageId = Annotated[str, BeforeValidator(image_id)]
Flag = Annotated[bool, BeforeValidator(true_or_false)]
Switch = Annotated[bool, BeforeValidator(switch)]
Interval = Annotated[float, BeforeValidator(duration(least=1))]
Seconds = Annotated[float, BeforeValidator(duration(least=0.001))]
Concurrency = Annotated[int, BeforeValidator(whole_number(1, 1000))]
ShardIndex = Annotated[int, BeforeValidator(shard_index)]
Shards = Annotated[int, BeforeValidator(shards)]
Rate = Annotated[float | None, BeforeValidator(rate)]
Endpoint = Annotated[str, BeforeValidator(endpoint)]
ExternalUrl = Annotated[str, BeforeValidator(external_url)]
RoutePrefix = Annotated[str, BeforeValidator(route_prefix)]
Token = Annotated[SecretStr, BeforeValidator(token)]
Names = Annotated[tuple[Label, ...], BeforeValidator(separated), AfterValidator(each_once)]
Properties = Annotated[tuple[tuple[str, str], ...], BeforeValidator(properties)]
TokenFile = Annotated[Path, BeforeValidator(token_file)]
FileName = Annotated[Path, BeforeValidator(file_name)]


def _string(value: object, accepted: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict) or value is None:
        raise refused(f"is not text; accepted: {accepted}")
    raise refused("is not text to YAML; put it in quotes")


def _property_name(value: object) -> str:
    key = value if isinstance(value, str) else shown(value)
    if key in SCHEMA_KEYS:
        raise hidden(f"{name(key)} is no custom property, but a field of every image")
    try:
        return text()(key)
    except PydanticCustomError as error:
        raise hidden(f"{shown(key)} {error.message()}") from None


def _property_value(key: str, value: object) -> str:
    try:
        return text()(value)
    except PydanticCustomError as error:
        raise hidden(f"{name(key)}: {shown(value)} {error.message()}") from None


def _bare_number(value: object) -> float | None:
    """The number that a value is or spells, where it is one that settings could hold."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Comparing first: a huge int does not fit a float, and nan is between nothing.
    return float(value) if 0 <= value <= LONGEST_MILLISECONDS / 1000 else None
