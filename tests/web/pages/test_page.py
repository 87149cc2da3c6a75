"""The page as HTML. tests/web/browser loads it in a browser."""

import re
from dataclasses import replace
from typing import Any

import pytest

from exporter import __version__
from exporter.model.cloud import CLOUD_PROBLEMS
from exporter.model.image import STATUSES, Image
from exporter.model.observation import NEVER_POLLED
from exporter.model.outcome import Failed, Found
from exporter.model.sharding import Shard
from exporter.model.status import PROBLEMS, STATES
from exporter.model.target import Target
from exporter.store import Store
from exporter.web.pages.image_list import query_images
from exporter.web.pages.page import (
    BAR_WIDTH,
    MIN_SEGMENT_WIDTH,
    SCRIPT,
    bar_of_states,
    flags,
    format_value,
    label,
    render_page,
)
from exporter.web.pages.query import PageQuery, QueryError
from tests.support.images import ACTIVE, MAX_STALE
from tests.web.example_images import FIRST_CLOUD, NOW, add_polled_cloud, found, large_store
from tests.web.html_reader import Reader, normalize, render, text_of

PAGE = Reader(render())


def test_row_shows_all_values_of_an_image() -> None:
    assert PAGE.rows[0] != []
    assert PAGE.row("unexpected") == [
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
        ("failing", {7: "▲ failed 12 s ago server_error: HTTP 503"}),
        (
            "refused",
            {0: "▲ not known", 7: "▲ failed 12 s ago forbidden: HTTP 403"},
        ),
        ("deactivated", {5: "protected not public hidden"}),
    ],
)
def test_each_situation_is_distinguished_by_words_not_only_by_color(
    alias: str, cells: dict[int, str]
) -> None:
    row = PAGE.row(alias)
    assert {column: row[column] for column in cells} == cells


def test_summary_is_in_the_first_line_and_the_title() -> None:
    assert "<title>(14) OpenStack image exporter</title>" in render()
    text = text_of(render())
    assert "14 of 18 images have a problem. 1 of 2 clouds has a problem." in text
    assert "As of 2027-01-15 10:00:00 UTC." in text
    hrefs = [link["href"] for link in PAGE.all("a")]
    assert {f"?problem={problem}" for problem in PROBLEMS} <= set(hrefs)


@pytest.mark.parametrize(
    ("count", "polled", "summary"),
    [
        (0, False, "No images are watched."),
        (1, True, "No problem with 1 image."),
        (1, False, "No problem with 1 image, 1 not polled yet."),
        (1000, True, "No problem with 1,000 images."),
    ],
)
def test_summary_without_problems(count: int, polled: bool, summary: str) -> None:
    store = Store()
    targets = [Target("first", f"id-{number}", f"a-{number}") for number in range(count)]
    store.add_cloud(FIRST_CLOUD, targets)
    for target in targets if polled else ():
        store.observe(target.key, NEVER_POLLED.with_outcome(Found(ACTIVE), NOW, MAX_STALE))
    html = render(store)
    (text,) = re.findall(r'id="summary" role="status">(.*?)</p>', html, re.DOTALL)
    assert normalize(text) == summary
    assert "<title>OpenStack image exporter</title>" in html


def test_clouds_show_api_cycles_sign_in_breaker_and_discovery() -> None:
    text = text_of(render())
    for part in (
        "second ▲ API down ▲ API servers disagree ▲ sign-in failing ▲ breaker open "
        "▲ discovery failing ▲ alias without an image 5 of 5 images with a problem Images 5",
        "API v2, polled every 30 s",
        "Last cycle 20 s ago, took 30.0 s; 2 skipped",
        "Next cycle in 10 s",
        "token expired 1 min ago; 5 sign-ins so far, 3 failed unauthorized: HTTP 401 from Keystone",
        "Breaker open: one probe per cycle",
        "Contradictions 3 so far, the last one 5 min ago",
        "5 images, listed 15 min ago timeout: no response in 10 s debian: no image "
        "1 alias ubuntu: hostile",
        "first ● API up",
        "Sign-in token expires in 3 h; 2 sign-ins so far",
        "Breaker closed",
    ):
        assert part in text
    assert text.count("Discovered") == 1
    assert text.count("Contradictions") == 1


def test_cloud_before_its_first_cycle_and_with_an_overdue_one() -> None:
    store = Store()
    new = replace(
        FIRST_CLOUD,
        api_up=None,
        api_version=None,
        last_cycle_at=None,
        next_cycle_at=None,
        token_expires_at=None,
        authentications=0,
        discovery_interval=60.0,
    )
    store.add_cloud(new, [])
    overdue = replace(new, name="late", next_cycle_at=NOW.wall - 600, authentications=1)
    store.add_cloud(overdue, [])
    text = text_of(render(store))
    assert "first API not known yet" in text
    assert "version not known yet, polled every 60 s" in text
    assert (
        "Last cycle none finished yet Next cycle not known yet Sign-in no sign-ins so far" in text
    )
    assert "0 images, not listed yet" in text
    assert "late API not known yet ▲ polling late" in text
    assert "Next cycle due 10 min ago Sign-in 1 sign-in so far" in text


def test_what_an_endpoint_lacks_is_shown() -> None:
    store = Store()
    summary = "lists: refused with 403, polling images one by one"
    store.add_cloud(replace(FIRST_CLOUD, capabilities=summary), [])
    assert f"Endpoint {summary}" in text_of(render(store))
    assert f"Endpoint {summary}" not in text_of(render())


@pytest.mark.parametrize(
    ("count", "shown"), [(0, None), (1, "1 image has values"), (1200, "1,200 images have values")]
)
def test_images_with_cut_labels_are_counted(count: int, shown: str | None) -> None:
    store = Store()
    store.add_cloud(replace(FIRST_CLOUD, cut_images=count), [])
    text = text_of(render(store))
    assert ("cut at label_value_limit" in text) is bool(count)
    assert shown is None or f"Labels {shown} cut at label_value_limit" in text


def test_more_than_three_clouds_or_aliases_are_folded_unless_there_is_a_problem() -> None:
    store = Store()
    aliases = {f"alias-{number}": "an-id" for number in range(4)}
    for number in range(4):
        store.add_cloud(replace(FIRST_CLOUD, name=f"fine {number}"), [])
    down = replace(
        FIRST_CLOUD, name="down", api_up=False, discovery_interval=60.0, resolved=aliases
    )
    store.add_cloud(down, [])
    details = Reader(render(store)).all("details")
    is_open = {str(attributes["id"]): "open" in attributes for attributes in details}
    assert is_open.pop("legend") is False
    others = {f"cloud-fine%20{number}": False for number in range(4)}
    assert is_open == {"cloud-down": True, "aliases-down": False, **others}
    assert next(iter(is_open)) == "cloud-down"


def test_no_two_elements_have_the_same_id() -> None:
    store = Store()
    for name in ("legend", "aliases-legend", "cloud-legend", "fold-legend", "s-heading"):
        cloud = replace(FIRST_CLOUD, name=name, discovery_interval=60, resolved={"golden": "an-id"})
        store.add_cloud(cloud, [])
    ids = [
        attributes["id"] for _, attributes in Reader(render(store)).elements if "id" in attributes
    ]
    assert sorted(set(ids), key=str) == sorted(ids, key=str)


def test_bar_shows_how_many_images_are_in_each_state_worst_first() -> None:
    segments = bar_of_states({"gone": 1, "unknown": 40, "pending": 9, "active": 50})
    assert [(it.state, it.kind, it.count) for it in segments] == [
        ("gone", "bad", 1),
        ("unknown", "warn", 40),
        ("pending", "faint", 9),
        ("active", "good", 50),
    ]
    assert [(it.start, it.width) for it in segments] == [
        (0, 10),
        (10, 400),
        (410, 90),
        (500, 500),
    ]
    assert bar_of_states({}) == []


def test_one_image_of_many_is_visible_in_the_bar() -> None:
    first, last = bar_of_states({"active": 100_000, "gone": 1})
    assert (first.state, first.start, last.start) == ("gone", 0, first.width)
    assert first.width > MIN_SEGMENT_WIDTH * 0.99
    assert first.width + last.width == pytest.approx(BAR_WIDTH)


def test_states_are_counted_linked_and_explained() -> None:
    text = text_of(render())
    for part in (
        "■ 1 gone ■ 1 other ■ 1 saving ■ 2 deactivated ■ 1 deleted ■ 2 not known "
        "■ 1 not polled yet ■ 9 active",
        "gone proved not to be visible to these credentials",
        "deactivated only administrators can read its data",
    ):
        assert part in text
    assert {link["href"] for link in PAGE.all("a") if link.get("id") == "state-gone"} == {
        "?state=gone"
    }
    assert "svg" not in {tag for tag, _ in Reader(render(Store())).elements}


def test_row_shows_at_most_two_changes_and_unmet_expectations() -> None:
    store = Store()
    expect = (("protected", True), ("public", False), ("name", "other"))
    target = Target("first", "an-id", "golden", expect=expect)
    histories = ((90, found(name="old", protected=True)), (60, found(protected=False, public=True)))
    add_polled_cloud(store, FIRST_CLOUD, [(target, histories)])
    row = Reader(render(store)).row("golden")
    assert row[0].endswith("public is true, expected false and 1 more")
    assert row[6] == "1 min ago protected: yes → no public: no → yes and 1 more"


def test_detail_of_a_failure_is_shortened() -> None:
    store = Store()
    target = Target("first", "an-id", "golden")
    add_polled_cloud(store, FIRST_CLOUD, [(target, ((9, Failed("malformed", "x" * 900)),))])
    cell = Reader(render(store)).row("golden")[7]
    assert cell.startswith(f"▲ failed 9 s ago malformed: {'x' * 79}… ")


def test_page_of_ten_thousand_images_is_small() -> None:
    html = render(large_store(10_000))
    assert html.count("<tr") == 51
    assert len(html.encode()) < 60_000


def test_page_of_a_shard_names_the_shard() -> None:
    query = PageQuery()
    html = render_page(query_images(Store(), query, NOW, Shard(1, 3)), query)
    assert "This is shard 1 of 3: other exporters watch the other images." in text_of(html)
    assert "shard" not in text_of(render())


def test_page_shows_the_version_and_links_to_the_other_pages() -> None:
    assert f"Version {__version__}." in render()
    assert [link["href"] for link in PAGE.all("a")][:7] == [
        "#images",
        "metrics",
        "api/images?limit=50",
        "config",
        "-/ready",
        "-/healthy",
        "?refresh=0",
    ]
    assert "example.com" not in render()


def test_page_loads_only_its_own_script_and_has_nothing_inline() -> None:
    assert [script["src"] for script in PAGE.all("script")] == ["page.js"]
    assert [link["href"][:10] for link in PAGE.all("link") if link["href"]] == ["data:image"]
    assert PAGE.all("img") == []
    assert not re.search(
        r"url\(|@import|https?:", render().split("</style>")[0].split("<style>")[1]
    )
    assert not [
        name for _, attributes in PAGE.elements for name in attributes if name.startswith("on")
    ]
    assert not [name for _, attributes in PAGE.elements for name in attributes if name == "style"]
    assert not re.search(r"(innerHTML|outerHTML) *[+]?= |insertAdjacentHTML|\beval|write\(", SCRIPT)


def test_every_url_is_relative() -> None:
    """The page must work behind any prefix."""
    for name in ("href", "src", "action"):
        for _, attributes in PAGE.elements:
            url = attributes.get(name) or "."
            assert url.startswith("data:") or not re.match(r"/|[a-z]+:", url)


def test_page_refreshes_by_script_or_meta_element_unless_switched_off() -> None:
    assert '<noscript><meta http-equiv="refresh" content="30"></noscript>' in render()
    (main,) = PAGE.all("main")
    assert main["data-refresh"] == "30"
    ids = {attributes.get("id") for _, attributes in PAGE.elements}
    assert set(str(main["data-parts"]).split()) <= ids
    html = render(refresh=0, q="a b")
    assert "http-equiv" not in html
    assert Reader(html).all("main")[0]["data-refresh"] == "0"
    assert 'href="?q=a+b">start' in html


def test_links_keep_the_query_and_return_to_the_first_page() -> None:
    page = Reader(render(q="<id>", cloud="first", limit=25, page=1, refresh=10))
    hrefs = {link.get("id"): link["href"] for link in page.all("a")}
    assert hrefs["sort-size"] == "?q=%3Cid%3E&cloud=first&sort=size&limit=25&refresh=10"
    assert hrefs["json"] == "api/images?q=%3Cid%3E&cloud=first&limit=25"
    assert hrefs["problem-gone"] == "?q=%3Cid%3E&cloud=first&problem=gone&limit=25&refresh=10"


def test_second_click_on_a_heading_reverses_the_order() -> None:
    for order, href in (("asc", "?sort=size&order=desc"), ("desc", "?sort=size")):
        page = Reader(render(sort="size", order=order))
        hrefs = {link.get("id"): link["href"] for link in page.all("a")}
        assert hrefs["sort-size"] == href
        (direction,) = [cell["aria-sort"] for cell in page.all("th") if "aria-sort" in cell]
        assert direction == f"{order}ending"


def test_form_holds_the_query() -> None:
    """The form also keeps values that no option offers."""
    html = render(q='"><b>', cloud="elsewhere", limit=7, problem="any", state="saving", sort="size")
    page = Reader(html)
    selected = [option.get("value") for option in page.all("option") if "selected" in option]
    assert selected == ["elsewhere", "any", "saving", None, "30"]
    assert "<option selected>7</option>" in html
    assert {field["name"]: field["value"] for field in page.all("input")} == {
        "q": '"><b>',
        "sort": "size",
        "order": "asc",
    }


def test_first_and_last_page_link_only_inwards() -> None:
    for number, expected in ((1, {"next", "last"}), (2, {"first", "previous", "next", "last"})):
        page = Reader(render(limit=7, page=number))
        ids = [str(link.get("id")) for link in page.all("a")]
        links = {link_id.removeprefix("page-") for link_id in ids if link_id.startswith("page-")}
        assert links == expected
    assert "8 to 14 of 18" in render(limit=7, page=2)
    assert 'class="paging"' not in render()


def test_empty_list_says_why_it_is_empty() -> None:
    assert "No image matches." in render(q="nothing like it")
    assert "No images are configured or discovered yet." in render(Store())


def test_invalid_parameters_are_shown_with_the_accepted_values() -> None:
    html = render(error=QueryError([("limit", "<b>\u202e", "a number")]))
    assert "<code>limit=&lt;b&gt;\\u202e</code></bdi>; accepted: a number" in html


def test_every_state_and_problem_has_a_label() -> None:
    for key in (*STATES, *PROBLEMS, *CLOUD_PROBLEMS):
        assert "_" not in label(key) or key in STATUSES
    assert label("pending_delete") == "pending_delete"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"protected": True, "public": True}, ["protected", "public"]),
        ({"protected": False, "public": False}, ["not protected", "not public"]),
        ({"public": False, "visibility": "community"}, ["community"]),
        ({"hidden": True}, ["hidden"]),
        ({"hidden": False}, []),
    ],
)
def test_unknown_attributes_have_no_flag(fields: dict[str, Any], expected: list[str]) -> None:
    assert list(flags(Image("v1", "an-id", "active", **fields))) == expected
    assert list(flags(None)) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "yes"), (False, "no"), ("a", "a"), ("x" * 40, "x" * 40), ("x" * 41, "x" * 39 + "…")],
)
def test_long_value_of_a_change_is_shortened(value: object, text: str) -> None:
    assert format_value(value) == text
