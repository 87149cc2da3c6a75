"""Reader of YAML and JSON from an operator, stricter than ``safe_load`` and ``loads``.

Duplicate keys are reported, aliases cannot make a small file a huge document, and every error is
one line with its position.
"""

import json
from pathlib import Path
from typing import NamedTuple, NoReturn

import yaml

from exporter.config.messages import first_lines, name
from exporter.files import read_regular_file

LARGEST_FILE = 16 * 1024 * 1024
DEEPEST = 50
"""Levels of nesting; settings need six, and libyaml's composer overflows the stack at thousands."""
MOST_NODES = 1_000_000
"""Keys and values of a file; each takes 500 bytes while it is read. Enough for 100,000 images with
an alias and an expectation each."""
MOST_REPEATED = 1_000_000
"""Nodes that aliases may repeat; enough for 10,000 images that share their expectations."""

LONGEST_NUMBER = 100
"""Characters of a number such as 1:59:59. Its time grows with the square of its length."""

_NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})
_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
# Exceptions of yaml's constructors for a value that is invalid for its type, such as 2024-13-45.
_INVALID_VALUE = (ValueError, LookupError, AttributeError, TypeError, ArithmeticError)


class UnreadableError(Exception):
    """A document cannot be read. The text is one line without the name of the file."""


class EmptyError(UnreadableError):
    """A document is empty."""


class Document(NamedTuple):
    """The data of a document, and the errors in it, one line each."""

    data: object
    errors: tuple[str, ...]


class _Duplicate(NamedTuple):
    """A key that a mapping has already, and the numbers of their lines."""

    key: str
    line: int
    first_line: int

    def __str__(self) -> str:
        return f"line {self.line}: {name(self.key)} is a duplicate of line {self.first_line}"


class _Loader(yaml.CSafeLoader):
    """Safe loader that reports the position of a value that is invalid for its type."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        """Construct the value of a node. An error has its position, never the value."""
        is_sexagesimal = node.tag in _NUMBERS and ":" in node.value
        if is_sexagesimal and len(node.value) > LONGEST_NUMBER:
            raise _problem("a number is too long; quote a string", node)
        try:
            return super().construct_object(node, deep)
        except _INVALID_VALUE:
            raise _problem("a value is invalid for its type; quote a string", node) from None


def _refuse_tag(_: _Loader, node: yaml.Node) -> NoReturn:
    raise _problem("unsupported tag", node)


_Loader.add_constructor(None, _refuse_tag)


def read_file(path: Path, most_nodes: int | None = None) -> Document:
    """Read a YAML file, as ``read_text`` and ``read_yaml`` do.

    Raises:
        UnreadableError: The file cannot be read, or is not YAML.
    """
    return read_yaml(read_text(path), most_nodes)


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8 of at most ``LARGEST_FILE`` bytes.

    Raises:
        UnreadableError: The file cannot be read, is too large, or is not UTF-8.
    """
    try:
        content, _ = read_regular_file(path, LARGEST_FILE + 1)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise UnreadableError("cannot be read: not a valid file name") from None
    if len(content) > LARGEST_FILE:
        raise UnreadableError(f"is larger than {LARGEST_FILE >> 20} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"is not UTF-8, from byte {error.start + 1} on") from None


def read_yaml(text: str, most_nodes: int | None = None) -> Document:
    """Read a YAML document.

    Args:
        text: The document.
        most_nodes: The most keys and values, by default ``MOST_NODES``.

    Raises:
        UnreadableError: The document is empty or not YAML, has a tag that ``yaml.safe_load`` does
            not support, is nested too deeply, or has too many nodes, alone or with its aliases
            expanded.
    """
    try:
        _refuse_size(text, MOST_NODES if most_nodes is None else most_nodes)
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise EmptyError("is empty")
        errors = _check_nodes(root)
        return Document(loader.construct_document(root), errors)
    except yaml.MarkedYAMLError as error:
        raise UnreadableError(f"is not valid YAML{_where(error)}") from None
    except yaml.reader.ReaderError as error:
        raise UnreadableError(
            f"is not valid YAML: character {error.position + 1}: {error.reason}"
        ) from None


def read_json(text: str) -> Document:
    """Read a JSON document.

    Raises:
        UnreadableError: The document is not JSON, or is nested too deeply.
    """
    errors: list[str] = []

    def to_mapping(pairs: list[tuple[str, object]]) -> dict[str, object]:
        keys = set[str]()
        for key, _ in pairs:
            if key in keys:
                errors.append(f"{name(key)} is a duplicate key")
            keys.add(key)
        return dict(pairs)

    try:
        data = json.loads(text, object_pairs_hook=to_mapping)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise UnreadableError(f"is not valid JSON: {where}: {error.msg}") from None
    except ValueError:
        raise UnreadableError("is not valid JSON: a number is too long") from None
    except RecursionError:
        raise UnreadableError("is nested too deeply") from None
    return Document(data, tuple(errors))


def _refuse_size(text: str, most_nodes: int) -> None:
    """Refuse a document that is too deep or has too many nodes, before any node is built."""
    depth = nodes = documents = 0
    for event in yaml.parse(text, _Loader):
        nodes += isinstance(event, yaml.NodeEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if documents > 1:
            return  # an error, which get_single_node() describes
        if nodes > most_nodes:
            raise UnreadableError(f"has more than {most_nodes} values and keys")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise UnreadableError(f"is nested deeper than {DEEPEST} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check_nodes(root: yaml.Node) -> tuple[str, ...]:
    """Return an error for each duplicate key, and reject a document that aliases make too large.

    All keys become strings, so that ``on:`` is a key named "on".
    """
    duplicates: list[_Duplicate] = []
    sizes: dict[int, int] = {}
    # Depth first without recursion: each node is on the stack once to be entered, and once more
    # to add up the sizes of its children.
    stack: list[tuple[yaml.Node, bool]] = [(root, False)]
    open_nodes: set[int] = set()
    while stack:
        node, is_summed = stack.pop()
        children = _children(node)
        if is_summed:
            open_nodes.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes[id(child)] for child in children)
        elif id(node) in open_nodes:
            raise UnreadableError(f"contains itself through an alias{_position(node.start_mark)}")
        elif id(node) not in sizes:
            if isinstance(node, yaml.MappingNode):
                duplicates += _duplicate_keys(node)
            open_nodes.add(id(node))
            stack.append((node, True))
            stack += [(child, False) for child in reversed(children)]
    if sizes[id(root)] - len(sizes) > MOST_REPEATED:
        raise UnreadableError("is too large when its aliases are expanded")
    return tuple(first_lines(duplicates, str))


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _duplicate_keys(mapping: yaml.MappingNode) -> list[_Duplicate]:
    duplicates = []
    lines: dict[str, int] = {}
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _problem("a key must be text", key)
        if key.tag != _MERGE:
            key.tag = _TEXT
        line = key.start_mark.line + 1
        if key.value in lines:
            duplicates.append(_Duplicate(key.value, line, lines[key.value]))
        lines.setdefault(key.value, line)
    return duplicates


def _problem(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _where(error: yaml.MarkedYAMLError) -> str:
    texts = [text for text in (error.context, error.problem) if text]
    return f"{_position(error.problem_mark)}: {', '.join(texts)}"


def _position(mark: yaml.Mark | None) -> str:
    return "" if mark is None else f": line {mark.line + 1}, column {mark.column + 1}"
