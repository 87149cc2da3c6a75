"""YAML and JSON from an operator, read with more care than ``safe_load`` and ``loads`` take.

Keys that stand twice are reported, aliases cannot make a small file a huge document, and whatever
is wrong is one line with its position.
"""

import json
from pathlib import Path
from typing import NamedTuple, NoReturn

import yaml

from exporter.config.messages import name

LARGEST_FILE = 16 * 1024 * 1024
DEEPEST = 50
"""Levels of nesting; settings need six, and libyaml's composer overflows the stack at thousands."""
MOST_REPEATED = 1_000_000
"""How many nodes aliases may repeat; enough for 10,000 images that share what they expect."""

_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
# What yaml's constructors raise for a value that does not fit its type, such as 2024-13-45.
_MISFITS = (ValueError, LookupError, AttributeError, TypeError, ArithmeticError)


class UnreadableError(Exception):
    """A document that cannot be read at all; the text is one line without the file's name."""


class EmptyError(UnreadableError):
    """A document that holds nothing."""


class Document(NamedTuple):
    """What a document holds, and what is wrong in it all the same, one line each."""

    data: object
    mistakes: tuple[str, ...]


class _Loader(yaml.CSafeLoader):
    """The safe loader, which says where a value is that does not fit its type."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        """Build a node's value; a failure names the position, never the value."""
        try:
            return super().construct_object(node, deep)
        except _MISFITS:
            raise _problem("a value does not fit its type; put text in quotes", node) from None


def _refuse_tag(_: _Loader, node: yaml.Node) -> NoReturn:
    raise _problem("a tag that is not accepted", node)


_Loader.add_constructor(None, _refuse_tag)


def read_file(path: Path) -> Document:
    """Read a YAML file, in UTF-8 and of 16 MiB at most.

    Raises:
        UnreadableError: the file cannot be read, or what it holds is not YAML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise UnreadableError("cannot be read: no file can have this name") from None
    if len(content) > LARGEST_FILE:
        raise UnreadableError("is larger than 16 MiB")
    try:
        return read_yaml(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UnreadableError(f"is not UTF-8, from byte {error.start + 1} on") from None


def read_yaml(text: str) -> Document:
    """Read a YAML document.

    Raises:
        UnreadableError: it is empty or not YAML, holds a tag that ``yaml.safe_load`` does not
            know, is nested too deeply, or is multiplied by aliases.
    """
    try:
        _refuse_depth(text)
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise EmptyError("is empty")
        mistakes = _inspect(root)
        return Document(loader.construct_document(root), mistakes)
    except yaml.MarkedYAMLError as error:
        raise UnreadableError(f"is not valid YAML{_where(error)}") from None
    except yaml.reader.ReaderError as error:
        raise UnreadableError(
            f"is not valid YAML: character {error.position + 1}: {error.reason}"
        ) from None


def read_json(text: str) -> Document:
    """Read a JSON document.

    Raises:
        UnreadableError: it is not JSON, or is nested too deeply.
    """
    mistakes: list[str] = []

    def keys_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        keys = [key for key, _ in pairs]
        mistakes.extend(
            f"{name(key)} stands twice" for i, key in enumerate(keys) if key in keys[:i]
        )
        return dict(pairs)

    try:
        data = json.loads(text, object_pairs_hook=keys_once)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise UnreadableError(f"is not valid JSON: {where}: {error.msg}") from None
    except ValueError:
        raise UnreadableError("is not valid JSON: a number is too long") from None
    except RecursionError:
        raise UnreadableError("is nested too deeply") from None
    return Document(data, tuple(mistakes))


def _refuse_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise UnreadableError(f"is nested deeper than {DEEPEST} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _inspect(root: yaml.Node) -> tuple[str, ...]:
    """Find the keys that stand twice, and refuse a document that aliases multiply.

    From here on keys are text whatever they look like, so that ``on:`` is a key named "on".
    """
    mistakes: list[str] = []
    sizes: dict[int, int] = {}
    # Depth first without recursion: a node is met once to go into, and once to be summed up.
    stack: list[tuple[yaml.Node, bool]] = [(root, False)]
    open_nodes: set[int] = set()
    while stack:
        node, is_summed = stack.pop()
        children = _children(node)
        if is_summed:
            open_nodes.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes[id(child)] for child in children)
        elif id(node) in open_nodes:
            raise UnreadableError(f"holds itself by an alias{_position(node.start_mark)}")
        elif id(node) not in sizes:
            if isinstance(node, yaml.MappingNode):
                mistakes += _repeated_keys(node)
            open_nodes.add(id(node))
            stack.append((node, True))
            stack += [(child, False) for child in reversed(children)]
    if sizes[id(root)] - len(sizes) > MOST_REPEATED:
        raise UnreadableError("is multiplied too often by its aliases")
    return tuple(mistakes)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _repeated_keys(mapping: yaml.MappingNode) -> list[str]:
    mistakes = []
    lines: dict[str, int] = {}
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _problem("a key must be text", key)
        if key.tag != _MERGE:
            key.tag = _TEXT
        line = key.start_mark.line + 1
        if key.value in lines:
            first = lines[key.value]
            mistakes.append(f"line {line}: {name(key.value)} stands twice, first in line {first}")
        lines.setdefault(key.value, line)
    return mistakes


def _problem(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _where(error: yaml.MarkedYAMLError) -> str:
    texts = [text for text in (error.context, error.problem) if text]
    return f"{_position(error.problem_mark)}: {', '.join(texts)}"


def _position(mark: yaml.Mark | None) -> str:
    return "" if mark is None else f": line {mark.line + 1}, column {mark.column + 1}"
