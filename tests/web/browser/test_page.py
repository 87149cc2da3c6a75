"""The page for people, in a real browser."""

import json
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from exporter.model.observation import NEVER_POLLED
from exporter.model.outcome import Found, Gone
from exporter.model.target import Target
from exporter.store import Store
from exporter.text import escape
from tests.model.samples import ACTIVE, MAX_STALE
from tests.web.browser.conftest import PREFIX, Opened, Tab, address, served
from tests.web.cast import BEFORE, FIRST, LIVES, MIDDLE_EAST, NAMES, NOW
from tests.web.conftest import Running, running

PHONE = {"viewport": {"width": 360, "height": 740}}
WIDE = {"viewport": {"width": 1400, "height": 900}}


def choice(tab: Tab, name: str) -> Locator:
    """The list to choose from that has this name."""
    return tab.page.get_by_role("combobox", name=name)


def rows(page: Page) -> int:
    """How many images the table shows."""
    return page.locator("tbody tr").count()


def test_hostile_names_are_shown_as_text_and_run_nothing(few: Running, opened: Opened) -> None:
    """Script, quotes, right-to-left, 255 characters, control characters: what is shown is text."""
    tab = opened(address(few, "/?cloud=second&sort=image"))
    assert sorted(tab.names()) == sorted(escape(name) for name in NAMES.values())
    assert tab.page.title() == "(14) OpenStack image exporter"
    assert tab.page.locator("script").count() == 1
    assert tab.page.locator("main img, main script, main iframe").count() == 0
    origins = {urlsplit(url)[:2] for url in tab.requests if not url.startswith("data:")}
    assert origins == {urlsplit(address(few))[:2]}


def test_a_name_cannot_turn_its_neighbours_round(few: Running, opened: Opened) -> None:
    """Right-to-left text stays in its place: an old name is to the left of the new one."""
    tab = opened(address(few, "/?cloud=second&q=rtl"), **WIDE)
    change = tab.page.locator("td[data-label='Last change'] .faint")
    assert change.inner_text() == f"name: {BEFORE[MIDDLE_EAST]} → {MIDDLE_EAST}"
    places = "it => [...it.querySelectorAll('bdi')].map(each => each.getBoundingClientRect())"
    change.evaluate("it => { it.style.whiteSpace = 'nowrap'; }")
    old, new = change.evaluate(places)
    assert old["top"] == new["top"]
    assert old["right"] < new["left"]


def test_nothing_runs_that_is_not_the_page_s_own(few: Running, opened: Opened) -> None:
    """The policy of the page keeps a script from running even if one got into it."""
    tab = opened(address(few))
    tab.page.evaluate(
        "const it = document.createElement('script');"
        "it.textContent = 'document.title = `run`'; document.body.append(it)"
    )
    assert tab.page.title() == "(14) OpenStack image exporter"
    assert len(tab.complaints) == 1
    tab.forgive("Content Security Policy")


def test_a_search_shows_what_is_looked_for(few: Running, opened: Opened) -> None:
    """Typed and sent, it is in the address, and the field keeps it."""
    tab = opened(address(few))
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


def test_a_search_for_markup_is_shown_as_text(few: Running, opened: Opened) -> None:
    """What is looked for comes back in the field and does nothing."""
    text = "\"'><script>document.title='run'</script>"
    tab = opened(address(few))
    field = tab.page.get_by_role("searchbox")
    field.fill(text)
    field.press("Enter")
    expect(tab.page.get_by_text("No image matches.")).to_be_visible()
    assert field.input_value() == text
    assert tab.page.title() == "(14) OpenStack image exporter"


def test_filters_narrow_what_is_shown(few: Running, opened: Opened) -> None:
    """Cloud, problem and state are chosen and applied together, and the choices stay."""
    tab = opened(address(few))
    choice(tab, "Cloud").select_option("first")
    choice(tab, "Problem").select_option(label="With a problem")
    choice(tab, "State").select_option("active")
    tab.page.get_by_role("button", name="Apply").click()
    expect(tab.page.locator("tbody tr")).to_have_count(2)
    assert tab.names() == ["unexpected", "failing"]
    assert choice(tab, "Problem").input_value() == "any"
    assert choice(tab, "State").input_value() == "active"


def test_a_problem_leads_to_its_images(few: Running, opened: Opened) -> None:
    """The counts on top are links."""
    tab = opened(address(few))
    tab.page.get_by_role("link", name="2 gone").click()
    expect(tab.page.locator("tbody tr")).to_have_count(2)
    assert tab.names() == ["deleted", "gone"]


def test_a_heading_sorts_by_its_column(few: Running, opened: Opened) -> None:
    """Once one way and then the other, which is said to who does not see the arrow."""
    tab = opened(address(few, "/?cloud=first"))
    heading = tab.page.get_by_role("columnheader", name="Image")
    expect(tab.page.get_by_role("columnheader", name="State")).to_have_attribute(
        "aria-sort", "ascending"
    )
    for order in ("ascending", "descending"):
        heading.get_by_role("link").click()
        expect(heading).to_have_attribute("aria-sort", order)
        assert tab.names() == sorted(LIVES, reverse=order == "descending")
    assert tab.page.locator("[aria-sort]").count() == 1


def test_ten_thousand_images_come_in_pages(many: Running, opened: Opened) -> None:
    """The table is as long as a page, and each page is a link away, with the order kept."""
    tab = opened(address(many, "/?sort=image"))
    assert rows(tab.page) == 100
    paging = tab.page.get_by_role("navigation", name="Pages")
    expect(paging).to_contain_text("Page 1 of 100")
    paging.get_by_role("link", name="Next").click()
    expect(paging).to_contain_text("Page 2 of 100")
    assert tab.names()[0] == "image-00100"
    paging.get_by_role("link", name="Last").click()
    expect(paging).to_contain_text("Page 100 of 100")
    assert tab.names()[-1] == "image-09999"
    expect(paging.get_by_role("link", name="Next")).to_have_count(0)
    expect(tab.page.locator("caption")).to_have_text("9,901 to 10,000 of 10,000")
    choice(tab, "Per page").select_option("1000")
    tab.page.get_by_role("button", name="Apply").click()
    expect(tab.page.locator("tbody tr")).to_have_count(1000)


def test_it_works_by_keyboard_alone(few: Running, opened: Opened) -> None:
    """The first stop skips to the images; the search, the order and the table are stops too."""
    tab = opened(address(few), **WIDE)
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


@pytest.mark.parametrize("path", ["/", f"/?limit=no{'x' * 200}", f"/?q={'x' * 200}"])
def test_the_page_does_not_scroll_sideways(few: Running, opened: Opened, path: str) -> None:
    """On a phone as on a wide screen; only the table may, in a region of its own."""
    tab = opened(address(few, path))
    for width in (320, 360, 900, 1030, 1400):
        tab.page.set_viewport_size({"width": width, "height": 740})
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
        tab.page.evaluate("window.scrollTo(1000, 0)")
        assert tab.page.evaluate("window.scrollX") == 0
    if "limit=no" in path:
        tab.forgive("400")


def test_on_a_phone_each_value_says_what_it_is(few: Running, opened: Opened) -> None:
    """Rows become cards: names come first, and nothing is beyond the edge."""
    tab = opened(address(few), **PHONE)
    row = tab.page.locator("tbody tr").first
    label = "it => getComputedStyle(it, '::before').content"
    said = [cell.evaluate(label) for cell in row.locator("th, td").all()]
    assert said == [
        f'"{each}"'
        for each in (
            "State",
            "Since",
            "Image",
            "Cloud",
            "Size",
            "Flags",
            "Last change",
            "Last poll",
        )
    ]
    region = tab.page.locator("#region")
    assert region.evaluate("it => it.scrollWidth <= it.clientWidth")


def test_both_themes_are_there(few: Running, opened: Opened) -> None:
    """The page follows the browser: dark text on light, or light on dark."""
    brightness = (
        "name => getComputedStyle(document.body)[name].match(/\\d+/g).slice(0, 3)"
        ".reduce((sum, each) => sum + Number(each), 0)"
    )
    for scheme, is_dark in (("light", False), ("dark", True)):
        tab = opened(address(few), color_scheme=scheme)
        back = tab.page.evaluate(brightness, "backgroundColor")
        text = tab.page.evaluate(brightness, "color")
        assert (back < text) is is_dark
        assert abs(back - text) > 400


@pytest.mark.parametrize(
    ("scheme", "size", "path"),
    [
        ("light", WIDE, "/"),
        ("light", PHONE, "/?limit=2&page=2&sort=size"),
        ("dark", WIDE, "/?q=nothing+like+it&limit=no"),
        ("dark", PHONE, "/"),
    ],
)
def test_nothing_is_inaccessible(
    few: Running, opened: Opened, scheme: str, size: dict[str, object], path: str
) -> None:
    """By axe nothing is wrong: contrast, names, roles, landmarks, order of headings."""
    tab = opened(address(few, path), color_scheme=scheme, **size)
    found = Axe().run(tab.page)
    assert found.response["violations"] == [], found.generate_report()
    assert len(found.response["passes"]) > 20
    if "limit=no" in path:
        tab.forgive("400")


def test_a_screen_reader_is_told_what_is_where(few: Running, opened: Opened) -> None:
    """There are landmarks, headings, a caption, headings of rows and columns, on a phone too."""
    for size in (WIDE, PHONE):
        page = opened(address(few), **size).page
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


def test_without_scripts_it_is_the_same_page(few: Running, opened: Opened) -> None:
    """Search and order are links and a form, and the browser is told to load it anew."""
    tab = opened(address(few), java_script_enabled=False)
    assert tab.page.locator("head meta[http-equiv=refresh]").get_attribute("content") == "30"
    tab.page.get_by_role("searchbox").fill("id-of-s")
    choice(tab, "Refresh").select_option("0")
    tab.page.get_by_role("button", name="Apply").click()
    tab.page.get_by_role("columnheader", name="Image").get_by_role("link").click()
    expect(tab.page.get_by_role("columnheader", name="Image")).to_have_attribute(
        "aria-sort", "ascending"
    )
    assert tab.names() == ["saving", "stale"]
    assert tab.page.locator("meta[http-equiv=refresh]").count() == 0


def test_with_scripts_the_browser_does_not_load_it_anew(few: Running, opened: Opened) -> None:
    """Where the script runs, the other way of refreshing is no part of the page."""
    assert opened(address(few)).page.locator("meta[http-equiv=refresh]").count() == 0


def test_links_lead_on_behind_a_prefix(proxied: Running, opened: Opened) -> None:
    """Every address is relative, so the page works wherever it is put."""
    tab = opened(address(proxied, f"{PREFIX}/?cloud=first"))
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
        answer = tab.page.request.get(url)
        assert answer.status == 200, url
        if name == "JSON":
            assert [each["image"] for each in json.loads(answer.text())["images"]] == ["gone"]
    assert all(urlsplit(url).path.startswith(PREFIX) for url in tab.requests if "data:" not in url)


class World:
    """A server whose one image changes."""

    def __init__(self) -> None:
        self.store = Store()
        self.target = Target("first", "an-id", "golden")
        self.store.add_cloud(FIRST, [self.target])
        self.seen = NEVER_POLLED.with_outcome(Found(ACTIVE), NOW, MAX_STALE)
        self.store.observe(self.target.key, self.seen)

    def vanish(self) -> None:
        """The image is gone from now on."""
        self.store.observe(self.target.key, self.seen.with_outcome(Gone(), NOW, MAX_STALE))


@pytest.fixture
def world() -> World:
    """An image that is active."""
    return World()


@pytest.fixture
def changing(world: World) -> Iterator[Running]:
    """A server that may be ended by the test."""
    with running(served(world.store)) as server:
        yield server


def opened_and_frozen(opened: Opened, url: str) -> Tab:
    """The page, in a browser in which time passes only when the test says so."""
    tab = opened("about:blank")
    tab.page.clock.install()
    tab.page.goto(url)
    return tab


def test_the_page_refreshes_itself_in_place(
    world: World, changing: Running, opened: Opened
) -> None:
    """News appear; what is being typed, where the focus is and what is folded stay."""
    page = opened_and_frozen(opened, address(changing)).page
    expect(page.locator("tbody .badge")).to_have_text("● active")
    page.get_by_role("searchbox").fill("half a wo")
    page.locator("summary").click()
    page.locator("#sort-size").focus()
    world.vanish()
    page.clock.fast_forward(31_000)
    expect(page.locator("tbody .badge")).to_have_text("✖ gone")
    expect(page.locator("#summary")).to_have_text("1 of 1 image has a problem.")
    expect(page).to_have_title("(1) OpenStack image exporter")
    assert "d1242f" in str(page.locator("#icon").get_attribute("href"))
    assert page.get_by_role("searchbox").input_value() == "half a wo"
    expect(page.locator("#sort-size")).to_be_focused()
    assert page.locator("details").get_attribute("open") is None


def test_the_page_refreshes_itself_again_and_again(
    world: World, changing: Running, opened: Opened
) -> None:
    """Each time it asks for what it was asked for, and for nothing else."""
    page = opened_and_frozen(opened, address(changing, "/?q=golden&refresh=10")).page
    for _ in range(3):
        with page.expect_response(re.compile(r"/\?q=golden&refresh=10$")) as asked:
            page.clock.fast_forward(10_500)
        assert asked.value.ok
        asked.value.finished()
    world.vanish()
    page.clock.fast_forward(10_500)
    expect(page.locator("tbody .badge")).to_have_text("✖ gone")


def test_the_page_says_when_it_is_out_of_date(changing: Running, opened: Opened) -> None:
    """An exporter that does not answer is named, with the time of what is shown."""
    tab = opened_and_frozen(opened, address(changing))
    changing.end()
    tab.page.clock.fast_forward(31_000)
    news = tab.page.get_by_role("status").first
    expect(news).to_have_text(
        "The exporter does not respond. Data is as of 2027-01-15 10:00:00 UTC."
    )
    expect(news).to_be_visible()
    tab.forgive("ERR_CONNECTION_REFUSED")


def test_what_is_selected_is_left_alone(world: World, changing: Running, opened: Opened) -> None:
    """While text is selected, to be copied, the page stays as it is, and says so."""
    tab = opened_and_frozen(opened, address(changing))
    page = tab.page
    page.locator("tbody code").first.select_text()
    world.vanish()
    before = len(tab.requests)
    page.clock.fast_forward(31_000)
    expect(page.locator("#notice")).to_have_text(
        "Refresh is paused while text is selected. Data is as of 2027-01-15 10:00:00 UTC."
    )
    assert page.locator("tbody .badge").inner_text() == "● active"
    page.evaluate("getSelection().removeAllRanges()")
    page.clock.fast_forward(31_000)
    expect(page.locator("tbody .badge")).to_have_text("✖ gone")
    expect(page.locator("#notice")).to_be_hidden()
    assert [url for url in tab.requests[before:] if "data:" not in url] == [address(changing)]


def test_refreshing_can_be_switched_off_and_on(changing: Running, opened: Opened) -> None:
    """By a link; the address says so, and no request is sent any more until it is on again."""
    page = opened_and_frozen(opened, address(changing, "/?q=golden")).page
    page.get_by_role("link", name="stop").click()
    expect(page.get_by_role("link", name="start")).to_be_visible()
    assert page.url.endswith("/?q=golden&refresh=0")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.fast_forward(3_600_000)
    page.get_by_role("link", name="start").click()
    expect(page.get_by_role("link", name="stop")).to_be_visible()
    assert asked[0].endswith("/?q=golden")


def test_whoever_comes_back_sees_the_news_at_once(
    world: World, changing: Running, opened: Opened
) -> None:
    """A tab that comes to the front is refreshed, also one where something was left out."""
    tab = opened_and_frozen(opened, address(changing, "/?limit=no"))
    page = tab.page
    world.vanish()
    page.locator("summary").focus()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("tbody .badge")).to_have_text("✖ gone")
    expect(page.locator("summary")).to_be_focused()
    expect(page.locator("#notice")).to_be_hidden()
    tab.forgive("400")
