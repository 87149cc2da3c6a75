"""Rates in the dashboards at every scrape interval, whatever the data source has as its own."""

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from dashboards.generate.panels import RATE_STEP
from tests.dashboards.queries import Query, queries
from tests.e2e_alerts.scaled import seconds

SCRAPE_INTERVALS = ("10s", "1m", "5m")
MOMENTS = ("30m", "32m30s", "34m59s")
"""Times after the first scrape at which a rate is computed."""
RATE_INTERVAL = f"{4 * seconds(RATE_STEP, 1):g}s"
"""Grafana's ``$__rate_interval`` of a query with a minimum step: four of them."""
SERIES = '{{job="openstack-images", instance="a", cloud="c", code="200", le="{}"}}'


def rates() -> list[Query]:
    """Return the queries that look back over ``$__rate_interval``."""
    return [query for query in queries() if "$__rate_interval" in query.text]


def series(query: Query, scrape_interval: str) -> list[dict[str, str]]:
    """Return the series that a query reads, which increase with every scrape."""
    scrapes = int(3600 / seconds(scrape_interval, 1))
    return [
        {"series": f"{name}{SERIES.format(le)}", "values": f"0+1x{scrapes}"}
        for name in sorted(set(re.findall(r"(\w+)\{", query.text)))
        for le in ("1", "+Inf")
    ]


def test_rates_have_data_at_every_scrape_interval(promtool: Path, tmp_path: Path) -> None:
    tests: list[dict[str, Any]] = [
        {
            "name": f"{query}, scraped every {scrape_interval}",
            "interval": scrape_interval,
            "input_series": series(query, scrape_interval),
            "promql_expr_test": [
                {
                    "expr": f"count({query.filled(__rate_interval=RATE_INTERVAL)} >= 0) > bool 0",
                    "eval_time": moment,
                    "exp_samples": [{"labels": "{}", "value": 1}],
                }
                for moment in MOMENTS
            ],
        }
        for query in rates()
        for scrape_interval in SCRAPE_INTERVALS
    ]
    assert tests

    file = tmp_path / "tests.yml"
    content = {"rule_files": [], "evaluation_interval": "1m", "tests": tests}
    file.write_text(yaml.safe_dump(content), "utf-8")
    process = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
