"""Types of the values in settings: a validator for each, with its error message.

A message follows the value: ``'soon'`` "is not a duration; ...".
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple
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
from exporter.redaction import looks_secret

HIDDEN = "hidden"
"""Type of an error that must not show the value."""

MOST_SHARDS = 1000

PAGES = ("-", "api", "config", "images", "page.js")
"""The first parts of the paths of all pages, apart from the metrics and the page of the images."""

_IMAGE_ID = re.compile(r"[A-Za-z0-9._-]{1,255}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,15}")
_POD = re.compile(r"[a-z][a-z0-9.-]*-([0-9]{1,3})")
_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?")
_TOKEN = re.compile(r"[!-~]+")
_A_PATH = "a path of letters, digits, '.', '_', '~' and '-', such as {example}"
_AN_IMAGE_ID = "1 to 255 letters, digits, '.', '_' and '-', but not '.' or '..'"


class Metavar(NamedTuple):
    """The placeholder of a flag's value in the help."""

    name: str


def refused(problem: str) -> PydanticCustomError:
    """Return an error that shows the value, then the problem."""
    return PydanticCustomError("refused", "{problem}", {"problem": problem})


def hidden(problem: str) -> PydanticCustomError:
    """Return an error that shows only the problem, because the value may be a secret."""
    return PydanticCustomError(HIDDEN, "{problem}", {"problem": problem})


def duration(least: float) -> Callable[[object], float]:
    """Return a validator of durations in Prometheus' syntax, at least ``least`` seconds."""

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
    """Return a validator of strings of 1 to 255 printable characters."""

    def read(value: object) -> str:
        string = _string(value, accepted)
        if not (1 <= len(string) <= 255 and string.isprintable()):
            raise refused(f"is not accepted; accepted: {accepted}")
        return string

    return read


def one_of(*words: str) -> Callable[[object], str]:
    """Return a validator that accepts these words only."""
    accepted = ", ".join(words)

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise refused(f"is not accepted; accepted: {accepted}")
        return value

    return read


def warn_as_warning(value: object) -> object:
    """Accept ``warn``, as Prometheus and its exporters name the level ``warning``."""
    return "warning" if value == "warn" else value


def image_id(value: object) -> str:
    """Validate an image ID. Glance responds 404 to a UUID in upper case."""
    string = _string(value, _AN_IMAGE_ID)
    if not _IMAGE_ID.fullmatch(string) or string in {".", ".."}:
        raise refused(f"is not an image ID; accepted: {_AN_IMAGE_ID}")
    if _UUID.fullmatch(string) and string != string.lower():
        raise refused(f"is a UUID in capitals, which Glance does not find; write {string.lower()}")
    return string


def true_or_false(value: object) -> bool:
    """Validate a YAML boolean."""
    if not isinstance(value, bool):
        raise refused("is not accepted; accepted: true or false")
    return value


def switch(value: object) -> bool:
    """Validate a YAML boolean, or ``true`` or ``false`` in a flag or variable."""
    return true_or_false(
        {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    )


def whole_number(least: int, most: int) -> Callable[[object], int]:
    """Return a validator of whole numbers within bounds."""

    def read(value: object) -> int:
        if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise refused(f"is not accepted; accepted: a whole number from {least} to {most}")
        return value

    return read


def shard_index(value: object) -> int:
    """Validate the index of a shard, or the name of a StatefulSet's pod that ends in it."""
    if isinstance(value, str) and (named := _POD.fullmatch(value)):
        value = named[1]
    try:
        return whole_number(0, MOST_SHARDS - 1)(value)
    except PydanticCustomError as error:
        raise refused(
            f"{error.message()}, or a name that ends in one, as exporter-2 does"
        ) from None


def shard_total(value: object) -> int:
    """Validate a number of shards."""
    return whole_number(1, MOST_SHARDS)(value)


def rate(value: object) -> float | None:
    """Validate requests per second, above 0, or ``none`` for no limit."""
    if value in ("none", None):
        return None
    number = _bare_number(value)
    if not number:
        raise refused("is not accepted; accepted: a number above 0, or none")
    return number


def endpoint(value: object) -> str:
    """Validate the URL of an Image service. An error shows no password or token in it."""
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
    """Validate the URL under which clients reach the exporter, without query and fragment."""
    string = endpoint(value)
    route_prefix(urlsplit(string).path)
    return string


def route_prefix(value: object) -> str:
    """Validate the path of all pages; return it with a leading and no trailing slash."""
    accepted = _A_PATH.format(example="/exporter")
    string = _string(value, accepted).strip("/")
    if string and not _is_path(string):
        raise refused(f"is not accepted; accepted: {accepted}")
    return f"/{string}"


def telemetry_path(value: object) -> str:
    """Validate the path of the metrics, which must differ from the paths of all pages."""
    accepted = _A_PATH.format(example="/metrics")
    string = _string(value, accepted)
    bare = string.strip("/")
    if string != f"/{bare}" and _is_path(bare) and not looks_secret(bare):
        raise refused(f"has to start, and not to end, with a slash; write /{bare}")
    if string != f"/{bare}" or not _is_path(bare):
        raise refused(f"is not accepted; accepted: {accepted}")
    if string.split("/")[1] in PAGES:
        raise refused(
            f"is refused, as other pages are at /{', /'.join(PAGES)} and below; "
            "accepted: any other path"
        )
    return string


def host_name(value: object) -> str:
    """Validate the name of a host; return it in lower case."""
    accepted = "a host name without port, such as exporter.example.com"
    string = _string(value, accepted)
    if not _HOST_NAME.fullmatch(string):
        raise refused(f"is not accepted; accepted: {accepted}")
    return string.lower()


def token(value: object) -> SecretStr:
    """Validate a token, which no error shows."""
    string = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(string, str) or not _TOKEN.fullmatch(string):
        raise hidden("not a token (and not shown); accepted: visible ASCII characters, in quotes")
    return SecretStr(string)


def file_name(value: object) -> Path:
    """Validate the name of a file, which need not exist."""
    accepted = "the name of a file"
    string = _string(value, accepted)
    if not string or "\0" in string:
        raise refused(f"is not accepted; accepted: {accepted}")
    return Path(string)


def token_file(value: object) -> Path:
    """Validate the name of a token's file. An invalid value may be the token: never show it."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise hidden("not the name of a file (and not shown); accepted: a path, in quotes")
    return Path(value)


def split_commas(value: object) -> object:
    """Split ``a,b`` of a flag or variable; the element validators check other types."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",")] if value else []


def address_list(value: object) -> object:
    """Split ``a,b`` and accept a single address; the element validator reports other types."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else as_list(value)


def as_list(value: object) -> object:
    """Accept a single value as a list of one; the element validator reports other types."""
    return [value] if isinstance(value, str | int | float) else value


def not_empty(value: object) -> object:
    """Reject an empty list; later validators check other types."""
    if isinstance(value, list) and not value:
        raise hidden("an empty list; accepted: at least one entry")
    return value


def properties(value: object) -> tuple[tuple[str, str], ...]:
    """Validate a mapping of custom properties to their values."""
    if not isinstance(value, dict):
        raise refused("is not a mapping; accepted: a mapping of property names to values")
    not_empty(list(value))
    return tuple((_property_name(key), _property_value(key, item)) for key, item in value.items())


def unique(values: tuple[str, ...]) -> tuple[str, ...]:
    """Reject a list with duplicates."""
    for index, value in enumerate(values):
        if value in values[:index]:
            raise hidden(f"{shown(value)} is a duplicate")
    return values


Label = Annotated[str, BeforeValidator(text())]
ImageId = Annotated[str, BeforeValidator(image_id)]
Flag = Annotated[bool, BeforeValidator(true_or_false)]
Switch = Annotated[bool, BeforeValidator(switch), Metavar("BOOL")]
Address = Annotated[
    str,
    BeforeValidator(text('an address such as ":10292" or "127.0.0.1:10292"')),
    Metavar("ADDRESS"),
]
Addresses = Annotated[
    tuple[Address, ...],
    BeforeValidator(not_empty),
    BeforeValidator(address_list),
    AfterValidator(unique),
    Metavar("ADDRESS"),
]
Interval = Annotated[float, BeforeValidator(duration(least=1)), Metavar("DURATION")]
Seconds = Annotated[float, BeforeValidator(duration(least=0.001)), Metavar("DURATION")]
Concurrency = Annotated[int, BeforeValidator(whole_number(1, 1000)), Metavar("N")]
ShardIndex = Annotated[int, BeforeValidator(shard_index), Metavar("N")]
ShardTotal = Annotated[int, BeforeValidator(shard_total), Metavar("N")]
Rate = Annotated[float | None, BeforeValidator(rate), Metavar("N")]
LabelValueLimit = Annotated[int, BeforeValidator(whole_number(64, 1_000_000)), Metavar("N")]
Endpoint = Annotated[str, BeforeValidator(endpoint), Metavar("URL")]
ExternalUrl = Annotated[str, BeforeValidator(external_url), Metavar("URL")]
TelemetryPath = Annotated[str, BeforeValidator(telemetry_path), Metavar("PATH")]
RoutePrefix = Annotated[str, BeforeValidator(route_prefix), Metavar("PATH")]
Token = Annotated[SecretStr, BeforeValidator(token)]
Names = Annotated[
    tuple[Label, ...],
    BeforeValidator(split_commas),
    AfterValidator(unique),
    Metavar("NAME,NAME"),
]
HostNames = Annotated[
    tuple[Annotated[str, BeforeValidator(host_name)], ...],
    BeforeValidator(split_commas),
    AfterValidator(unique),
    Metavar("NAME,NAME"),
]
Properties = Annotated[tuple[tuple[str, str], ...], BeforeValidator(properties)]
TokenFile = Annotated[Path, BeforeValidator(token_file)]
FileName = Annotated[Path, BeforeValidator(file_name), Metavar("FILE")]


def _string(value: object, accepted: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict) or value is None:
        raise refused(f"is not a string; accepted: {accepted}")
    raise refused("must be a string; quote it")


def _is_path(text: str) -> bool:
    """Return True if ``text`` is a path without a slash at its start and end."""
    parts = text.split("/")
    return all(_SEGMENT.fullmatch(part) and part not in {".", ".."} for part in parts)


def _property_name(value: object) -> str:
    key = value if isinstance(value, str) else shown(value)
    if key in SCHEMA_KEYS:
        raise hidden(f"{name(key)} is not a custom property, but a field of every image")
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
    """Return a number without a unit, also from a string; None if it is out of range."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Compare first: a huge int does not fit a float, and nan is in no range.
    return float(value) if 0 <= value <= LONGEST_MILLISECONDS / 1000 else None
