"""The page in a browser."""

import json
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from exporter.text import escape
from exporter.web.pages.page import COLUMNS
from tests.web.browser.conftest import PREFIX, OpenTab, Tab, url_of
from tests.web.conftest import ServerThread
from tests.web.example_images import FORMER_NAMES, HOSTILE_NAMES, POLL_HISTORIES, RIGHT_TO_LEFT

pytestmark = pytest.mark.slow

PHONE = {"viewport": {"width": 360, "height": 740}}
WIDE = {"viewport": {"width": 1400, "height": 900}}


def select(tab: Tab, name: str) -> Locator:
    """Return the select element with this label."""
    return tab.page.get_by_role("combobox", name=name)


def rows(page: Page) -> int:
    """Return the number of images in the table."""
    return page.locator("tbody tr").count()


def test_hostile_names_are_shown_as_text_and_run_nothing(
    example_server: ServerThread, open_tab: OpenTab
) -> None:
    tab = open_tab(url_of(example_server, "/?cloud=second&sort=image"))
    assert sorted(tab.names()) == sorted(escape(name) for name in HOSTILE_NAMES.values())
    assert tab.page.title() == "(14) OpenStack image exporter"
    assert tab.page.locator("script").count() == 1
    assert tab.page.locator("main img, main script, main iframe").count() == 0
    origins = {urlsplit(url)[:2] for url in tab.requests if not url.startswith("data:")}
    assert origins == {urlsplit(url_of(example_server))[:2]}


def test_right_to_left_name_does_not_reorder_the_text_beside_it(
    example_server: ServerThread, open_tab: OpenTab
) -> None:
    tab = open_tab(url_of(example_server, "/?cloud=second&q=rtl"), **WIDE)
    change = tab.page.locator("tbody td:nth-child(7) .faint")
    assert change.inner_text() == f"name: {FORMER_NAMES[RIGHT_TO_LEFT]} → {RIGHT_TO_LEFT}"
    boxes = "it => [...it.querySelectorAll('bdi')].map(bdi => bdi.getBoundingClientRect())"
    change.evaluate("it => { it.style.whiteSpace = 'nowrap'; }")
    old, new = change.evaluate(boxes)
    assert old["top"] == new["top"]
    assert old["right"] < new["left"]


def test_content_security_policy_blocks_an_injected_script(
    example_server: ServerThread, open_tab: OpenTab
) -> None:
    tab = open_tab(url_of(example_server))
    tab.page.evaluate(
        "const it = document.createElement('script');"
        "it.textContent = 'document.title = `run`'; document.body.append(it)"
    )
    assert tab.page.title() == "(14) OpenStack image exporter"
    assert len(tab.messages) == 1
    tab.expect_message("Content Security Policy")


def test_search_is_in_the_url_and_stays_in_the_field(
    example_server: ServerThread, open_tab: OpenTab
) -> None:
    tab = open_tab(url_of(example_server))
    assert rows(tab.page) == 18
    field = tab.page.get_by_role("searchbox", name="Search")
    field.fill("id-of-g")
    field.press("Enter")
    expect(tab.page.locator("tbody tr")).to_have_count(1)
    assert tab.names() == ["gone"]
    assert "q=id-of-g" in tab.page.url
    assert field.input_value() == "id-of-g"
    expect(tab.page.locator("caption")).to_have_text("1 to 1 of 1 matching, 18 in total")
    tab.page.get_by_role("link", name="Reset").click()
    expect(tab.page.locator("tbody tr")).to_have_count(18)


def test_search_for_markup_is_shown_as_text(
    example_server: ServerThread, open_tab: OpenTab
) -> None:
    text = "\"'><script>document.title='run'</script>"
    tab = open_tab(url_of(example_server))
    field = tab.page.get_by_role("searchbox")
    field.fill(text)
    field.press("Enter")
    expect(tab.page.get_by_text("No image matches.")).to_be_visible()
    assert field.input_value() == text
    assert tab.page.title() == "(14) OpenStack image exporter"


def test_filters_are_applied_together_and_stay_selected(
    example_server: ServerThread, open_tab: OpenTab
) -> None:
    tab = open_tab(url_of(example_server))
    select(tab, "Cloud").select_option("first")
    select(tab, "Problem").select_option(label="With a problem")
    select(tab, "State").select_option("active")
    tab.page.get_by_role("button", name="Apply").click()
    expect(tab.page.locator("tbody tr")).to_have_count(2)
    assert tab.names() == ["unexpected", "failing"]
    assert select(tab, "Problem").input_value() == "any"
    assert select(tab, "State").input_value() == "active"


def test_problem_count_links_to_its_images(example_server: ServerThread, open_tab: OpenTab) -> None:
    tab = open_tab(url_of(example_server))
    tab.page.get_by_role("link", name="2 gone").click()
    expect(tab.page.locator("tbody tr")).to_have_count(2)
    assert tab.names() == ["deleted", "gone"]


def test_heading_sorts_by_its_column_and_says_the_direction(
    example_server: ServerThread, open_tab: OpenTab
) -> None:
    tab = open_tab(url_of(example_server, "/?cloud=first"))
    heading = tab.page.get_by_role("columnheader", name="Image")
    expect(tab.page.get_by_role("columnheader", name="State")).to_have_attribute(
        "aria-sort", "ascending"
    )
    for order in ("ascending", "descending"):
        heading.get_by_role("link").click()
        expect(heading).to_have_attribute("aria-sort", order)
        assert tab.names() == sorted(POLL_HISTORIES, reverse=order == "descending")
    assert tab.page.locator("[aria-sort]").count() == 1


def test_ten_thousand_images_are_paginated(large_server: ServerThread, open_tab: OpenTab) -> None:
    tab = open_tab(url_of(large_server, "/?sort=image"))
    assert rows(tab.page) == 50
    paging = tab.page.get_by_role("navigation", name="Pages")
    expect(paging).to_contain_text("Page 1 of 200")
    paging.get_by_role("link", name="Next").click()
    expect(paging).to_contain_text("Page 2 of 200")
    assert tab.names()[0] == "image-00050"
    paging.get_by_role("link", name="Last").click()
    expect(paging).to_contain_text("Page 200 of 200")
    assert tab.names()[-1] == "image-09999"
    expect(paging.get_by_role("link", name="Next")).to_have_count(0)
    expect(tab.page.locator("caption")).to_have_text("9,951 to 10,000 of 10,000")
    select(tab, "Per page").select_option("1000")
    tab.page.get_by_role("button", name="Apply").click()
    expect(tab.page.locator("tbody tr")).to_have_count(1000)


def test_no_row_takes_five_lines(example_server: ServerThread, open_tab: OpenTab) -> None:
    tab = open_tab(url_of(example_server), viewport={"width": 1280, "height": 900})
    lines = tab.page.locator("tbody tr").evaluate_all(
        "rows => rows.map(it => it.clientHeight / parseFloat(getComputedStyle(it).lineHeight))"
    )
    # The padding of a cell is half a line.
    assert max(lines) < 5


def test_page_works_with_the_keyboard_only(example_server: ServerThread, open_tab: OpenTab) -> None:
    tab = open_tab(url_of(example_server), **WIDE)
    keyboard = tab.page.keyboard
    focused = tab.page.locator(":focus")
    keyboard.press("Tab")
    expect(focused).to_have_text("Skip to the images")
    expect(focused).to_be_in_viewport()
    keyboard.press("Enter")
    expect(tab.page.locator("#images")).to_be_focused()
    keyboard.press("Tab")
    expect(tab.page.get_by_role("region", name="1 to 18 of 18")).to_be_focused()
    keyboard.press("Tab")
    expect(focused).to_have_text("State ▲")
    assert focused.evaluate("it => getComputedStyle(it).outlineStyle") == "solid"
    keyboard.press("Tab")
    keyboard.press("Tab")
    expect(focused).to_have_text("Image")
    keyboard.press("Enter")
    expect(tab.page.get_by_role("columnheader", name="Image")).to_have_attribute(
        "aria-sort", "ascending"
    )
    stops = 0
    while stops == 0 or focused.get_attribute("name") != "q":
        keyboard.press("Tab")
        stops += 1
        assert stops < 40
    keyboard.type("stale")
    keyboard.press("Enter")
    expect(tab.page.locator("tbody tr")).to_have_count(1)


@pytest.mark.parametrize(
    "path", ["/", f"/?limit=no{'x' * 200}", f"/?q={'x' * 200}", "/images/second/long"]
)
def test_page_does_not_scroll_sideways(
    example_server: ServerThread, open_tab: OpenTab, path: str
) -> None:
    """Only the table may scroll, in a region of its own."""
    tab = open_tab(url_of(example_server, path))
    for width in (320, 360, 900, 1030, 1400):
        tab.page.set_viewport_size({"width": width, "height": 740})
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
        tab.page.evaluate("window.scrollTo(1000, 0)")
        assert tab.page.evaluate("window.scrollX") == 0
    if "limit=no" in path:
        tab.expect_message("400")


def test_cells_are_labelled_on_a_phone(example_server: ServerThread, open_tab: OpenTab) -> None:
    tab = open_tab(url_of(example_server), **PHONE)
    row = tab.page.locator("tbody tr").first
    label = "it => getComputedStyle(it, '::before').content"
    labels = [cell.evaluate(label) for cell in row.locator("th, td").all()]
    assert labels == [f'"{column}"' for column in COLUMNS]
    region = tab.page.locator("#region")
    assert region.evaluate("it => it.scrollWidth <= it.clientWidth")


def test_page_follows_the_color_scheme_of_the_browser(
    example_server: ServerThread, open_tab: OpenTab
) -> None:
    brightness = (
        "name => getComputedStyle(document.body)[name].match(/\\d+/g).slice(0, 3)"
        ".reduce((sum, channel) => sum + Number(channel), 0)"
    )
    for scheme, is_dark in (("light", False), ("dark", True)):
        tab = open_tab(url_of(example_server), color_scheme=scheme)
        background = tab.page.evaluate(brightness, "backgroundColor")
        text = tab.page.evaluate(brightness, "color")
        assert (background < text) is is_dark
        assert abs(background - text) > 400


@pytest.mark.parametrize(
    ("scheme", "size", "path"),
    [
        ("light", WIDE, "/"),
        ("light", PHONE, "/?limit=2&page=2&sort=size"),
        ("dark", WIDE, "/?q=nothing+like+it&limit=no"),
        ("dark", PHONE, "/"),
        ("light", WIDE, "/images/first/id-of-unexpected"),
        ("dark", PHONE, "/images/first/id-of-gone"),
    ],
)
def test_axe_finds_no_accessibility_violation(
    example_server: ServerThread, open_tab: OpenTab, scheme: str, size: dict[str, object], path: str
) -> None:
    tab = open_tab(url_of(example_server, path), color_scheme=scheme, **size)
    results = Axe().run(tab.page)
    assert results.response["violations"] == [], results.generate_report()
    assert len(results.response["passes"]) > 20
    if "limit=no" in path:
        tab.expect_message("400")


def test_page_has_landmarks_headings_and_table_roles(
    example_server: ServerThread, open_tab: OpenTab
) -> None:
    for size in (WIDE, PHONE):
        page = open_tab(url_of(example_server), **size).page
        for role in ("banner", "main", "contentinfo", "search"):
            expect(page.get_by_role(role)).to_have_count(1)
        expect(page.get_by_role("navigation", name="Related")).to_have_count(1)
        assert page.get_by_role("heading").all_inner_texts() == [
            "OpenStack image exporter",
            "Clouds",
            "Images",
        ]
        expect(page.get_by_role("table", name="1 to 18 of 18")).to_have_count(1)
        expect(page.get_by_role("columnheader")).to_have_count(8)
        expect(page.get_by_role("rowheader")).to_have_count(18)
        assert page.locator("html").get_attribute("lang") == "en"


def test_page_works_without_scripts(example_server: ServerThread, open_tab: OpenTab) -> None:
    tab = open_tab(url_of(example_server), is_shared=False, java_script_enabled=False)
    assert tab.page.locator("head meta[http-equiv=refresh]").get_attribute("content") == "30"
    tab.page.get_by_role("searchbox").fill("id-of-s")
    select(tab, "Refresh").select_option("0")
    tab.page.get_by_role("button", name="Apply").click()
    tab.page.get_by_role("columnheader", name="Image").get_by_role("link").click()
    expect(tab.page.get_by_role("columnheader", name="Image")).to_have_attribute(
        "aria-sort", "ascending"
    )
    assert tab.names() == ["saving", "stale"]
    assert tab.page.locator("meta[http-equiv=refresh]").count() == 0
    tab.page.get_by_role("link", name="saving", exact=True).click()
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("saving")
    assert tab.page.locator(".copy").first.is_visible()
    assert tab.page.get_by_role("button", name="Copy").count() == 0
    tab.page.get_by_role("link", name="All images").click()
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("OpenStack image exporter")


def test_meta_refresh_is_not_used_with_scripts(
    example_server: ServerThread, open_tab: OpenTab
) -> None:
    assert open_tab(url_of(example_server)).page.locator("meta[http-equiv=refresh]").count() == 0


def test_links_work_behind_a_path_prefix(prefixed_server: ServerThread, open_tab: OpenTab) -> None:
    tab = open_tab(url_of(prefixed_server, f"{PREFIX}/?cloud=first"))
    tab.page.get_by_role("searchbox").fill("gone")
    tab.page.get_by_role("button", name="Apply").click()
    expect(tab.page.locator("tbody tr")).to_have_count(1)
    tab.page.get_by_role("columnheader", name="Size").get_by_role("link").click()
    expect(tab.page.get_by_role("columnheader", name="Size")).to_have_attribute(
        "aria-sort", "ascending"
    )
    for name in ("Metrics", "JSON", "Readiness", "Health"):
        link = tab.page.get_by_role("link", name=name)
        url = link.evaluate("it => it.href")
        response = tab.page.request.get(url)
        assert response.status == 200, url
        if name == "JSON":
            images = json.loads(response.text())["images"]
            assert [image["image"] for image in images] == ["gone"]
    assert all(urlsplit(url).path.startswith(PREFIX) for url in tab.requests if "data:" not in url)


def test_copy_button_copies_the_command_with_the_keyboard(
    example_server: ServerThread, open_tab: OpenTab
) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    url = url_of(example_server, "/images/first/id-of-fine")
    page = open_tab(url, is_shared=False, permissions=permissions).page
    button = page.get_by_role("button", name="Copy").last
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Copied")).to_be_focused()
    command = page.locator(".copy").last.inner_text()
    assert page.evaluate("navigator.clipboard.readText()") == command
