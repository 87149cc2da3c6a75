"""The documents for people, and their parts."""

import re

from tests.support.program import ROOT

GUIDES = (
    "README.md",
    "CONFIGURATION.md",
    "METRICS.md",
    "OPERATIONS.md",
    "k8s/README.md",
    "dashboards/README.md",
)
"""The documents for users, each with a purpose and, except the first, a table of contents."""
DOCUMENTS = (*GUIDES, "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "k8s/chart/README.md")
TEXT = {document: (ROOT / document).read_text("utf-8") for document in DOCUMENTS}
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\.?[\w./-]+)\n")


def without_code(text: str) -> str:
    """Return the text with blanks for the code blocks, whose comments look like headings."""
    return BLOCK.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), text)


def section(document: str, title: str) -> str:
    """Return the text under a heading, up to the next one of the same or a higher level."""
    text = TEXT[document]
    plain = without_code(text)
    heading = re.search(rf"^(#+) {re.escape(title)}$", plain, re.MULTILINE)
    assert heading, title
    end = re.compile(rf"^#{{1,{len(heading[1])}}} ", re.MULTILINE).search(plain, heading.end())
    return text[heading.end() : end.start() if end else None]


def anchor(title: str) -> str:
    """Return the anchor of a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def headings(text: str) -> list[tuple[int, str]]:
    """Return the level and the title of each heading."""
    found = re.findall(r"^(#+) (.+)$", without_code(text), re.MULTILINE)
    return [(len(level), title) for level, title in found]


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks in a language."""
    return [block["code"] for block in BLOCK.finditer(text) if block["language"] == language]


def files(text: str) -> dict[str, str]:
    """Return the YAML blocks by the file that their first line names."""
    return {FILE.match(code)[1]: code for code in blocks(text, "yaml")}  # type: ignore[index]  # another test checks it


def table_names(text: str) -> set[str]:
    """Return the code in the first column of the tables."""
    return set(re.findall(r"^\| `([\w.-]+)", text, re.MULTILINE))


def table_paths(text: str) -> list[str]:
    """Return the paths in the first column of the tables."""
    return re.findall(r"^\| `(/[^`]*)`", text, re.MULTILINE)
