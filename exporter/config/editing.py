"""A settings file with other expectations, and all else in it as it was, comments too.

Text is put in where the YAML parser says that nodes stand. What comes of it is read again, and has
to hold just what is meant; where it does not, since aliases share a node for example, the file is
written anew from its data, which loses comments.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from exporter.config.yaml_reader import UnreadableError, read_yaml

Edits = Mapping[tuple[int, int], Mapping[str, object]]
"""What is to be written under ``expect``, by the places of the cloud and of the image in it."""

WIDTH = 2**16


class Edited(NamedTuple):
    """The new text, and whether all else is as it was."""

    text: str
    is_faithful: bool


class _Splice(NamedTuple):
    """Text that takes the place of what stands from ``start`` to ``end``."""

    start: int
    end: int
    text: str


def with_expectations(text: str, edits: Edits) -> Edited:
    """The settings in ``text`` with these expectations; it is to be YAML that settings accept."""
    meant = _meant(read_yaml(text).data, edits)
    try:
        new = _spliced(text, edits)
        found = read_yaml(new)
    except (UnreadableError, LookupError, ValueError):
        # Nodes stand elsewhere than where they are read, or not in lines.
        pass
    else:
        if not found.mistakes and found.data == meant:
            return Edited(new, is_faithful=True)
    return Edited(
        yaml.safe_dump(meant, sort_keys=False, allow_unicode=True, width=WIDTH), is_faithful=False
    )


def _meant(data: Any, edits: Edits) -> dict[str, Any]:
    """The data with the expectations in them; nothing of what was given is changed."""
    clouds = list(data["clouds"])
    for (cloud, place), changes in edits.items():
        images = list(clouds[cloud]["images"])
        image = images[place]
        fields = image if isinstance(image, dict) else {"id": image}
        expect = {**(fields.get("expect") or {}), **changes}
        images[place] = {**fields, "expect": expect}
        clouds[cloud] = {**clouds[cloud], "images": images}
    return {**data, "clouds": clouds}


def _spliced(text: str, edits: Edits) -> str:
    """The text with what is to be written in it; raises ``LookupError`` or ``ValueError``."""
    pieces: list[str] = []
    kept = 0
    # Stable, so that what follows a value stays behind it.
    for start, end, replacement in sorted(_splices(text, edits), key=lambda each: each[:2]):
        pieces += (text[kept:start], replacement)
        kept = end
    return "".join((*pieces, text[kept:]))


def _splices(text: str, edits: Edits) -> Iterator[_Splice]:
    clouds = _list(yaml.compose(text, Loader=yaml.CSafeLoader), "clouds")
    for (cloud, place), changes in edits.items():
        images = _list(clouds.value[cloud], "images")
        image = images.value[place]
        expect = _value(image, "expect")
        in_flow = images.flow_style or clouds.flow_style or clouds.value[cloud].flow_style
        if isinstance(expect, yaml.MappingNode) and expect.value:
            yield from _into_mapping(text, expect, changes)
        elif expect is not None:
            yield _Splice(expect.start_mark.index, _end(text, expect), f" {{{_flow(changes)}}}")
        elif isinstance(image, yaml.MappingNode):
            yield _addition(text, image, {"expect": changes})
        elif in_flow:
            start, end = image.start_mark.index, _end(text, image)
            yield _Splice(start, end, f"{{id: {text[start:end]}, {_flow({'expect': changes})}}}")
        else:
            yield _Splice(image.start_mark.index, image.start_mark.index, "id: ")
            lines = _block({"expect": changes}, image.start_mark.column)
            yield _after_line(text, _end(text, image), lines)


def _into_mapping(
    text: str, mapping: yaml.MappingNode, changes: Mapping[str, object]
) -> Iterator[_Splice]:
    """New values in the place of old ones, and after them what is new."""
    values = {key.value: (key, value) for key, value in mapping.value}
    for key, value in changes.items():
        if key in values:
            yield from _replacement(text, *values[key], _flow_value(value))
    new = {key: value for key, value in changes.items() if key not in values}
    if new:
        yield _addition(text, mapping, new)


def _replacement(text: str, key: yaml.Node, old: yaml.Node, new: str) -> Iterator[_Splice]:
    """Another value of a key, in the key's own line."""
    start, end = old.start_mark.index, _end(text, old)
    if isinstance(old, yaml.CollectionNode) and not old.flow_style:
        colon = text.index(":", key.end_mark.index) + 1
        yield _Splice(colon, colon, f" {new}")
        yield _Splice(text.rindex("\n", 0, start), end, "")
    else:
        space = "" if text[start - 1].isspace() else " "
        yield _Splice(start, end, f"{space}{new}")


def _addition(text: str, mapping: yaml.MappingNode, new: Mapping[str, object]) -> _Splice:
    end = _end(text, mapping.value[-1][1])
    if mapping.flow_style:
        return _Splice(end, end, f", {_flow(new)}")
    return _after_line(text, end, _block(new, mapping.start_mark.column))


def _after_line(text: str, position: int, lines: list[str]) -> _Splice:
    """The lines below the one that this position is in, whose comment stays where it is."""
    newline = "\r\n" if "\r\n" in text else "\n"
    end = text.find(newline, position)
    end = len(text) if end < 0 else end
    return _Splice(end, end, "".join(f"{newline}{line}" for line in lines))


def _block(new: Mapping[str, object], column: int) -> list[str]:
    """The lines of a mapping at this column, in which mappings of a mapping stand in one line."""
    lines = []
    for key, value in new.items():
        if key == "expect" and isinstance(value, Mapping):
            lines.append(f"{' ' * column}{key}:")
            lines += [f"{' ' * (column + 2)}{_flow({name: each})}" for name, each in value.items()]
        else:
            lines.append(f"{' ' * column}{_flow({key: value})}")
    return lines


def _flow(mapping: Mapping[str, object]) -> str:
    """The keys and values as they stand between braces."""
    dumped = yaml.safe_dump(
        mapping, default_flow_style=True, sort_keys=False, allow_unicode=True, width=WIDTH
    )
    return str(dumped).strip()[1:-1]


def _flow_value(value: object) -> str:
    return _flow({"x": value}).removeprefix("x: ")


def _value(mapping: yaml.Node | None, key: str) -> Any:
    """The node of a key's value, ``None`` where there is none."""
    if not isinstance(mapping, yaml.MappingNode):
        return None
    return next((value for name, value in mapping.value if name.value == key), None)


def _list(mapping: yaml.Node | None, key: str) -> yaml.SequenceNode:
    """The node of a list; raises ``LookupError`` where it is merged into the mapping by ``<<``."""
    found = _value(mapping, key)
    if not isinstance(found, yaml.SequenceNode):
        raise LookupError(key)
    return found


def _end(text: str, node: yaml.Node) -> int:
    """Where the node's own text ends; for a block the parser says where the next thing begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    end = int(node.end_mark.index)
    while end > node.start_mark.index and text[end - 1].isspace():
        end -= 1
    return end
