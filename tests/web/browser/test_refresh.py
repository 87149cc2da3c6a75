"""The refresh of a page in a browser, without a reload."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from exporter.model.observation import NEVER_POLLED
from exporter.model.outcome import Found, Gone
from exporter.model.target import Target
from exporter.store import Store
from tests.support.images import ACTIVE, MAX_STALE
from tests.web.browser.conftest import OpenTab, Tab, create_example_app, url_of
from tests.web.conftest import ServerThread, run_server
from tests.web.example_images import FIRST_CLOUD, NOW

pytestmark = pytest.mark.slow


class ChangingImage:
    """A store with one active image that a test can delete."""

    def __init__(self) -> None:
        self.store = Store()
        self.target = Target("first", "an-id", "golden")
        self.store.add_cloud(FIRST_CLOUD, [self.target])
        self.observation = NEVER_POLLED.with_outcome(Found(ACTIVE), NOW, MAX_STALE)
        self.store.observe(self.target.key, self.observation)

    def delete(self) -> None:
        """Record that the image is gone."""
        self.store.observe(self.target.key, self.observation.with_outcome(Gone(), NOW, MAX_STALE))


@pytest.fixture
def image() -> ChangingImage:
    """An active image."""
    return ChangingImage()


@pytest.fixture
def server(image: ChangingImage) -> Iterator[ServerThread]:
    """A server of the changing image, which the test may stop."""
    with run_server(create_example_app(image.store)) as server:
        yield server


def open_tab_with_fake_clock(open_tab: OpenTab, url: str) -> Tab:
    """Open a URL in a tab whose clock only the test advances."""
    tab = open_tab("about:blank", is_shared=False)
    tab.page.clock.install()
    tab.page.goto(url)
    return tab


def test_refresh_keeps_input_focus_and_folds(
    image: ChangingImage, server: ServerThread, open_tab: OpenTab
) -> None:
    page = open_tab_with_fake_clock(open_tab, url_of(server)).page
    expect(page.locator("tbody .badge")).to_have_text("● active")
    page.get_by_role("searchbox").fill("half a wo")
    page.locator("#fold-cloud-first").click()
    page.locator("#sort-size").focus()
    image.delete()
    page.clock.fast_forward(31_000)
    expect(page.locator("tbody .badge")).to_have_text("✖ gone")
    expect(page.locator("#summary")).to_have_text("1 of 1 image has a problem.")
    expect(page).to_have_title("(1) OpenStack image exporter")
    assert "d1242f" in str(page.locator("#icon").get_attribute("href"))
    assert page.get_by_role("searchbox").input_value() == "half a wo"
    expect(page.locator("#sort-size")).to_be_focused()
    assert page.locator("#cloud-first").get_attribute("open") is None


def test_refresh_repeats_with_the_same_query(
    image: ChangingImage, server: ServerThread, open_tab: OpenTab
) -> None:
    page = open_tab_with_fake_clock(open_tab, url_of(server, "/?q=golden&refresh=10")).page
    for _ in range(3):
        with page.expect_response(re.compile(r"/\?q=golden&refresh=10$")) as response:
            page.clock.fast_forward(10_500)
        assert response.value.ok
        response.value.finished()
    image.delete()
    page.clock.fast_forward(10_500)
    expect(page.locator("tbody .badge")).to_have_text("✖ gone")


def test_page_of_an_image_is_refreshed(
    image: ChangingImage, server: ServerThread, open_tab: OpenTab
) -> None:
    tab = open_tab_with_fake_clock(open_tab, url_of(server, "/images/first/an-id"))
    page = tab.page
    expect(page.locator("#summary .badge")).to_have_text("● active")
    image.delete()
    page.clock.fast_forward(31_000)
    expect(page.locator("#summary .badge")).to_have_text("✖ gone")
    expect(page).to_have_title("golden: gone - OpenStack image exporter")
    image.store.remove_target(image.target.key)
    page.clock.fast_forward(31_000)
    expect(page.locator("#summary")).to_contain_text("does not watch")
    expect(page.locator("h1")).to_have_text("No such image")
    tab.expect_message("404")
    expect(page.get_by_role("link", name="JSON")).to_have_count(0)
    expect(page.locator(".copy")).to_have_count(0)
    server.shut_down()
    page.clock.fast_forward(31_000)
    expect(page.get_by_role("status").first).to_have_text("The exporter does not respond.")
    tab.expect_message("ERR_CONNECTION_REFUSED")


def test_page_of_an_image_that_is_watched_again_has_its_links_and_commands(
    image: ChangingImage, server: ServerThread, open_tab: OpenTab
) -> None:
    image.store.remove_target(image.target.key)
    tab = open_tab_with_fake_clock(open_tab, url_of(server, "/images/first/an-id"))
    page = tab.page
    expect(page.locator("h1")).to_have_text("No such image")
    tab.expect_message("404")
    image.store.add_cloud(FIRST_CLOUD, [image.target])
    page.clock.fast_forward(31_000)
    expect(page.locator("#summary .badge")).to_have_text("○ not polled yet")
    expect(page.get_by_role("link", name="JSON")).to_be_visible()
    button = page.get_by_role("button", name="Copy").last
    button.focus()
    image.store.observe(image.target.key, image.observation)
    page.clock.fast_forward(31_000)
    expect(page.locator("#summary .badge")).to_have_text("● active")
    expect(button).to_be_focused()


def test_notice_is_shown_while_the_exporter_does_not_respond(
    server: ServerThread, open_tab: OpenTab
) -> None:
    tab = open_tab_with_fake_clock(open_tab, url_of(server))
    server.shut_down()
    tab.page.clock.fast_forward(31_000)
    notice = tab.page.get_by_role("status").first
    expect(notice).to_have_text(
        "The exporter does not respond. Data is as of 2027-01-15 10:00:00 UTC."
    )
    expect(notice).to_be_visible()
    tab.expect_message("ERR_CONNECTION_REFUSED")


def test_refresh_pauses_while_text_is_selected(
    image: ChangingImage, server: ServerThread, open_tab: OpenTab
) -> None:
    tab = open_tab_with_fake_clock(open_tab, url_of(server))
    page = tab.page
    page.locator("tbody code").first.select_text()
    image.delete()
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
    assert [url for url in tab.requests[before:] if "data:" not in url] == [url_of(server)]


def test_refresh_can_be_switched_off_and_on(server: ServerThread, open_tab: OpenTab) -> None:
    page = open_tab_with_fake_clock(open_tab, url_of(server, "/?q=golden")).page
    page.get_by_role("link", name="stop").click()
    expect(page.get_by_role("link", name="start")).to_be_visible()
    assert page.url.endswith("/?q=golden&refresh=0")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.clock.fast_forward(3_600_000)
    page.get_by_role("link", name="start").click()
    expect(page.get_by_role("link", name="stop")).to_be_visible()
    assert requests[0].endswith("/?q=golden")


def test_tab_that_becomes_visible_is_refreshed_at_once(
    image: ChangingImage, server: ServerThread, open_tab: OpenTab
) -> None:
    tab = open_tab_with_fake_clock(open_tab, url_of(server, "/?limit=no"))
    page = tab.page
    image.delete()
    page.locator("#fold-cloud-first").focus()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("tbody .badge")).to_have_text("✖ gone")
    expect(page.locator("#fold-cloud-first")).to_be_focused()
    expect(page.locator("#notice")).to_be_hidden()
    tab.expect_message("400")
