"""Pictures of the dashboards, drawn in Chromium with Grafana's own components.

``python -m tests.dashboards.screenshots FOLDER`` runs the demo, and a Prometheus with the project's
rules, for two loops of the demo's story and a minute, and draws each dashboard in both themes.
``--state down`` draws while the API is down, ``--state none`` without any data.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from dashboards.generate.__main__ import FILES, HOME
from exporter.demo.images import IMAGES
from exporter.demo.story import LOOP_SECONDS
from tests.dashboards.alert_table import RULES
from tests.dashboards.live import JOB
from tests.dashboards.servers import Prometheus, prometheus
from tests.e2e_alerts import scaled
from tests.support.program import start_program
from tests.support.wait import wait_until

PREVIEW = HOME / "preview"
THEMES = ("dark", "light")
SCRAPE = "2s"
LONG = 2 * LOOP_SECONDS + 60
"""Seconds of the demo's life that the pictures show."""
GONE, SHOWN = "k8s-node", "debian-12"
"""An image that is gone when the pictures are drawn, and the one of the dashboard of one image."""
HEIGHTS = {"exporter.json": 1000}
"""How much of a dashboard is drawn, in pixels, where it is not all of it."""


@contextmanager
def world(folder: Path, *, empty: bool) -> Iterator[Prometheus]:
    """The demo and a Prometheus that scrapes it, or one that scrapes nothing."""
    with start_program(folder, "demo", "--interval=5s", "--web.listen-address=127.0.0.1:0") as demo:
        address = [] if empty else [f"127.0.0.1:{demo.port}"]
        settings: dict[str, Any] = {
            "global": {"scrape_interval": SCRAPE, "evaluation_interval": SCRAPE},
            "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": address}]}],
        }
        rules = scaled.rules(yaml.safe_load(RULES.read_text("utf-8")), 10)
        with prometheus(folder / "prometheus", settings, rules) as server:
            yield server


def until_seconds(seconds: float) -> None:
    """Return after so many seconds."""
    over = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > over, 2 * seconds)


def lived(server: Prometheus, state: str) -> None:
    """Return when there is to be seen what is to be drawn."""
    if state == "data":
        until_seconds(LONG)
        gone = f'openstack_image_exists{{image="{GONE}"}} == 0'
        wait_until(lambda: server.query(gone), LONG)
    elif state == "down":
        wait_until(lambda: server.query("openstack_image_api_up == 0"), LONG)


def built() -> None:
    """Have the page that draws dashboards made, by npm and esbuild, from what the lock says."""
    environment = {**os.environ, "SCRAPE_INTERVAL": SCRAPE}
    npm = ["npm", "ci", "--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund"]
    if not (PREVIEW / "node_modules").exists():
        subprocess.run(npm, cwd=PREVIEW, check=True)
    subprocess.run(["node", "build.mjs"], cwd=PREVIEW, env=environment, check=True)


def draw(folder: Path, server: Prometheus) -> int:
    """Draw every dashboard in both themes; 1 where one has an error, else 0."""
    failed = 0
    for name in FILES:
        for theme in THEMES:
            picture = folder / f"{Path(name).stem}-{theme}.png"
            keys = [
                f"theme={theme}",
                f"from=now-{round(LONG / 60)}m",
                f"var-image={IMAGES[SHOWN].id}",
            ]
            keys += [f"height={HEIGHTS[name]}"] if name in HEIGHTS else []
            print(picture, flush=True)  # noqa: T201 - it is what this command says
            drawn = ["node", "draw.mjs", str(HOME / name), str(picture), server.url, *keys]
            failed |= subprocess.run(drawn, cwd=PREVIEW, check=False).returncode
    return failed


def main() -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--state", choices=("data", "down", "none"), default="data")
    given = parser.parse_args()
    for program in ("node", "npm", "prometheus"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed")
    built()
    given.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as made,
        world(Path(made), empty=given.state == "none") as server,
    ):
        lived(server, given.state)
        return draw(given.folder.resolve(), server)


if __name__ == "__main__":
    sys.exit(main())
