"""Screenshots of the dashboards, drawn in Chromium with Grafana's own components.

``python -m tests.dashboards.screenshots FOLDER`` runs the demo, and a Prometheus with the project's
rules, for a loop of the demo's story and a minute, and draws each dashboard in both themes.
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
from exporter.demo.events import LOOP_SECONDS
from exporter.demo.images import IMAGES
from tests.dashboards.alert_table import RULES
from tests.dashboards.live import JOB
from tests.dashboards.servers import Prometheus, prometheus
from tests.e2e_alerts import scaled
from tests.support.program import start_program
from tests.support.wait import wait_until

PREVIEW = HOME / "preview"
THEMES = ("dark", "light")
SCRAPE = "2s"
DURATION = LOOP_SECONDS + 60
"""Seconds of the demo that the screenshots show."""
GONE, SHOWN = "k8s-node", "debian-12"
"""An image that is gone in the screenshots, and the image of the dashboard for one image."""
INTERVALS = {"1m": "5s", "3m": "15s"}
"""The minimum interval of a panel, by that of the dashboard; the demo polls every 5 seconds."""

HEIGHTS = {"exporter.json": 1000}
"""Height in pixels of dashboards that are not drawn completely."""


@contextmanager
def environment(folder: Path, *, empty: bool) -> Iterator[Prometheus]:
    """Run the demo and a Prometheus that scrapes it, or nothing if ``empty``."""
    with start_program(folder, "demo", "--interval=5s", "--web.listen-address=127.0.0.1:0") as demo:
        address = [] if empty else [f"127.0.0.1:{demo.port}"]
        settings: dict[str, Any] = {
            "global": {"scrape_interval": SCRAPE, "evaluation_interval": SCRAPE},
            "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": address}]}],
        }
        rules = scaled.rules(yaml.safe_load(RULES.read_text("utf-8")), 10)
        with prometheus(folder / "prometheus", settings, rules) as server:
            yield server


def sleep(seconds: float) -> None:
    """Wait in the same way as for conditions."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end, 2 * seconds)


def wait_for_state(server: Prometheus, state: str) -> None:
    """Wait until Prometheus has scraped the state to draw."""
    if state == "data":
        sleep(DURATION)
        gone = f'openstack_image_exists{{image="{GONE}"}} == 0'
        wait_until(lambda: server.query(gone), DURATION)
    elif state == "down":
        wait_until(lambda: server.query("openstack_image_api_up == 0"), DURATION)


def build_preview() -> None:
    """Build the page that draws dashboards with npm and esbuild from the locked packages."""
    environment = {**os.environ, "SCRAPE_INTERVAL": SCRAPE}
    npm = ["npm", "ci", "--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund"]
    if not (PREVIEW / "node_modules").exists():
        subprocess.run(npm, cwd=PREVIEW, check=True)
    subprocess.run(["node", "build.mjs"], cwd=PREVIEW, env=environment, check=True)


def fast_dashboard(name: str, folder: Path) -> Path:
    """Write the dashboard with the intervals of the demo into the folder."""
    text = (HOME / name).read_text("utf-8")
    for interval, fast in INTERVALS.items():
        text = text.replace(f'"interval": "{interval}"', f'"interval": "{fast}"')
    file = folder / name
    file.write_text(text, "utf-8")
    return file


def draw(folder: Path, server: Prometheus, temporary: Path) -> int:
    """Draw every dashboard in both themes; return 1 if one has an error, else 0."""
    failed = 0
    for name in FILES:
        dashboard = fast_dashboard(name, temporary)
        for theme in THEMES:
            picture = folder / f"{Path(name).stem}-{theme}.png"
            keys = [
                f"theme={theme}",
                f"from=now-{round(DURATION / 60)}m",
                f"var-image={IMAGES[SHOWN].id}",
            ]
            keys += [f"height={HEIGHTS[name]}"] if name in HEIGHTS else []
            print(picture, flush=True)  # noqa: T201 - the output of this command
            command = ["node", "draw.mjs", str(dashboard), str(picture), server.url, *keys]
            failed |= subprocess.run(command, cwd=PREVIEW, check=False).returncode
    return failed


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--state", choices=("data", "down", "none"), default="data")
    arguments = parser.parse_args()
    for program in ("node", "npm", "prometheus"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed")
    build_preview()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        environment(Path(temporary), empty=arguments.state == "none") as server,
    ):
        wait_for_state(server, arguments.state)
        return draw(arguments.folder.resolve(), server, Path(temporary))


if __name__ == "__main__":
    sys.exit(main())
