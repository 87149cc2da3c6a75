"""A browser, and servers of the page."""

import gzip
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from starlette.applications import Starlette
from starlette.routing import Mount

from exporter.metrics.body import Body
from exporter.store import Store
from exporter.web.app import create_app
from exporter.web.handlers import Handlers
from exporter.web.pages.image_details import find_image
from exporter.web.pages.image_list import query_images
from tests.web.conftest import TEST_TIMEOUT, ServerThread, run_server
from tests.web.example_images import ACCESSES, NOW, example_store, large_store

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PREFIX = "/behind/a/proxy"
METRICS = {
    (openmetrics, compressed): Body.of((text,))
    for openmetrics in (False, True)
    for compressed, text in ((False, b"a 1\n"), (True, gzip.compress(b"a 1\n")))
}


def create_example_app(store: Store) -> Starlette:
    """Return an application that shows the images of a store at ``NOW``."""
    handlers = Handlers(
        render_metrics=lambda *, openmetrics, compressed, **_: METRICS[openmetrics, compressed],
        query_images=lambda query: query_images(store, query, NOW),
        find_image=partial(find_image, store, now=NOW, accesses=ACCESSES),
        check_health=lambda: None,
        check_readiness=lambda: None,
    )
    return create_app(handlers)


def url_of(server: ServerThread, path: str = "/") -> str:
    """Return the URL of a path on a server."""
    return f"http://{server.host}:{server.port}{path}"


@dataclass
class Tab:
    """A browser tab with its console messages, errors and requests."""

    page: Page
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Record messages, errors, dialogs and requests."""
        self.page.set_default_timeout(TEST_TIMEOUT * 1000)
        self.listeners: dict[str, Callable[[Any], None]] = {
            "console": lambda message: self.messages.append(message.text),
            "pageerror": lambda error: self.messages.append(str(error)),
            "dialog": lambda dialog: self.messages.append(dialog.message),
            "request": lambda request: self.requests.append(request.url),
        }
        for event, listener in self.listeners.items():
            self.page.on(event, listener)  # type: ignore[call-overload]  # one of its literals

    def stop_recording(self) -> None:
        """Ignore what the page does from now on."""
        for event, listener in self.listeners.items():
            self.page.remove_listener(event, listener)

    def expect_message(self, text: str) -> None:
        """Remove the messages that contain a text; there must be at least one."""
        others = [message for message in self.messages if text not in message]
        assert len(others) < len(self.messages)
        self.messages[:] = others

    def names(self) -> list[str]:
        """Return the display names in the image table, in order."""
        return self.page.locator("tbody th a").all_inner_texts()


OpenTab = Callable[..., Tab]
"""Opens a URL, see ``open_tab``."""

Size = dict[str, int]
ColorScheme = Literal["light", "dark"]
DEFAULT_SIZE = {"width": 1280, "height": 720}


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Headless Chromium.

    Playwright's event loop runs in this thread until the browser is closed, so no other test of
    the session may need an event loop meanwhile.
    """
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip("no Chromium is installed; on Debian it is the package chromium")
    expect.set_options(TEST_TIMEOUT * 1000)
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        with playwright.chromium.launch(executable_path=executable, args=options) as chromium:
            yield chromium


@pytest.fixture(scope="package")
def large_server(browser: Browser) -> Iterator[ServerThread]:  # noqa: ARG001  # skips without a browser
    """A server with 10,000 images."""
    with run_server(create_example_app(large_store(10_000))) as server:
        yield server


@pytest.fixture(scope="package")
def example_server(browser: Browser) -> Iterator[ServerThread]:  # noqa: ARG001  # as above
    """A server with an image in every situation, and one cloud of two that is down."""
    with run_server(create_example_app(example_store())) as server:
        yield server


@pytest.fixture(scope="package")
def prefixed_server(browser: Browser) -> Iterator[ServerThread]:  # noqa: ARG001  # as above
    """A server with the example images below a path prefix only."""
    app = Starlette(routes=[Mount(PREFIX, create_example_app(example_store()))])
    with run_server(app) as server:
        yield server


@pytest.fixture(scope="package")
def shared_page(browser: Browser) -> Page:
    """A page that tests use one after the other; a new one would start a process each time."""
    return browser.new_context().new_page()


@pytest.fixture
def open_tab(browser: Browser, shared_page: Page) -> Iterator[OpenTab]:
    """Opens tabs; the test fails if a tab has messages that it did not expect.

    Tabs share a page, so that only the last one is open, unless a test opens one with
    ``is_shared=False``, which may have any options of ``Browser.new_context``.
    """
    contexts: list[BrowserContext] = []
    tabs: list[Tab] = []

    def page_of_its_own(**options: object) -> Page:
        contexts.append(browser.new_context(**options))  # type: ignore[arg-type]  # Playwright checks them
        return contexts[-1].new_page()

    def open_(
        url: str,
        *,
        viewport: Size = DEFAULT_SIZE,
        color_scheme: ColorScheme = "light",
        is_shared: bool = True,
        **options: object,
    ) -> Tab:
        page = shared_page if is_shared else page_of_its_own(**options)
        page.set_viewport_size(viewport)  # type: ignore[arg-type]  # a dict, not a TypedDict
        page.emulate_media(color_scheme=color_scheme)
        tabs.append(Tab(page))
        page.goto(url)
        return tabs[-1]

    try:
        yield open_
        assert [tab.messages for tab in tabs] == [[] for _ in tabs]
    finally:
        for tab in tabs:
            tab.stop_recording()
        shared_page.goto("about:blank")
        for context in contexts:
            context.close()
