"""The picture of the page in README.md.

``make screenshot`` draws it: the images of the demo, three of them in trouble.
"""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import sync_playwright

from exporter.demo.images import IMAGES
from exporter.model.outcome import Failed, Found, Gone
from exporter.model.target import Target
from exporter.store import Store
from tests.model.samples import ACTIVE
from tests.web.browser.conftest import BROWSERS, address, served
from tests.web.cast import DOWN, FIRST, REQUEST, Script, watched
from tests.web.conftest import running

PICTURE = Path(__file__).parents[3] / "dashboards" / "screenshots" / "page-light.png"
SIZE = {"width": 1180, "height": 860}
EXPECT = {"ci-runner": (("status", ("active",)), ("public", False))}


def lives(alias: str) -> Script:
    """What polls of an image came to."""
    shown = IMAGES[alias]
    image = replace(
        ACTIVE,
        name=shown.name,
        size_bytes=shown.size,
        protected=shown.protected,
        public=shown.visibility == "public",
    )
    found = Found(image, REQUEST)
    latest: Mapping[str, Script] = {
        "k8s-node": ((95, Gone(REQUEST)), (35, Gone(REQUEST))),
        "ci-runner": ((640, Found(replace(image, status="deactivated"))),),
        "cirros": (
            (81, found),
            (21, Failed("server_error", "HTTP 503", REQUEST)),
        ),
    }
    return ((260_000, found), *latest.get(alias, ((12, found),)))


def store() -> Store:
    """Two clouds: the images of the demo, and one that does not answer."""
    made = Store()
    targets = [
        Target("mycloud", each.id, alias, expect=EXPECT.get(alias, ()))
        for alias, each in IMAGES.items()
    ]
    state = replace(FIRST, name="mycloud")
    watched(state, ((target, lives(target.alias)) for target in targets), made)
    lab = replace(FIRST, name="lab", api_up=False, breaker_open=True, api_version="v2")
    failing = Target("lab", "9d0c1b2a-4f5e-4a3b-8c7d-6e5f4a3b2c1d", "lab-base")
    watched(lab, [(failing, ((400, Found(ACTIVE)), (9, DOWN)))], made)
    return made


def draw(picture: Path) -> None:
    """Writes the picture; raises ``SystemExit`` without a browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit("no Chromium is installed; on Debian it is the package chromium")
    with running(served(store())) as server, sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = launched.new_page(viewport=SIZE, color_scheme="light")  # type: ignore[arg-type]  # as its keys
        page.goto(address(server))
        page.screenshot(path=picture)
        launched.close()


if __name__ == "__main__":
    draw(PICTURE)
