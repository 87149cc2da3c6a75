"""Files of OpenStack's own configuration: found as openstacksdk finds them, and checked.

openstacksdk skips an invalid file in favour of the next one, and does not notice that YAML reads a
password such as ``0123`` as a number.
"""

import errno
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from openstack.config import loader

from exporter.auth.base import CloudConfigError
from exporter.files import read_regular_file
from exporter.redaction import shown_file

LARGEST_FILE = 1024 * 1024
"""Limit of clouds.yaml. openstacksdk parses it in Python, which takes hundreds of MiB of memory."""

DEEPEST = 50
"""Levels of nesting, of which clouds.yaml needs six. The reader in Python takes seconds to fail."""

MOST_VALUES = 50_000
"""Keys and values with those that aliases repeat. openstacksdk copies all of them."""

LONGEST_NUMBER = 100
"""Characters of a number such as 1:59:59. The time to read it grows with the square of its length,
and openstacksdk reads it a second time."""

# Exceptions of yaml's constructors, for example for the 32nd of a month or ``!!bool maybe``.
_INVALID_VALUE = (ValueError, LookupError, AttributeError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Misread:
    """A value that YAML does not read as the text that was written; it holds no value."""

    kind: str


def candidates(
    variable: str, paths: Sequence[str], file: Path | None = None
) -> tuple[Sequence[str], str]:
    """Return the files of which the first existing one is read, and what names them.

    Args:
        variable: The environment variable that names a file.
        paths: The files that are searched for without the variable.
        file: The file that a setting names, which wins over the variable.
    """
    if file is not None:
        return (str(file),), "os_client_config"
    override = os.environ.get(variable)
    return ((override,), variable) if override else (paths, "")


def read_file(paths: Sequence[str], named_by: str) -> Mapping[str, Any]:
    """Return the clouds in the first file that exists. A file that is named has to exist.

    Raises:
        CloudConfigError: The file cannot be used.
    """
    # As openstacksdk does: a file in a folder that may not be entered does not exist.
    file = paths[0] if named_by else next(filter(os.path.exists, paths), None)
    if file is None:
        return {}
    fault = ""
    clouds: object = {}
    try:
        content = _text(Path(file))
        if file.endswith("json"):
            parsed = json.loads(content)
        elif fault := _excess(content):
            parsed = {}
        else:
            parsed = _Loader(content).get_single_data()
        clouds = parsed.get("clouds", {}) if isinstance(parsed, dict) else None
        if not isinstance(clouds, dict):
            fault = "has no mapping `clouds`"
    except FileNotFoundError:
        raise CloudConfigError(f"{named_by}={shown_file(file)}: there is no such file") from None
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
    except yaml.MarkedYAMLError as error:
        # Only the position, because the message quotes the file.
        mark = error.problem_mark
        position = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        fault = f"is not valid YAML{position}"
    except json.JSONDecodeError as error:
        fault = f"is not valid JSON, line {error.lineno}, column {error.colno}"
    except RecursionError:
        fault = "is nested too deeply"
    except (ValueError, yaml.YAMLError):
        fault = "is not text in UTF-8"
    if fault or not isinstance(clouds, dict):
        raise CloudConfigError(f"{shown_file(file)}: {fault}")
    return clouds


def _text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        OSError: It cannot be read, or is larger than any such file.
        ValueError: It is not text in UTF-8.
    """
    content, _ = read_regular_file(path, LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise OSError(errno.EFBIG, "larger than 1 MiB")
    return content.decode("utf-8")


def _excess(content: str) -> str:
    """Return why YAML has too many values or levels, before any is built, or nothing.

    Raises:
        yaml.YAMLError: It is not YAML.
    """
    total = 0
    sizes: dict[str | None, int] = {}
    parents: list[tuple[str | None, int]] = []
    for event in yaml.parse(content, yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in parents):
                return "contains itself through an alias"
            total += sizes.get(event.anchor, 0)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = parents.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        elif isinstance(event, yaml.NodeEvent):
            if isinstance(event, yaml.CollectionStartEvent):
                parents.append((event.anchor, total))
            elif event.anchor is not None:
                sizes[event.anchor] = 1
            total += 1
        if len(parents) > DEEPEST:
            return f"is nested deeper than {DEEPEST} levels"
        if total > MOST_VALUES:
            return f"has more than {MOST_VALUES} values and keys, those of aliases included"
    return ""


def searched_files() -> list[str]:
    """Return the files in which clouds.yaml is searched for."""
    override = os.environ.get("OS_CLIENT_CONFIG_FILE")
    folders = dict.fromkeys(loader.CONFIG_SEARCH_PATH)
    default = [f"{folder}/clouds.yaml" for folder in folders]
    return [shown_file(override), *default] if override else default


class _Loader(yaml.CSafeLoader):
    """Loader that replaces a scalar by ``Misread`` if its text is lost."""


def _construct(kind: str, name: str) -> Any:
    construct = getattr(yaml.SafeLoader, f"construct_yaml_{name}")

    def constructor(loader: _Loader, node: yaml.ScalarNode) -> object:
        try:
            if ":" in node.value and len(node.value) > LONGEST_NUMBER:
                raise ValueError
            value = construct(loader, node)
            # Python refuses to write an integer of thousands of digits.
            is_faithful = isinstance(value, int | float) and str(value) == node.value
        except _INVALID_VALUE:
            raise yaml.constructor.ConstructorError(
                problem=f"not {kind}", problem_mark=node.start_mark
            ) from None
        return value if is_faithful and not isinstance(value, bool) else Misread(kind)

    return constructor


for _kind, _name in (
    ("a number", "int"),
    ("a number", "float"),
    ("true or false", "bool"),
    ("a date", "timestamp"),
):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_name}", _construct(_kind, _name))
