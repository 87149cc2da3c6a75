"""Takes the screenshots of the page and of the page of an image for OPERATIONS.md.

``make screenshot`` runs it. The page shows the images of the demo, three of them with a problem.
"""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import sync_playwright

from exporter.demo.images import IMAGES
from exporter.model.outcome import Found, Gone
from exporter.model.target import Target
from exporter.store import Store
from tests.support.images import ACTIVE
from tests.web.browser.conftest import BROWSERS, create_example_app, url_of
from tests.web.conftest import run_server
from tests.web.example_images import (
    FIRST_CLOUD,
    REQUEST_ID,
    TIMEOUT,
    UNAVAILABLE,
    PollHistory,
    add_polled_cloud,
)

FOLDER = Path(__file__).parents[3] / "dashboards" / "screenshots"
PICTURES = {
    "page-light.png": "/",
    "page-of-image-light.png": f"/images/mycloud/{IMAGES['ci-runner'].id}",
}
"""The address of the page in each picture."""

SIZE = {"width": 1280, "height": 860}
EXPECTATIONS = {"ci-runner": (("status", ("active",)), ("public", False))}


def poll_history(alias: str) -> PollHistory:
    """Return the polls of an image of the demo."""
    demo_image = IMAGES[alias]
    image = replace(
        ACTIVE,
        name=demo_image.name,
        size_bytes=demo_image.size,
        protected=demo_image.protected,
        public=demo_image.visibility == "public",
    )
    found = Found(image, REQUEST_ID)
    latest_polls: Mapping[str, PollHistory] = {
        "k8s-node": ((95, Gone(REQUEST_ID)), (35, Gone(REQUEST_ID))),
        "ci-runner": ((640, Found(replace(image, status="deactivated"), REQUEST_ID)),),
        "cirros": ((81, found), (21, UNAVAILABLE)),
    }
    return ((260_000, found), *latest_polls.get(alias, ((12, found),)))


def screenshot_store() -> Store:
    """Return a store with two clouds: one with the images of the demo, and one that is down."""
    store = Store()
    images = [
        (
            Target("mycloud", image.id, alias, expect=EXPECTATIONS.get(alias, ())),
            poll_history(alias),
        )
        for alias, image in IMAGES.items()
    ]
    add_polled_cloud(store, replace(FIRST_CLOUD, name="mycloud"), images)
    lab = replace(FIRST_CLOUD, name="lab", api_up=False, breaker_open=True, api_version="v2")
    target = Target("lab", "9d0c1b2a-4f5e-4a3b-8c7d-6e5f4a3b2c1d", "lab-base")
    add_polled_cloud(store, lab, [(target, ((400, Found(ACTIVE)), (9, TIMEOUT)))])
    return store


def take_screenshots(folder: Path) -> None:
    """Write the pictures to a folder; raise ``SystemExit`` without a browser."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        raise SystemExit("no Chromium is installed; on Debian it is the package chromium")
    app = create_example_app(screenshot_store())
    with run_server(app) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]  # a dict, not a TypedDict
        for name, path in PICTURES.items():
            page.goto(url_of(server, path))
            page.screenshot(path=folder / name)
        browser.close()


if __name__ == "__main__":
    take_screenshots(FOLDER)
