"""A page as a program reads it: its elements, its rows and its text."""

from html.parser import HTMLParser
from typing import Any

from exporter.store import Store
from exporter.web.pages.image_list import query_images
from exporter.web.pages.page import render_page
from exporter.web.pages.query import PageQuery, QueryError
from tests.web.cast import NOW, cast

CAST = cast()
TAGS = {
    *("html", "head", "meta", "title", "link", "style", "script", "noscript", "body", "header"),
    *("h1", "h2", "nav", "a", "main", "p", "b", "div", "ul", "li", "section", "details", "summary"),
    *("span", "dl", "dt", "dd", "form", "label", "input", "select", "option", "button", "table"),
    *("caption", "thead", "tbody", "tr", "th", "td", "time", "bdi", "code", "footer"),
}
"""Every element that the templates have."""


class Reader(HTMLParser):
    """What is in a page: its elements with their attributes, and the text of each table row."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes the element."""
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        """Adds the text to that of the page, and of the cell that it stands in."""
        self.text += data
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element with this name."""
        return [attributes for name, attributes in self.elements if name == tag]

    def row(self, word: str) -> list[str]:
        """The cells of the one row whose image has this word in it, without line breaks."""
        rows = [[" ".join(cell.split()) for cell in row] for row in self.rows]
        (found,) = [row for row in rows if word in row[2].split()]
        return found


def html(store: Store = CAST, mistakes: QueryError | None = None, **asked: Any) -> str:
    """The page that is asked for."""
    query = PageQuery(**asked)
    return render_page(query_images(store, query, NOW), query, mistakes)


def text_of(shown: str) -> str:
    """What is to be read on a page, without line breaks."""
    return " ".join(Reader(shown).text.split())
