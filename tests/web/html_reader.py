"""A reader of the page: its elements, the cells of its table, and its text."""

from html.parser import HTMLParser
from typing import Any

from exporter.store import Store
from exporter.web.pages.image_list import query_images
from exporter.web.pages.page import render_page
from exporter.web.pages.query import PageQuery, QueryError
from tests.web.example_images import NOW, example_store

STORE = example_store()
TAGS = {
    *("html", "head", "meta", "title", "link", "style", "script", "noscript", "body", "header"),
    *("h1", "h2", "nav", "a", "main", "p", "b", "div", "ul", "li", "section", "details", "summary"),
    *("span", "dl", "dt", "dd", "form", "label", "input", "select", "option", "button", "table"),
    *("caption", "thead", "tbody", "tr", "th", "td", "time", "bdi", "code", "footer", "abbr", "ol"),
    *("pre", "svg", "rect"),
}
"""Every element that the templates contain."""


class Reader(HTMLParser):
    """The elements of a page with their attributes, the text of table cells, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record an element, and begin a row or a cell."""
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        """Add text to the page and to the current cell."""
        self.text += data
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every element with this tag."""
        return [attributes for name, attributes in self.elements if name == tag]

    def row(self, word: str) -> list[str]:
        """Return the cells of the only row with this word in the image's cell."""
        rows = [[normalize(cell) for cell in row] for row in self.rows]
        (cells,) = [row for row in rows if word in row[2].split()]
        return cells


def normalize(text: str) -> str:
    """Return the text with all whitespace collapsed, as a browser shows it."""
    return " ".join(text.split())


def render(store: Store = STORE, error: QueryError | None = None, **parameters: Any) -> str:
    """Return the page of a store as HTML."""
    query = PageQuery(**parameters)
    return render_page(query_images(store, query, NOW), query, error)


def text_of(html: str) -> str:
    """Return the text of a page."""
    return normalize(Reader(html).text)
