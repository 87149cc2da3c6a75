"""Classes for ruamel.yaml that keep the spelling of values and the distance of comments."""

from typing import Any

from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.emitter import Emitter
from ruamel.yaml.error import CommentMark
from ruamel.yaml.nodes import CollectionNode, ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import PlainScalarString

STANDARD_TAG = "tag:yaml.org,2002:"
NON_TEXT_TYPES = ("null", "bool", "int", "float", "timestamp")


class PlainValue(PlainScalarString):
    """A value without quotes that is not text, such as ``~`` or ``0x1F``, as it is spelt."""

    __slots__ = ("tag",)

    def __new__(cls, text: str, tag: str, anchor: str | None = None) -> "PlainValue":
        """Create the value from its text and its YAML tag."""
        plain: PlainValue = super().__new__(cls, text, anchor=anchor)
        plain.tag = tag
        return plain

    def __deepcopy__(self, memo: dict[int, object]) -> "PlainValue":
        """Copy the value without its anchor, for an image that no longer shares it."""
        return PlainValue(str(self), self.tag)

    tag: str


NULL = PlainValue("null", f"{STANDARD_TAG}null")


class SpellingConstructor(RoundTripConstructor):
    """Constructor that keeps the spelling of values, and turns wide brackets into blocks."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Construct a collection as a block if its brackets span several lines."""
        if isinstance(node, CollectionNode) and node.start_mark.line != node.end_mark.line:
            node.flow_style = False
        return super().construct_object(node, deep)

    def construct_plain(self, node: ScalarNode) -> PlainValue:
        """Construct a value that is not text."""
        return PlainValue(node.value, str(node.tag), node.anchor)


class CommentEmitter(Emitter):
    """Emitter that leaves two spaces before a comment if the value grew into its column."""

    def write_comment(self, comment: Any, pre: bool = False) -> None:
        """Write a comment."""
        is_pushed = 0 < self.column >= comment.start_mark.column
        if is_pushed and not comment.value.startswith("\n"):
            comment.start_mark = CommentMark(self.column + 2)
        super().write_comment(comment, pre)


class SpellingRepresenter(RoundTripRepresenter):
    """Representer of values that are not text."""

    def represent_plain(self, plain: PlainValue) -> ScalarNode:
        """Represent a value as it was spelt."""
        return self.represent_scalar(plain.tag, plain, anchor=plain.yaml_anchor(any=True))


for _tag in NON_TEXT_TYPES:
    SpellingConstructor.add_constructor(
        f"{STANDARD_TAG}{_tag}", SpellingConstructor.construct_plain
    )
SpellingRepresenter.add_representer(PlainValue, SpellingRepresenter.represent_plain)
