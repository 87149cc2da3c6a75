"""A settings file with other expectations, and all else as it was."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.editing import Edits, with_expectations
from exporter.config.yaml_reader import read_yaml

CHANGES = {"status": "active", "hash": {"sha512": "ab"}, "max_age": None}
WRITTEN = "status: active, hash: {sha512: ab}, max_age: null"

FAITHFUL = {
    "a bare ID": (
        "clouds:\n- name: a  # x\n  images:\n  - b  # its name\n  # the end\n  interval: 5s\n",
        "clouds:\n- name: a  # x\n  images:\n  - id: b  # its name\n    expect:\n"
        "      status: active\n      hash: {sha512: ab}\n      max_age: null\n"
        "  # the end\n  interval: 5s\n",
    ),
    "a bare ID, the last thing in the file": (
        "clouds:\n- name: a\n  images:\n    -   'b'",
        "clouds:\n- name: a\n  images:\n    -   id: 'b'\n        expect:\n"
        "          status: active\n          hash: {sha512: ab}\n          max_age: null",
    ),
    "a bare ID in a list on one line": (
        "clouds:\n- name: a\n  images: [b, c]  # two\n",
        f"clouds:\n- name: a\n  images: [{{id: b, expect: {{{WRITTEN}}}}}, c]  # two\n",
    ),
    "all on one line": (
        "clouds: [{name: a, images: [b]}]\n",
        f"clouds: [{{name: a, images: [{{id: b, expect: {{{WRITTEN}}}}}]}}]\n",
    ),
    "a mapping": (
        "clouds:\n- images:\n  - alias: c  # what\n    id: b  # which\n\n  # more\n  name: a\n",
        "clouds:\n- images:\n  - alias: c  # what\n    id: b  # which\n    expect:\n"
        "      status: active\n      hash: {sha512: ab}\n      max_age: null\n\n"
        "  # more\n  name: a\n",
    ),
    "a mapping on one line, with a comma at its end": (
        "clouds:\n- name: a\n  images:\n  - {id: b, alias: c, }  # x\n",
        f"clouds:\n- name: a\n  images:\n  - {{id: b, alias: c, expect: {{{WRITTEN}}}, }}  # x\n",
    ),
    "expectations, one of which is there": (
        "clouds:\n- name: a\n  images:\n  - id: b\n    expect:  # what\n"
        "      status:\n      - queued  # not yet\n      - saving\n"
        "      # a comment\n      protected: true  # yes\n\n    alias: c\n",
        "clouds:\n- name: a\n  images:\n  - id: b\n    expect:  # what\n"
        "      status: active\n"
        "      # a comment\n      protected: true  # yes\n      hash: {sha512: ab}\n"
        "      max_age: null\n\n    alias: c\n",
    ),
    "expectations on one line, one of which is there": (
        "clouds:\n- name: a\n  images:\n  - id: b\n    expect: {status: [queued], public: true}\n",
        "clouds:\n- name: a\n  images:\n  - id: b\n    expect: {status: active, public: true, "
        "hash: {sha512: ab}, max_age: null}\n",
    ),
    "expectations that are left empty": (
        "clouds:\n- name: a\n  images:\n  - id: b\n    expect:  # soon\n    alias: c\n",
        f"clouds:\n- name: a\n  images:\n  - id: b\n    expect: {{{WRITTEN}}}  # soon\n"
        "    alias: c\n",
    ),
    "no expectations": (
        "clouds:\n- name: a\n  images:\n  - id: b\n    expect: {}\n",
        f"clouds:\n- name: a\n  images:\n  - id: b\n    expect:  {{{WRITTEN}}}\n",
    ),
    "an expectation that is left empty": (
        "clouds:\n- name: a\n  images:\n  - id: b\n    expect:\n      max_age:\n"
        "      hash: {sha1: c}\n      status: ~  # any\n",
        "clouds:\n- name: a\n  images:\n  - id: b\n    expect:\n      max_age: null\n"
        "      hash: {sha512: ab}\n      status: active  # any\n",
    ),
    "what is not in the first planes of Unicode": (
        "# \U0001f947 é\nclouds:\n- name: '\U0001f947'\n  images:\n  - b  # \u65e5\u672c\n",
        "# \U0001f947 é\nclouds:\n- name: '\U0001f947'\n  images:\n  - id: b  # \u65e5\u672c\n"
        "    expect:\n      status: active\n      hash: {sha512: ab}\n      max_age: null\n",
    ),
    "lines that end as elsewhere": (
        "clouds:\r\n- name: a\r\n  images:\r\n  - b\r\n  interval: 5s\r\n",
        "clouds:\r\n- name: a\r\n  images:\r\n  - id: b\r\n    expect:\r\n"
        "      status: active\r\n      hash: {sha512: ab}\r\n      max_age: null\r\n"
        "  interval: 5s\r\n",
    ),
    "a folded value at the end": (
        "clouds:\n- name: a\n  images:\n  - id: b\n    alias: >-\n      long\n      name\n\n# x\n",
        "clouds:\n- name: a\n  images:\n  - id: b\n    alias: >-\n      long\n      name\n"
        "    expect:\n      status: active\n      hash: {sha512: ab}\n      max_age: null\n\n# x\n",
    ),
    "an ID that an alias repeats": (
        "clouds:\n- name: a\n  images: [&x b]\n- name: c\n  images: [*x]\n",
        f"clouds:\n- name: a\n  images: [{{id: &x b, expect: {{{WRITTEN}}}}}]\n"
        "- name: c\n  images: [*x]\n",
    ),
    "an expectation with a comment before its list": (
        "clouds:\n- name: a\n  images:\n  - id: b\n    expect:\n      hash: {sha512: ab}\n"
        "      max_age: ~\n      status:  # why\n      # more\n      - queued\n\n    alias: c\n",
        "clouds:\n- name: a\n  images:\n  - id: b\n    expect:\n      hash: {sha512: ab}\n"
        "      max_age: null\n      status: active  # why\n      # more\n\n    alias: c\n",
    ),
    "a document between marks": (
        "---\nclouds:\n- name: a\n  images: [b]\n...\n",
        f"---\nclouds:\n- name: a\n  images: [{{id: b, expect: {{{WRITTEN}}}}}]\n...\n",
    ),
}


@pytest.mark.parametrize(("text", "new"), FAITHFUL.values(), ids=FAITHFUL)
def test_what_is_expected_is_put_in_and_all_else_stays(text: str, new: str) -> None:
    """Comments, quotes, order and the style of what is there."""
    edited = with_expectations(text, {(0, 0): CHANGES})
    assert edited.text == new
    assert edited.is_faithful


SHARED = {
    "an image": "clouds:\n- name: a\n  images: [&x {id: b}]\n- name: c\n  images: [*x, d]  # two\n",
    "expectations": (
        "clouds:\n- name: a\n  images:\n  - {id: b, expect: &x {status: saving}}\n"
        "  - {id: c, expect: *x}\n"
    ),
    "a list": "clouds:\n- name: a\n  images: &x [b, c]\n- name: d\n  images: *x\n",
}


@pytest.mark.parametrize("text", SHARED.values(), ids=SHARED)
def test_what_aliases_share_is_written_anew(text: str) -> None:
    """Without comments, but with what is meant and nothing else changed."""
    before: Any = read_yaml(text).data
    edited = with_expectations(text, {(0, 0): CHANGES})
    after: Any = read_yaml(edited.text).data
    assert not edited.is_faithful
    assert "#" not in edited.text
    image, *others = after["clouds"][0]["images"]
    assert (image["id"], image["expect"]) == ("b", CHANGES)
    assert others == before["clouds"][0]["images"][1:]
    assert after["clouds"][1:] == before["clouds"][1:]


ELSEWHERE = {
    "a cloud merged into another": (
        "clouds:\n- &x\n  name: a\n  images: [b]\n- <<: *x\n  name: c\n"
    ),
    "all merged": "<<: {clouds: [{name: d, images: [e]}, {name: a, images: [b]}]}\nlog: {}\n",
    "lines that end as nowhere": (
        "clouds:\r- name: d\r  images: [e]\r- images:\r  - id: b\r    expect:\r"
        "      status:\r      - saving\r"
    ),
}


@pytest.mark.parametrize("text", ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_stands_elsewhere_is_written_anew(text: str) -> None:
    """Keys may be merged into any mapping, and a line may end in a carriage return."""
    before: Any = read_yaml(text).data
    edited = with_expectations(text, {(1, 0): CHANGES})
    after: Any = read_yaml(edited.text).data
    assert not edited.is_faithful
    assert after["clouds"][0] == before["clouds"][0]
    assert after["clouds"][1]["images"] == [{"id": "b", "expect": CHANGES}]


def test_merged_keys_are_overridden() -> None:
    """A key of the mapping itself wins over one that is merged into it."""
    text = (
        "clouds:\n- name: a\n  images:\n  - id: b\n"
        "    expect: {<<: &x {status: saving, protected: true}}\n"
    )
    edited = with_expectations(text, {(0, 0): CHANGES})
    (image,) = read_yaml(edited.text).data["clouds"][0]["images"]  # type: ignore[index]  # a mapping
    assert image == {"id": "b", "expect": {"protected": True, **CHANGES}}
    assert edited.is_faithful


def test_images_and_clouds_are_told_apart() -> None:
    """Each edit goes where its place says, however many there are on a line."""
    text = "clouds: [{name: a, images: [b, {id: c, expect: {public: true}}]}, {images: [d, e]}]\n"
    edits: Edits = {
        (1, 1): {"status": "x"},
        (0, 0): {"status": "y"},
        (0, 1): {"public": False, "z": 1},
    }
    assert with_expectations(text, edits) == (
        "clouds: [{name: a, images: [{id: b, expect: {status: y}}, "
        "{id: c, expect: {public: false, z: 1}}]}, "
        "{images: [d, {id: e, expect: {status: x}}]}]\n",
        True,
    )


def test_nothing_to_change_changes_nothing() -> None:
    """Not a byte."""
    text = "# x\nclouds:\n- {name: a,\n   images: [b]} # y\n\n"
    assert with_expectations(text, {}) == (text, True)


WORDS = st.sampled_from(["a", "é", "\U0001f947", "x: y", "- z", "#", "'", '"', "null", "1", " "])
VALUES = st.one_of(WORDS, st.booleans(), st.none(), st.dictionaries(WORDS, WORDS, max_size=2))
EXPECTATIONS = st.dictionaries(st.sampled_from("pqrs"), VALUES, max_size=3)
IMAGES = st.one_of(
    st.sampled_from(["b", "c-1"]),
    st.fixed_dictionaries(
        {"id": st.sampled_from(["b", "d"])}, optional={"alias": WORDS, "expect": EXPECTATIONS}
    ),
)


@given(
    st.lists(IMAGES, min_size=1, max_size=3),
    st.dictionaries(st.integers(0, 2), EXPECTATIONS.filter(bool)),
    st.sampled_from([True, False, None]),
    st.integers(2, 4),
)
def test_whatever_the_style_what_is_meant_comes_of_it(
    images: list[Any], changes: dict[int, dict[str, Any]], flow: bool | None, indent: int
) -> None:
    """Also for hostile text in any place, and nothing else is touched."""
    data = {"clouds": [{"name": "a", "images": images, "interval": "5s"}], "log": {"level": "info"}}
    text = yaml.dump(data, default_flow_style=flow, indent=indent, allow_unicode=True)
    edits = {(0, place): each for place, each in changes.items() if place < len(images)}
    edited = with_expectations(text, edits)
    after: Any = read_yaml(edited.text).data
    for place, before in enumerate(images):
        image = dict(before) if isinstance(before, dict) else {"id": before}
        if (0, place) in edits:
            image["expect"] = {**(image.get("expect") or {}), **edits[0, place]}
            assert after["clouds"][0]["images"][place] == image
        else:
            assert after["clouds"][0]["images"][place] == before
    assert after["log"] == data["log"]
    assert after["clouds"][0]["interval"] == "5s"
