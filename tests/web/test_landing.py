"""The page for people, as HTML."""

import re

import pytest

from exporter import __version__
from exporter.web.landing import LandingRow, ago, landing_page

GOLDEN = LandingRow("otc-de", "3c3d1d01-b48a-4639-8a88-08be3b9b5d78", "golden", "active", "good", 5)


def test_the_page_shows_every_image() -> None:
    """A row holds cloud, alias, ID, state and the time of the last answer."""
    page = landing_page([GOLDEN])
    row = re.sub(r"<[^>]+>|\s+", " ", page[page.index("<tbody>") : page.index("</tbody>")])
    assert row.split() == [GOLDEN.cloud, GOLDEN.alias, GOLDEN.image_id, "active", "5", "s", "ago"]
    assert 'class="good"' in page


def test_the_page_says_version_and_where_to_go() -> None:
    """The page names the version and links to all other pages, relative to itself."""
    page = landing_page([])
    assert f"Version {__version__}" in page
    assert re.findall(r'href="([^"]+)"', page) == ["metrics", "-/ready", "-/healthy"]
    assert "No images are configured." in page


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """The page has no script and loads nothing."""
    page = landing_page([GOLDEN])
    assert not re.search(r"<script|<link|<img|src=|url\(|@import|https?:", page)


def test_hostile_text_stays_text() -> None:
    """Markup in a row is shown, not obeyed."""
    hostile = "</td><script>alert('x')</script>&\""
    page = landing_page([LandingRow(hostile, hostile, hostile, hostile, "bad", None)])
    assert "<script" not in page
    escaped = "&lt;/td&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&#34;"
    assert page.count(escaped) == 4


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "never"),
        (-1.0, "0 s ago"),
        (0.0, "0 s ago"),
        (59.4, "59 s ago"),
        (60.0, "1 min ago"),
        (3599.0, "59 min ago"),
        (3600.0, "1 h ago"),
        (86400.0 * 3.5, "3 d ago"),
    ],
)
def test_a_time_ago_is_in_words(seconds: float | None, words: str) -> None:
    """Seconds are said in their largest whole unit."""
    assert ago(seconds) == words
