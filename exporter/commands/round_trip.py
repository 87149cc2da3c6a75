"""Round trip of a settings file through ruamel.yaml, with other expectations in it.

Comments, quotes, order, anchors and the spelling of every value are kept. ruamel.yaml has one
indentation for the whole file, writes a list or mapping in brackets on one line, and drops comments
between its entries. Therefore brackets that span several lines become a block, and ``Edited``
reports what else differs.
"""

import io
import logging
import re
from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark
from ruamel.yaml.mergevalue import merge_attrib
from ruamel.yaml.scalarstring import (
    FoldedScalarString,
    LiteralScalarString,
    PlainScalarString,
    SingleQuotedScalarString,
)
from ruamel.yaml.tokens import CommentToken

from exporter.commands.yaml_spelling import (
    NULL,
    CommentEmitter,
    SpellingConstructor,
    SpellingRepresenter,
)
from exporter.config.yaml_reader import read_yaml

Edits = Mapping[tuple[int, int], Mapping[str, object]]
"""New expectations, by the index of the cloud and of the image in it."""

NEVER_FOLD = 2**31
"""Columns of a line before it is folded."""

log = logging.getLogger(__name__)

_COMMENT = re.compile(r"#[^\r\n]*")
_TABS_BEFORE_COMMENT = re.compile(r"\t+(?=#)")
_NEWLINE = re.compile(r"\r\n?|\n")
_BLANK_LINES = re.compile(r"(?: *\n)*")


class Edited(NamedTuple):
    """The new text, and the losses against the old text.

    Attributes:
        text: The new text.
        is_reformatted: Line breaks or spaces differ outside the edits.
        is_rewritten: The text is the plain data, without comments, quotes, anchors and merge keys.
        lost_comments: Number of comments that are not in the new text.
    """

    text: str
    is_reformatted: bool = False
    is_rewritten: bool = False
    lost_comments: int = 0


def with_expectations(text: str, edits: Edits) -> Edited:
    """Return the settings in ``text`` with new expectations; it must be valid YAML settings.

    The result is parsed again and compared with the intended data. If they differ, or ruamel.yaml
    cannot handle the text, the data is written without any comment.
    """
    if not edits:
        return Edited(text)
    intended = _edited_data(read_yaml(text).data, edits)
    try:
        document = _Document(text)
        unedited = document.dump()
        document.set_expectations(edits)
        edited = document.dump()
        is_as_intended = read_yaml(edited) == (intended, ())
    except Exception:  # ruamel.yaml raises anything for text that it cannot handle
        log.debug("cannot edit the settings in place", exc_info=True)
        is_as_intended = False
    if not is_as_intended:
        rewritten = yaml.safe_dump(intended, sort_keys=False, allow_unicode=True, width=NEVER_FOLD)
        return Edited(rewritten, is_rewritten=True, lost_comments=_comments(text).total())
    lost = _comments(text) - _comments(edited)
    return Edited(edited, is_reformatted=unedited != text, lost_comments=lost.total())


def _edited_data(data: Any, edits: Edits) -> dict[str, Any]:
    """Return a copy of the settings with new expectations."""
    clouds = list(data["clouds"])
    for (cloud_index, image_index), changes in edits.items():
        images = list(clouds[cloud_index]["images"])
        image = images[image_index]
        fields = image if isinstance(image, dict) else {"id": image}
        expect = {**(fields.get("expect") or {}), **changes}
        images[image_index] = {**fields, "expect": expect}
        clouds[cloud_index] = {**clouds[cloud_index], "images": images}
    return {**data, "clouds": clouds}


def _comments(text: str) -> Counter[str]:
    """Count the comments of a YAML document by their text."""
    comments: Counter[str] = Counter()
    end = 0
    for token in yaml.scan(text, yaml.CSafeLoader):
        comments.update(_COMMENT.findall(text, end, token.start_mark.index))
        end = max(end, token.end_mark.index)
    comments.update(_COMMENT.findall(text, end))
    return comments


class _Document:
    """A YAML document that ruamel.yaml reads and writes; its marks and line ends are kept."""

    def __init__(self, text: str) -> None:
        newline = _NEWLINE.search(text)
        self._newline = newline[0] if newline else "\n"
        text = _without_tabs_before_comments(_NEWLINE.sub("\n", text))
        start, end = _content(text)
        # ruamel.yaml drops comments before "---".
        self._before, content, self._after = text[:start], text[start:end], text[end:]
        self._yaml = YAML()
        self._yaml.Constructor = SpellingConstructor
        self._yaml.Emitter = CommentEmitter
        self._yaml.Representer = SpellingRepresenter
        self._yaml.preserve_quotes = True
        self._yaml.width = NEVER_FOLD
        self._yaml.brace_single_entry_mapping_in_flow_sequence = True
        self._yaml.indent(**_indentation(content))
        self._settings: CommentedMap = self._yaml.load(content)
        self._ends_in_newline = content.endswith("\n")

    def dump(self) -> str:
        """Return the text of the document."""
        output = io.StringIO()
        self._yaml.dump(self._settings, output)
        content = output.getvalue().removesuffix("...\n")
        if not self._ends_in_newline:
            content = content.removesuffix("\n")
        return f"{self._before}{content}{self._after}".replace("\n", self._newline)

    def set_expectations(self, edits: Edits) -> None:
        """Write expectations to their images."""
        shared = _shared(self._settings)
        for (cloud_index, image_index), changes in edits.items():
            clouds = _own(self._settings, "clouds", shared)
            images = _own(_own(clouds, cloud_index, shared), "images", shared)
            image = _own(images, image_index, shared)
            if not isinstance(image, CommentedMap):
                image = _image_mapping(images, image_index)
            after = _cut_comment_lines(images, image_index)
            _update_expect(image, changes, shared)
            _add_comment_lines(images, image_index, after)


def _without_tabs_before_comments(text: str) -> str:
    """Replace tabs between a value and its comment, which ruamel.yaml does not accept."""
    pieces, end = [], 0
    for token in yaml.scan(text, yaml.CSafeLoader):
        start = max(end, token.start_mark.index)
        pieces.append(_TABS_BEFORE_COMMENT.sub(" ", text[end:start]))
        end = max(end, token.end_mark.index)
        pieces.append(text[start:end])
    pieces.append(_TABS_BEFORE_COMMENT.sub(" ", text[end:]))
    return "".join(pieces)


def _content(text: str) -> tuple[int, int]:
    """Return where the content of a document starts and ends, without ``---`` and ``...``."""
    start, end = 0, len(text)
    # The marks of tokens are typed more precisely than those of events.
    for token in yaml.scan(text, yaml.CSafeLoader):
        if isinstance(token, yaml.DocumentStartToken):
            start = token.end_mark.index
        elif isinstance(token, yaml.DocumentEndToken):
            end = token.start_mark.index
    blank_lines = _BLANK_LINES.match(text, start)
    return (blank_lines.end() if blank_lines else start), end


def _indentation(text: str) -> dict[str, int]:
    """Return the most frequent indentation of each kind, as ``YAML.indent`` takes it."""
    mapping, dash, entry = Counter[int](), Counter[int](), Counter[int]()
    stack = [yaml.compose(text, yaml.CSafeLoader)]
    visited: set[int] = set()
    while stack:
        node = stack.pop()
        if id(node) in visited or not isinstance(node, yaml.CollectionNode) or node.flow_style:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            start = node.start_mark
            # An alias has the mark of its anchor, which is before the list.
            marks = (item.start_mark for item in node.value)
            entry.update(mark.column - start.column for mark in marks if mark.index > start.index)
            stack += node.value
            continue
        for key, value in node.value:
            stack.append(value)
            is_block = isinstance(value, yaml.CollectionNode) and not value.flow_style
            # A block with an anchor has the mark of the anchor, which is on the line of the key.
            if is_block and value.start_mark.line > key.end_mark.line:
                kind = mapping if isinstance(value, yaml.MappingNode) else dash
                kind[value.start_mark.column - key.start_mark.column] += 1
    offset = _most_frequent(dash, 0)
    sequence = offset + _most_frequent(entry, 2)
    return {"mapping": _most_frequent(mapping, 2), "sequence": sequence, "offset": offset}


def _most_frequent(counts: Counter[int], default: int) -> int:
    return counts.most_common(1)[0][0] if counts else default


def _shared(root: object) -> set[int]:
    """Return the identities of the collections that aliases or merge keys repeat."""
    visited: set[int] = set()
    shared: set[int] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if not isinstance(node, CommentedMap | CommentedSeq):
            continue
        if id(node) in visited:
            shared.add(id(node))
            continue
        visited.add(id(node))
        stack += node.values() if isinstance(node, CommentedMap) else node
        stack += getattr(getattr(node, merge_attrib, None), "value", ())
    return shared


def _own(parent: Any, key: str | int, shared: set[int]) -> Any:
    """Return a value that only ``parent`` uses, after copying it if aliases share it."""
    value = parent[key]
    if id(value) in shared:
        value = deepcopy(value)
        stack = [value]
        while stack:
            node = stack.pop()
            if isinstance(node, CommentedMap | CommentedSeq):
                node.yaml_set_anchor(None)
                stack += node.values() if isinstance(node, CommentedMap) else node
        parent[key] = value
    return value


def _image_mapping(images: CommentedSeq, index: int) -> CommentedMap:
    """Replace the bare ID of an image by a mapping, and return it."""
    image = CommentedMap(id=images[index])
    _set_flow_style(image, like=images)
    comments = images.ca.items.pop(index, None)
    if comments and comments[0]:
        comments[0].start_mark = CommentMark(comments[0].start_mark.column + len("id: "))
        image.ca.items["id"] = [None, None, comments[0], None]
    images[index] = image
    return image


def _update_expect(image: CommentedMap, changes: Mapping[str, object], shared: set[int]) -> None:
    expect = _own(image, "expect", shared) if "expect" in image else None
    if not isinstance(expect, CommentedMap) or not expect:
        expect = image["expect"] = CommentedMap()
        _set_flow_style(expect, like=image)
    after_expect = _cut_comment_lines(image, "expect")
    for key, value in changes.items():
        after = _cut_comment_lines(expect, key) if key in expect else ""
        expect[key] = _node(value)
        _add_comment_lines(expect, key, after)
    _add_comment_lines(image, "expect", after_expect)


def _set_flow_style(node: CommentedMap, like: CommentedMap | CommentedSeq) -> None:
    if like.fa.flow_style():
        node.fa.set_flow_style()


def _node(value: object) -> object:
    """Return a value as ruamel.yaml writes it, with collections on one line."""
    if value is None:
        return NULL
    if isinstance(value, str):
        return (SingleQuotedScalarString if _needs_quotes(value) else PlainScalarString)(value)
    node: CommentedMap | CommentedSeq
    if isinstance(value, Mapping):
        node = CommentedMap({_node(key): _node(item) for key, item in value.items()})
    elif isinstance(value, list | tuple):
        node = CommentedSeq(map(_node, value))
    else:
        return value
    node.fa.set_flow_style()
    return node


@cache
def _needs_quotes(text: str) -> bool:
    """Return true for text that YAML 1.1 reads as something else; ruamel.yaml quotes by 1.2."""
    return yaml.safe_dump(text, width=NEVER_FOLD).startswith(("'", '"'))


def _last_leaf(parent: Any, key: Any) -> tuple[Any, Any]:
    """Return the parent and the key of the last value below a key, at any depth of its blocks."""
    value = parent[key]
    while isinstance(value, CommentedMap | CommentedSeq) and value and not value.fa.flow_style():
        parent = value
        key = list(value)[-1] if isinstance(value, CommentedMap) else len(value) - 1
        value = parent[key]
    return parent, key


def _comment_slot(parent: Any) -> int:
    """Return the index in ``ca.items`` of the comment after a value."""
    return 2 if isinstance(parent, CommentedMap) else 0


def _cut_comment_lines(parent: Any, key: Any) -> str:
    """Remove and return the comment lines below a value, which belong to the next entry.

    ruamel.yaml has them in one token with the comment on the line of the value itself.
    """
    parent, key = _last_leaf(parent, key)
    slot = _comment_slot(parent)
    comments = parent.ca.items.get(key)
    token = comments and comments[slot]
    if not token:
        return ""
    if isinstance(parent[key], FoldedScalarString | LiteralScalarString):
        # The line break is part of the value, so the token starts on the next line.
        own, lines = "", token.value
        lines = lines if lines.startswith("\n") else " " * token.start_mark.column + lines
    else:
        own, _, lines = token.value.partition("\n")
    token.value = f"{own}\n"
    if not own:
        comments[slot] = None
    return str(lines)


def _add_comment_lines(parent: Any, key: Any, lines: str) -> None:
    """Add comment lines below a value."""
    if not lines:
        return
    parent, key = _last_leaf(parent, key)
    comments = parent.ca.items.setdefault(key, [None, None, None, None])
    slot = _comment_slot(parent)
    if comments[slot]:
        comments[slot].value += lines
    else:
        comments[slot] = CommentToken(f"\n{lines}", CommentMark(0), None)
