from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter.commands.round_trip import Edited, Edits, _Document, with_expectations
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
    "a bare ID, the last thing in a file with wide indentation": (
        "clouds:\n  -   name: a\n      images:\n        -   'b'",
        "clouds:\n  -   name: a\n      images:\n        -   id: 'b'\n            expect:\n"
        "              status: active\n              hash: {sha512: ab}\n"
        "              max_age: null",
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
    "a mapping on one line": (
        "clouds:\n- name: a\n  images:\n  - {id: b, alias: c}  # x\n",
        f"clouds:\n- name: a\n  images:\n  - {{id: b, alias: c, expect: {{{WRITTEN}}}}}  # x\n",
    ),
    "expectations, one of which is there": (
        "clouds:\n- name: a\n  images:\n  - id: b\n    expect:  # what\n"
        "      status: [queued]  # not yet\n"
        "      # a comment\n      protected: true  # yes\n\n    alias: c\n",
        "clouds:\n- name: a\n  images:\n  - id: b\n    expect:  # what\n"
        "      status: active    # not yet\n"
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
        "clouds:\n- name: a\n  images:\n  - id: b\n    expect:  # soon\n"
        "      status: active\n      hash: {sha512: ab}\n      max_age: null\n    alias: c\n",
    ),
    "no expectations": (
        "clouds:\n- name: a\n  images:\n  - id: b\n    expect: {}\n",
        "clouds:\n- name: a\n  images:\n  - id: b\n    expect:\n"
        "      status: active\n      hash: {sha512: ab}\n      max_age: null\n",
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
    "a document between marks, with comments outside of them": (
        "# x\n---\n\n# y\nclouds:\n- name: a\n  images: [b]\n...\n# z\n",
        f"# x\n---\n\n# y\nclouds:\n- name: a\n  images: [{{id: b, expect: {{{WRITTEN}}}}}]\n"
        "...\n# z\n",
    ),
    "an image before the comment of the next one": (
        "clouds:\n  - name: a\n    images:\n      # b\n      - id: b\n        alias: x  # y\n\n"
        "      # c\n      - c\n",
        "clouds:\n  - name: a\n    images:\n      # b\n      - id: b\n        alias: x  # y\n"
        "        expect:\n          status: active\n          hash: {sha512: ab}\n"
        "          max_age: null\n\n      # c\n      - c\n",
    ),
    "values that are spelt in an unusual way": (
        "a: ~\nb: null\nc:\nd: True\ne: yes\nf: 0x1F\ng: 010\nh: 1_000\ni: 1e3\nj: 2026-11-23\n"
        "k: 1:30\non: \"x\"\nl: 'it''s'\nclouds: [{images: [b]}]\n",
        "a: ~\nb: null\nc:\nd: True\ne: yes\nf: 0x1F\ng: 010\nh: 1_000\ni: 1e3\nj: 2026-11-23\n"
        "k: 1:30\non: \"x\"\nl: 'it''s'\n"
        f"clouds: [{{images: [{{id: b, expect: {{{WRITTEN}}}}}]}}]\n",
    ),
    "an anchor and its alias": (
        "expect: &x {status: saving}\nclouds:\n- expect: *x\n  images:\n  - id: b\n",
        "expect: &x {status: saving}\nclouds:\n- expect: *x\n  images:\n  - id: b\n    expect:\n"
        "      status: active\n      hash: {sha512: ab}\n      max_age: null\n",
    ),
    "a merge key": (
        "clouds:\n- name: a\n  images:\n  - id: b\n    expect:\n      <<: &x {protected: true}\n"
        "  - {id: c, expect: *x}\n",
        "clouds:\n- name: a\n  images:\n  - id: b\n    expect:\n      <<: &x {protected: true}\n"
        "      status: active\n      hash: {sha512: ab}\n      max_age: null\n"
        "  - {id: c, expect: *x}\n",
    ),
}


@pytest.mark.parametrize(("text", "new"), FAITHFUL.values(), ids=FAITHFUL)
def test_everything_but_the_expectations_is_kept(text: str, new: str) -> None:
    edited = with_expectations(text, {(0, 0): CHANGES})
    assert edited == Edited(new)


SHARED = {
    "an image": "clouds:\n- name: a\n  images: [&x {id: b}]\n- name: c\n  images: [*x, d]  # two\n",
    "expectations": (
        "clouds:\n- name: a\n  images:\n  - {id: b, expect: &x {status: saving}}\n"
        "  - {id: c, expect: *x}  # two\n"
    ),
    "a list": "clouds:\n- name: a\n  images: &x [b, c]\n- name: d\n  images: *x  # two\n",
    "a cloud": ("x: &x {name: a, images: [b]}\nclouds:\n- *x\n- name: c  # two\n  images: [d]\n"),
}


@pytest.mark.parametrize("text", SHARED.values(), ids=SHARED)
def test_image_that_an_alias_repeats_changes_in_one_place(text: str) -> None:
    before: Any = read_yaml(text).data
    edited = with_expectations(text, {(0, 0): CHANGES})
    after: Any = read_yaml(edited.text).data
    assert "  # two\n" in edited.text
    assert edited.lost_comments == 0
    image, *others = after["clouds"][0]["images"]
    assert (image["id"], image["expect"]) == ("b", CHANGES)
    assert others == before["clouds"][0]["images"][1:]
    assert after["clouds"][1:] == before["clouds"][1:]


def test_shared_values_that_are_not_text_are_copied() -> None:
    text = (
        "golden: &g {protected: true, min_ram: 0x10, owner: ~}  # one\nclouds:\n- name: a\n"
        "  images:\n  - {id: b, expect: *g}\n  - {id: c, expect: *g}  # two\n"
    )
    edited = with_expectations(text, {(0, 0): CHANGES})
    settings: Any = read_yaml(edited.text).data
    images = settings["clouds"][0]["images"]
    shared = {"protected": True, "min_ram": 16, "owner": None}
    assert images == [{"id": "b", "expect": {**shared, **CHANGES}}, {"id": "c", "expect": shared}]
    assert "# one" in edited.text
    assert "  # two\n" in edited.text
    assert not edited.is_rewritten


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_comment_after_a_tab_is_kept(newline: str) -> None:
    text = f"clouds:{newline}- name: a\t# prod{newline}  images: [b] \t\t# end{newline}"
    edited = with_expectations(text, {(0, 0): CHANGES})
    assert f"name: a # prod{newline}" in edited.text
    assert (edited.is_rewritten, edited.lost_comments) == (False, 0)


ELSEWHERE = {
    "a cloud merged into another": (
        "# one\nclouds:\n- &x\n  name: a\n  images: [b]\n- <<: *x\n  name: c\n"
    ),
    "all merged": (
        "# one\n<<: {clouds: [{name: d, images: [e]}, {name: a, images: [b]}]}\nlog: {}\n"
    ),
    "lines that end in a carriage return": (
        "# one\rclouds:\r- name: d\r  images: [e]\r- images:\r  - id: b\r    expect:\r"
        "      status:\r      - saving\r"
    ),
}


@pytest.mark.parametrize("text", ELSEWHERE.values(), ids=ELSEWHERE)
def test_merged_images_change_where_they_are_merged_to(text: str) -> None:
    before: Any = read_yaml(text).data
    edited = with_expectations(text, {(1, 0): CHANGES})
    after: Any = read_yaml(edited.text).data
    assert edited.text.startswith("# one")
    assert after["clouds"][0] == before["clouds"][0]
    assert after["clouds"][1]["images"] == [{"id": "b", "expect": CHANGES}]


def test_changed_expectation_wins_over_a_merged_one() -> None:
    text = (
        "clouds:\n- name: a\n  images:\n  - id: b\n"
        "    expect: {<<: &x {status: saving, protected: true}}\n"
    )
    edited = with_expectations(text, {(0, 0): CHANGES})
    (image,) = read_yaml(edited.text).data["clouds"][0]["images"]  # type: ignore[index]  # a mapping
    assert image == {"id": "b", "expect": {"protected": True, **CHANGES}}


def test_each_change_goes_to_its_own_image() -> None:
    text = "clouds: [{name: a, images: [b, {id: c, expect: {public: true}}]}, {images: [d, e]}]\n"
    edits: Edits = {
        (1, 1): {"status": "x"},
        (0, 0): {"status": "y"},
        (0, 1): {"public": False, "z": 1},
    }
    assert with_expectations(text, edits).text == (
        "clouds: [{name: a, images: [{id: b, expect: {status: y}}, "
        "{id: c, expect: {public: false, z: 1}}]}, "
        "{images: [d, {id: e, expect: {status: x}}]}]\n"
    )


def test_no_change_keeps_every_byte() -> None:
    text = "# x\nclouds:\n- {name: a,\n   images: [b]} # y\n\n"
    assert with_expectations(text, {}) == Edited(text)


REFORMATTED = {
    "brackets over several lines": (
        "clouds:\n- name: a\n  images: [\n    b,  # one\n    c,\n  ]\n",
        "- id: b",
    ),
    "a comma at the end": ("clouds:\n- {name: a, images: [b, ], }\n", "images: [{id: b"),
    "two indentations": (
        "clouds:\n- name: a\n  images:\n     - b\n- name: c\n  images:\n  - d\n- images: [e]\n",
        "- id: b\n",
    ),
}


@pytest.mark.parametrize(("text", "part"), REFORMATTED.values(), ids=REFORMATTED)
def test_changed_line_breaks_and_spaces_are_reported(text: str, part: str) -> None:
    edited = with_expectations(text, {(0, 0): CHANGES})
    assert edited.is_reformatted
    assert part in edited.text
    assert edited.text.count("#") == text.count("#")


def test_long_lines_are_not_folded() -> None:
    words = " ".join(["word"] * 200)
    text = f"x: {words}\ny: '{words}'\nclouds: [{{images: [b, {', '.join(['c'] * 100)}]}}]\n"
    edited = with_expectations(text, {(0, 0): {"name": words}})
    assert not edited.is_reformatted
    assert len(edited.text.splitlines()) == 3


def test_lost_comments_are_counted() -> None:
    text = (
        "clouds:\n- name: a\n  images:\n  - id: b\n    expect:\n"
        "      status:\n      - queued  # not yet\n      - saving\n      # a comment\n"
        "      protected: true\n"
    )
    edited = with_expectations(text, {(0, 0): {"status": "active"}})
    assert edited.lost_comments == 1
    assert "status: active\n      # a comment\n      protected: true\n" in edited.text


def test_text_that_ruamel_cannot_read_is_written_without_comments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr(_Document, "__init__", fail)
    edited = with_expectations("clouds:  # x\n- images: [b]\n", {(0, 0): {"status": "active"}})
    assert edited.lost_comments == 1
    assert read_yaml(edited.text).data == {
        "clouds": [{"images": [{"id": "b", "expect": {"status": "active"}}]}]
    }


def test_text_that_ruamel_cannot_handle_is_written_without_comments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "# x\nclouds:\n- name: a  # y\n  images: [b]\n"
    for dump in (lambda _: "clouds: []\n", lambda _: "{", lambda _: "".index("x")):
        monkeypatch.setattr(_Document, "dump", dump)
        edited = with_expectations(text, {(0, 0): CHANGES})
        assert (edited.is_rewritten, edited.lost_comments) == (True, 2)
        assert read_yaml(edited.text).data == {
            "clouds": [{"name": "a", "images": [{"id": "b", "expect": CHANGES}]}]
        }


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
def test_any_text_in_any_style_survives(
    images: list[Any], changes: dict[int, dict[str, Any]], flow: bool | None, indent: int
) -> None:
    data = {"clouds": [{"name": "a", "images": images, "interval": "5s"}], "log": {"level": "info"}}
    text = yaml.dump(data, default_flow_style=flow, indent=indent, allow_unicode=True)
    edits = {(0, index): change for index, change in changes.items() if index < len(images)}
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
