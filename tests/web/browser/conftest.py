"""A real browser, and the page in it."""

import gzip
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from starlette.applications import Starlette
from starlette.routing import Mount

from exporter.metrics.exposition import Body
from exporter.store import Store
from exporter.web.app import create_app
from exporter.web.handlers import Handlers
from exporter.web.pages.image_list import query_images
from tests.web.cast import NOW, cast, crowd
from tests.web.conftest import BOUND, Running, running

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PREFIX = "/behind/a/proxy"
METRICS = {
    (openmetrics, compressed): Body((text,), len(text))
    for openmetrics in (False, True)
    for compressed, text in ((False, b"a 1\n"), (True, gzip.compress(b"a 1\n")))
}


def served(store: Store) -> Starlette:
    """The application with the images of a store; it is ``NOW`` for ever."""
    handlers = Handlers(
        render_metrics=lambda *, openmetrics, compressed: METRICS[openmetrics, compressed],
        query_images=lambda query: query_images(store, query, NOW),
        check_health=lambda: None,
        check_readiness=lambda: None,
    )
    return create_app(handlers)


def address(server: Running, path: str = "/") -> str:
    """Where a page of a server is."""
    return f"http://{server.host}:{server.port}{path}"


@dataclass
class Tab:
    """A tab of the browser, and what went wrong in it."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listens."""
        self.page.set_default_timeout(BOUND * 1000)
        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def forgive(self, words: str) -> None:
        """Forgets complaints with these words in them; there must have been one."""
        left = [each for each in self.complaints if words not in each]
        assert len(left) < len(self.complaints)
        self.complaints[:] = left

    def names(self) -> list[str]:
        """What the images in the table are called, in its order."""
        return self.page.locator("tbody .name").all_inner_texts()


Opened = Callable[..., Tab]
"""Opens an address in a tab of its own, with options of ``Browser.new_context``."""


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or what else there is of its kind, without a window.

    Its loop runs in this thread until it ends, so that no other test could have one.
    """
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium is installed; on Debian it is the package chromium")
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        with playwright.chromium.launch(executable_path=found, args=options) as launched:
            yield launched


@pytest.fixture(scope="package")
def many(browser: Browser) -> Iterator[Running]:  # noqa: ARG001  # without one there is no need
    """A server that watches 10,000 images."""
    with running(served(crowd(10_000))) as server:
        yield server


@pytest.fixture(scope="package")
def few(browser: Browser) -> Iterator[Running]:  # noqa: ARG001  # as above
    """A server that watches an image in every situation, one cloud of two being down."""
    with running(served(cast())) as server:
        yield server


@pytest.fixture(scope="package")
def proxied(browser: Browser) -> Iterator[Running]:  # noqa: ARG001  # as above
    """The same behind a prefix, and nothing beside it."""
    with running(Starlette(routes=[Mount(PREFIX, served(cast()))])) as server:
        yield server


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    """Opens pages; whatever a test does to them, the browser has nothing to complain about."""
    contexts: list[BrowserContext] = []
    tabs: list[Tab] = []

    def open_(url: str, **options: object) -> Tab:
        contexts.append(browser.new_context(**options))  # type: ignore[arg-type]  # Playwright checks them
        tabs.append(Tab(contexts[-1].new_page()))
        tabs[-1].page.goto(url)
        return tabs[-1]

    try:
        yield open_
        assert [tab.complaints for tab in tabs] == [[] for _ in tabs]
    finally:
        for context in contexts:
            context.close()
