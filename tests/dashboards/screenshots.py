"""Screenshots of the dashboards, drawn in Chromium with Grafana's own components.

``python -m tests.dashboards.screenshots FOLDER`` runs the demo, and a Prometheus with the project's
rules, for a loop of the demo's story and a minute, and draws each dashboard in both themes.
``--state down`` draws while the API is down, ``--state none`` without any data. ``--images 10000``
draws a day of so many images instead, of which some have problems.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from dashboards.generate.__main__ import FILES, HOME
from exporter.demo.events import LOOP_SECONDS
from exporter.demo.images import IMAGES
from tests.benchmarks.many_images import many_images
from tests.dashboards.alert_table import RULES
from tests.dashboards.live import JOB
from tests.dashboards.servers import Prometheus, prometheus
from tests.e2e_alerts import scaled
from tests.support.program import start_program
from tests.support.wait import wait_until

PREVIEW = HOME / "preview"
THEMES = ("dark", "light")
SCRAPE = "2s"
GRAFANA_SCRAPE = "15s"
"""Grafana's default for the "Scrape interval" of a data source."""
DURATION = LOOP_SECONDS + 60
"""Seconds of the demo that the screenshots show."""
GONE, SHOWN = "k8s-node", "debian-12"
"""An image that is gone in the screenshots, and the image of the dashboard for one image."""
INTERVALS = {"1m": "5s", "3m": "15s"}
"""The minimum interval of a panel, by that of the dashboard; the demo polls every 5 seconds."""

HEIGHTS = {"exporter.json": 1000}
"""Height in pixels of dashboards that are not drawn completely from the demo."""
WHOLE: Mapping[str, int] = MappingProxyType({})


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


def build_preview(scrape_interval: str) -> None:
    """Build the page that draws dashboards with npm and esbuild from the locked packages."""
    environment = {**os.environ, "SCRAPE_INTERVAL": scrape_interval}
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


def draw(
    folder: Path,
    server: Prometheus,
    dashboards: Mapping[str, Path],
    *choices: str,
    heights: Mapping[str, int] = WHOLE,
) -> int:
    """Draw every dashboard in both themes; return 1 if one has an error, else 0.

    Args:
        folder: The folder of the pictures.
        server: The Prometheus to query.
        dashboards: The file of each dashboard.
        choices: The time range and values of variables.
        heights: Heights in pixels of dashboards that are not drawn completely.
    """
    failed = 0
    for name, dashboard in dashboards.items():
        for theme in THEMES:
            picture = folder / f"{Path(name).stem}-{theme}.png"
            keys = [f"theme={theme}", *choices]
            keys += [f"height={heights[name]}"] if name in heights else []
            print(picture, flush=True)  # noqa: T201 - the output of this command
            command = ["node", "draw.mjs", str(dashboard), str(picture), server.url, *keys]
            failed |= subprocess.run(command, cwd=PREVIEW, check=False).returncode
    return failed


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int)
    parser.add_argument("--state", choices=("data", "down", "none"), default="data")
    arguments = parser.parse_args()
    for program in ("node", "npm", "prometheus"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    folder = arguments.folder.resolve()
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        if arguments.images:
            build_preview(GRAFANA_SCRAPE)
            with many_images(temporary, arguments.images) as server:
                return draw(folder, server, {file: HOME / file for file in FILES}, "from=now-24h")
        build_preview(SCRAPE)
        with environment(temporary, empty=arguments.state == "none") as server:
            wait_for_state(server, arguments.state)
            fast = {file: fast_dashboard(file, temporary) for file in FILES}
            time_range = f"from=now-{round(DURATION / 60)}m"
            image = f"var-image={IMAGES[SHOWN].id}"
            return draw(folder, server, fast, time_range, image, heights=HEIGHTS)


if __name__ == "__main__":
    sys.exit(main())
