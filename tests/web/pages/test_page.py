"""The page for people, as HTML; tests/web/browser shows it in a browser."""

import re
from dataclasses import replace
from typing import Any

import pytest

from exporter import __version__
from exporter.model.cloud import CLOUD_PROBLEMS
from exporter.model.image import STATUSES, Image
from exporter.model.observation import NEVER_POLLED
from exporter.model.outcome import Found
from exporter.model.sharding import Shard
from exporter.model.status import PROBLEMS, STATES
from exporter.model.target import Target
from exporter.store import Store
from exporter.web.pages.image_list import query_images
from exporter.web.pages.page import SCRIPT, flags, format_value, label, render_page
from exporter.web.pages.query import PageQuery, QueryError
from tests.model.samples import ACTIVE, MAX_STALE
from tests.web.cast import FIRST, NOW, REQUEST
from tests.web.reading import Reader, html, text_of

READ = Reader(html())


def test_the_page_shows_every_image() -> None:
    """A row has the state, since when, names and ID, cloud, size, flags, change and poll."""
    assert READ.rows[0] != []
    assert READ.row("unexpected") == [
        "● active protected is false, expected true public is true, expected false",
        "1 h ago",
        "unexpected golden id-of-unexpected",
        "first",
        "1 Byte",
        "not protected public",
        "1 min ago protected: yes → no public: no → yes",
        "1 min ago",
    ]


@pytest.mark.parametrize(
    ("alias", "cells"),
    [
        ("fine", {0: "● active", 4: "2.2 GiB", 5: "protected not public", 6: "none seen"}),
        ("gone", {0: "✖ gone", 1: "10 min ago", 4: "–", 5: "–"}),
        ("odd", {0: "✖ rearranging"}),
        ("wanted", {0: "● deactivated"}),
        ("stale", {0: "▲ not known", 1: "35 min ago", 2: "stale id-of-stale", 5: "–"}),
        ("new", {0: "○ not polled yet", 1: "–", 7: "none yet"}),
        ("bare", {0: "● active cannot be verified: protected", 2: "bare id-of-bare", 4: "–"}),
        ("failing", {7: f"▲ failed 12 s ago server_error: HTTP 503 request {REQUEST}"}),
        (
            "refused",
            {0: "▲ not known", 7: f"▲ failed 12 s ago forbidden: HTTP 403 request {REQUEST}"},
        ),
        ("deactivated", {5: "protected not public hidden"}),
    ],
)
def test_a_row_says_how_an_image_stands(alias: str, cells: dict[int, str]) -> None:
    """Each situation is told from every other, by words and not by colour alone."""
    row = READ.row(alias)
    assert {place: row[place] for place in cells} == cells


def test_the_page_says_how_all_stand() -> None:
    """The verdict is in the first line and the title, and each problem leads to its images."""
    assert "<title>(14) OpenStack image exporter</title>" in html()
    text = text_of(html())
    assert "14 of 18 images have a problem. 1 of 2 clouds has a problem." in text
    assert "As of 2027-01-15 10:00:00 UTC." in text
    hrefs = [each["href"] for each in READ.all("a")]
    assert {f"?problem={problem}" for problem in PROBLEMS} <= set(hrefs)


@pytest.mark.parametrize(
    ("targets", "polled", "verdict"),
    [
        (0, False, "No images are watched."),
        (1, True, "No problem with 1 image."),
        (1, False, "No problem with 1 image, 1 not polled yet."),
        (1000, True, "No problem with 1,000 images."),
    ],
)
def test_the_page_says_when_all_is_well(targets: int, polled: bool, verdict: str) -> None:
    """Without a problem the verdict says so, and of how many."""
    store = Store()
    many = [Target("first", f"id-{number}", f"a-{number}") for number in range(targets)]
    store.add_cloud(FIRST, many)
    for target in many if polled else ():
        store.observe(target.key, NEVER_POLLED.with_outcome(Found(ACTIVE), NOW, MAX_STALE))
    shown = html(store)
    (text,) = re.findall(r'id="summary" role="status">(.*?)</p>', shown, re.DOTALL)
    assert " ".join(text.split()) == verdict
    assert "<title>OpenStack image exporter</title>" in shown


def test_the_page_tells_of_every_cloud() -> None:
    """The API, the cycles, the sign-in, the breaker and what is discovered."""
    text = text_of(html())
    for part in (
        "second ▲ API down ▲ sign-in failing ▲ breaker open ▲ discovery failing "
        "▲ alias without an image 5 of 5 images with a problem Images 5",
        "API v2, polled every 30 s",
        "Last cycle 20 s ago, took 30.0 s; 2 skipped",
        "Next cycle in 10 s",
        "token expired 1 min ago; 5 sign-ins so far, 3 failed unauthorized: HTTP 401 from Keystone",
        "Breaker open: one probe per cycle",
        "5 images, listed 15 min ago timeout: no answer in 10 s debian: no image "
        "1 alias ubuntu: hostile",
        "first ● API up",
        "Sign-in token expires in 3 h; 2 sign-ins so far",
        "Breaker closed",
    ):
        assert part in text
    assert text.count("Discovered") == 1


def test_the_page_tells_of_a_cloud_that_was_never_asked() -> None:
    """What is not known yet is said to be so, and a cycle that is overdue is."""
    store = Store()
    late = replace(
        FIRST,
        api_up=None,
        api_version=None,
        last_cycle_at=None,
        next_cycle_at=None,
        token_expires_at=None,
        authentications=0,
        discovery_interval=60.0,
    )
    store.add_cloud(late, [])
    overdue = replace(late, name="late", next_cycle_at=NOW.wall - 600, authentications=1)
    store.add_cloud(overdue, [])
    text = text_of(html(store))
    assert "first API not known yet" in text
    assert "version not known yet, polled every 60 s" in text
    assert (
        "Last cycle none finished yet Next cycle not known yet Sign-in no sign-ins so far" in text
    )
    assert "0 images, not listed yet" in text
    assert "late API not known yet ▲ polling late" in text
    assert "Next cycle due 10 min ago Sign-in 1 sign-in so far" in text


def test_many_clouds_are_folded_but_those_in_trouble() -> None:
    """Of more than three clouds, and of more than three aliases, only what is wrong is open."""
    store = Store()
    aliases = {f"alias-{number}": "an-id" for number in range(4)}
    for number in range(4):
        store.add_cloud(replace(FIRST, name=f"well {number}"), [])
    down = replace(FIRST, name="down", api_up=False, discovery_interval=60.0, resolved=aliases)
    store.add_cloud(down, [])
    folds = {str(each["id"]): "open" in each for each in Reader(html(store)).all("details")}
    wells = {f"cloud-well%20{number}": False for number in range(4)}
    assert folds == {"cloud-down": True, "aliases-down": False, **wells}
    assert next(iter(folds)) == "cloud-down"


def test_the_page_of_a_shard_says_so() -> None:
    """Which shard it is, and that there are other images; one that is alone says nothing."""
    query = PageQuery()
    part = render_page(query_images(Store(), query, NOW, Shard(1, 3)), query)
    assert "Only shard 1 of 3: other exporters watch the other images." in text_of(part)
    assert "shard" not in text_of(html())


def test_the_page_leads_on() -> None:
    """It says the version and links to all other pages, relative to itself."""
    assert f"Version {__version__}." in html()
    assert [each["href"] for each in READ.all("a")][:6] == [
        "#images",
        "metrics",
        "api/images?",
        "-/ready",
        "-/healthy",
        "?refresh=0",
    ]
    assert "example.com" not in html()


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """It loads its own script, relative to itself, and nothing else; nothing is inline."""
    assert [each["src"] for each in READ.all("script")] == ["page.js"]
    assert [each["href"][:10] for each in READ.all("link") if each["href"]] == ["data:image"]
    assert READ.all("img") == []
    assert not re.search(r"url\(|@import|https?:", html().split("</style>")[0].split("<style>")[1])
    assert not [
        name for _, attributes in READ.elements for name in attributes if name.startswith("on")
    ]
    assert not [name for _, attributes in READ.elements for name in attributes if name == "style"]
    assert not re.search(r"(innerHTML|outerHTML) *[+]?= |insertAdjacentHTML|\beval|write\(", SCRIPT)


def test_every_address_is_relative() -> None:
    """So the page works behind any prefix."""
    for name in ("href", "src", "action"):
        for _, attributes in READ.elements:
            address = attributes.get(name) or "."
            is_data = address.startswith("data:")
            assert is_data or not re.match(r"/|[a-z]+:", address)


def test_the_page_refreshes_itself_until_it_is_told_not_to() -> None:
    """By meta refresh, which keeps the address, where scripts do not run, else by the script."""
    assert '<noscript><meta http-equiv="refresh" content="30"></noscript>' in html()
    assert READ.all("main") == [{"data-refresh": "30"}]
    still = html(refresh=0, q="a b")
    assert "http-equiv" not in still
    assert Reader(still).all("main") == [{"data-refresh": "0"}]
    assert 'href="?q=a+b">start' in still


def test_links_keep_what_is_asked_for() -> None:
    """An order, a problem and JSON are asked for of the same images; paging begins again."""
    asked = Reader(html(q="<id>", cloud="first", limit=25, page=1, refresh=10))
    hrefs = {each.get("id"): each["href"] for each in asked.all("a")}
    assert hrefs["sort-size"] == "?q=%3Cid%3E&cloud=first&sort=size&limit=25&refresh=10"
    assert hrefs["json"] == "api/images?q=%3Cid%3E&cloud=first&limit=25"
    assert hrefs["problem-gone"] == "?q=%3Cid%3E&cloud=first&problem=gone&limit=25&refresh=10"


def test_a_second_click_turns_the_order_round() -> None:
    """The column in use says which way it goes, and leads to the other way."""
    for order, other in (("asc", "?sort=size&order=desc"), ("desc", "?sort=size")):
        read = Reader(html(sort="size", order=order))
        hrefs = {each.get("id"): each["href"] for each in read.all("a")}
        assert hrefs["sort-size"] == other
        (says,) = [each["aria-sort"] for each in read.all("th") if "aria-sort" in each]
        assert says == f"{order}ending"


def test_the_form_holds_what_is_asked_for() -> None:
    """What is sent next is what is shown, also what no choice offers."""
    asked = html(q='"><b>', cloud="elsewhere", limit=7, problem="any", state="saving", sort="size")
    read = Reader(asked)
    chosen = [each.get("value") for each in read.all("option") if "selected" in each]
    assert chosen == ["elsewhere", "any", "saving", None, "30"]
    assert "<option selected>7</option>" in asked
    assert {each["name"]: each["value"] for each in read.all("input")} == {
        "q": '"><b>',
        "sort": "size",
        "order": "asc",
    }


def test_paging_leads_to_every_page() -> None:
    """The first and the last page lead only inwards; there is no paging where one page does."""
    for number, expected in ((1, {"next", "last"}), (2, {"first", "previous", "next", "last"})):
        read = Reader(html(limit=7, page=number))
        ids = {str(each.get("id")) for each in read.all("a")}
        assert {each[5:] for each in ids if each.startswith("page-")} == expected
    assert "8 to 14 of 18" in html(limit=7, page=2)
    assert 'class="paging"' not in html()


def test_no_match_is_said() -> None:
    """A search that finds nothing says so, and leads back."""
    assert "No image matches." in html(q="nothing like it")
    assert "No images are configured or discovered yet." in html(Store())


def test_mistakes_are_shown() -> None:
    """Parameters that were left out are named with what is accepted, as text."""
    shown = html(mistakes=QueryError([("limit", "<b>\u202e", "a number")]))
    assert "<code>limit=&lt;b&gt;\\u202e</code></bdi>: give a number" in shown


def test_every_key_has_words_and_a_meaning() -> None:
    """Nothing is shown as a key of the code; a status is a word of its own."""
    for key in (*STATES, *PROBLEMS, *CLOUD_PROBLEMS):
        assert "_" not in label(key) or key in STATUSES
    assert label("pending_delete") == "pending_delete"


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, []),
        ({"protected": True, "public": True}, ["protected", "public"]),
        ({"protected": False, "public": False}, ["not protected", "not public"]),
        ({"public": False, "visibility": "community"}, ["community"]),
        ({"hidden": True}, ["hidden"]),
        ({"hidden": False}, []),
    ],
)
def test_flags_say_only_what_is_known(fields: dict[str, Any], shown: list[str]) -> None:
    """What the API does not say is not shown, as either."""
    assert list(flags(Image("v1", "an-id", "active", **fields))) == shown
    assert list(flags(None)) == []


@pytest.mark.parametrize(
    ("told", "shown"),
    [(True, "yes"), (False, "no"), ("a", "a"), ("x" * 40, "x" * 40), ("x" * 41, "x" * 39 + "…")],
)
def test_a_value_is_short(told: object, shown: str) -> None:
    """A value in a change is said in words, and cut where it is long."""
    assert format_value(told) == shown
