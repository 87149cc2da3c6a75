"""The documents: sizes, contents, links, generated tables, and what they name."""

import re

import pytest

from exporter import __version__
from tests.readme_tables import TABLES, rendered
from tests.support.documents import (
    DOCUMENTS,
    GUIDES,
    TEXT,
    anchor,
    blocks,
    headings,
    section,
    without_code,
)
from tests.support.program import ROOT

MAX_README_LINES, MAX_README_BYTES, MAX_BYTES = 350, 20_000, 40_000
SYMPTOMS = 9


def test_readme_is_short() -> None:
    text = TEXT["README.md"]
    assert len(text.splitlines()) <= MAX_README_LINES
    assert len(text.encode()) <= MAX_README_BYTES


@pytest.mark.parametrize("document", GUIDES)
def test_document_is_not_too_long(document: str) -> None:
    assert len(TEXT[document].encode()) <= MAX_BYTES


@pytest.mark.parametrize("document", GUIDES[1:])
def test_document_has_a_purpose_a_table_of_contents_and_a_link_from_the_readme(
    document: str,
) -> None:
    text = TEXT[document]
    _, purpose, contents = text.split("\n\n")[:3]
    assert purpose.startswith("This page is for whoever ")
    (_, *titles) = headings(text)
    expected = [f"{'  ' * (level - 2)}- [{title}](#{anchor(title)})" for level, title in titles]
    assert contents.splitlines() == expected
    assert f"]({document})" in section("README.md", "Documents")


@pytest.mark.parametrize("document", GUIDES)
def test_headings_of_a_document_have_different_anchors(document: str) -> None:
    anchors = [anchor(title) for _, title in headings(TEXT[document])]
    assert len(anchors) == len(set(anchors))


@pytest.mark.parametrize("document", TABLES)
def test_tables_are_up_to_date(document: str) -> None:
    text = TEXT[document]
    assert rendered(text, TABLES[document]) == text, f"{document} is stale: make readme"


@pytest.mark.parametrize(
    ("document", "name"), [(document, name) for document in TABLES for name in TABLES[document]]
)
def test_stale_table_is_replaced(document: str, name: str) -> None:
    begin, text = f"<!-- {name} -->\n", TEXT[document]
    assert text.count(begin) == 1
    stale = text.replace(begin, f"{begin}\n| stale |\n")
    assert rendered(stale, {name: TABLES[document][name]}) == text


@pytest.mark.parametrize("damage", ["", "<!-- reasons --><!-- end of reasons -->" * 2])
def test_missing_or_repeated_marker_is_an_error(damage: str) -> None:
    text = TEXT["METRICS.md"].replace("<!-- reasons -->", "")
    with pytest.raises(ValueError, match=r"the markers of 'reasons' [02] times"):
        rendered(text.replace("<!-- end of reasons -->", damage), TABLES["METRICS.md"])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_targets_exist(document: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"`make (\w+)`", TEXT[document])) <= targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_resolve(document: str) -> None:
    folder = (ROOT / document).parent
    for target in re.findall(r"\]\(([^)]+)\)", without_code(TEXT[document])):
        if target.startswith("https://"):
            continue
        path, _, heading = target.partition("#")
        page = folder / path if path else ROOT / document
        assert page.exists(), target
        if heading:
            assert heading in {anchor(title) for _, title in headings(page.read_text())}, target


def test_changelog_has_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(
        rf"^## {re.escape(__version__)} - (unreleased|\d{{4}}-\d\d-\d\d)$", changelog, re.MULTILINE
    )


def test_contributing_names_existing_paths_and_code() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    paths = set(re.findall(r"`((?:exporter|tests|\.github)/[\w./]*)`", text))
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
    files = [ROOT / path for path in ("Makefile", *paths) if (ROOT / path).is_file()]
    code = "".join(file.read_text("utf-8") for file in files)
    names = set(re.findall(r"`([A-Z]\w+)`", text)) - {"None"}
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", code)] == []
    layout = blocks(text, "text")[0]
    folder = ROOT
    for line in layout.splitlines():
        for name in re.split(r", ", line.strip().split("  ")[0]):
            folder = folder if line.startswith(" ") else ROOT
            assert (folder / name).exists(), name
        if not line.startswith(" "):
            folder = ROOT / line.split()[0]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_contain_no_local_paths(document: str) -> None:
    text = TEXT[document]
    assert not re.search(r"/(home|root|work|tmp|Users)/", text)


def test_each_symptom_has_a_cause_a_remedy_and_one_command() -> None:
    text = section("OPERATIONS.md", "Troubleshooting")
    symptoms = [title for level, title in headings(text) if level == 3]
    assert len(symptoms) == SYMPTOMS
    for symptom in symptoms:
        advice = section("OPERATIONS.md", symptom)
        assert re.findall(r"^- \*\*(.+?):\*\*", advice, re.MULTILINE) == ["You see", "Why", "Do"]
        (command,) = blocks(advice, "sh")
        assert command.count("\n") == 1
