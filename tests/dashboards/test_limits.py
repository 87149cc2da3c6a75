"""The limits of a scrape that METRICS.md recommends, in a real Prometheus."""

import re
from pathlib import Path
from typing import Any

from exporter.demo.images import IMAGES
from exporter.demo.v2_images import V2_IMAGES
from tests.dashboards.live import SETTINGS
from tests.dashboards.servers import prometheus
from tests.support.program import ROOT, start_program
from tests.support.wait import wait_until

COUNT = len(IMAGES) + len(V2_IMAGES)
ROW = re.compile(
    r"^\| `(\w+_limit)` of Prometheus \| none \| (\d+)( KB)?.*?(?:, and ([\d,]+))? \|$"
)


def recommended() -> dict[str, Any]:
    """Return the limits for the images of the demo, and a target with one more label."""
    lines = (ROOT / "METRICS.md").read_text("utf-8").splitlines()
    rows = {match[1]: match for line in lines if (match := ROW.match(line))}
    each, base = rows["sample_limit"][2], rows["sample_limit"][4].replace(",", "")
    return {
        "body_size_limit": f"{int(rows['body_size_limit'][2]) * COUNT}KB",
        "sample_limit": int(each) * COUNT + int(base),
        "label_limit": int(rows["label_limit"][2]) + 1,
        **{
            f"label_{part}_length_limit": int(rows[f"label_{part}_length_limit"][2])
            for part in ("name", "value")
        },
    }


def test_recommended_limits_accept_a_scrape(tmp_path: Path) -> None:
    """Prometheus would drop the scrape as a whole, as it does with one label fewer."""
    demo_folder = tmp_path / "demo"
    demo_folder.mkdir()
    address = "--web.listen-address=127.0.0.1:0"
    with start_program(demo_folder, "demo", "--interval=1s", address) as demo:
        target = {"targets": [f"127.0.0.1:{demo.port}"], "labels": {"environment": "test"}}
        limits = recommended()
        jobs = {
            "recommended": limits,
            "too few labels": {**limits, "label_limit": limits["label_limit"] - 1},
        }
        settings = {
            **SETTINGS,
            "scrape_configs": [
                {"job_name": name, "static_configs": [target], **limit}
                for name, limit in jobs.items()
            ],
        }
        with prometheus(tmp_path / "prometheus", settings, {"groups": []}) as server:
            images = 'count(openstack_image_state_info{job="recommended"}) > 10'
            wait_until(lambda: server.query(images))
            assert server.query('up{job="recommended"} == 1')
            wait_until(lambda: server.query('up{job="too few labels"} == 0'))
