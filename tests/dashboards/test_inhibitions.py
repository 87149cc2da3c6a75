"""The inhibition rules of the example configuration, in a real Alertmanager."""

from pathlib import Path

import requests
import yaml

from tests.dashboards.alert_table import RULES
from tests.dashboards.servers import alertmanager
from tests.support.program import BOUND
from tests.support.wait import wait_until

ALERTMANAGER = RULES.parent / "alertmanager.yml"
PREFIX = "OpenStackImage"


LAST = ("last ApiServersDisagree", "last DataStale")
"""Alerts of which the second is inhibited once Alertmanager has read all alerts before them."""


def inhibited(folder: Path, *alerts: str) -> set[str]:
    """Return which of these firing alerts are inhibited, each as "CLOUD NAME [REASON]"."""
    rules = yaml.safe_load(ALERTMANAGER.read_text("utf-8"))["inhibit_rules"]
    receivers = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
    with alertmanager(folder, {**receivers, "inhibit_rules": rules}) as server:
        url = f"{server.url}/api/v2/alerts"
        posted = [{"labels": labels(alert)} for alert in (*alerts, *LAST)]
        requests.post(url, json=posted, timeout=BOUND).raise_for_status()

        def received() -> dict[str, bool]:
            return {
                text(alert["labels"]): bool(alert["status"]["inhibitedBy"])
                for alert in requests.get(url, timeout=BOUND).json()
            }

        wait_until(lambda: received().get(LAST[1]))
        all_received = received()
    assert set(all_received) == {*alerts, *LAST}
    return {alert for alert in alerts if all_received[alert]}


def labels(alert: str) -> dict[str, str]:
    """Return the labels of an alert."""
    cloud, name, *reason = alert.split()
    about = {"reason": reason[0]} if reason else {}
    return {"cloud": cloud, "alertname": f"{PREFIX}{name}", **about}


def text(received: dict[str, str]) -> str:
    """Return the alert with these labels."""
    name = received["alertname"].removeprefix(PREFIX)
    return " ".join(filter(None, (received["cloud"], name, received.get("reason"))))


def test_servers_that_disagree_inhibit_unconfirmed_polls_and_missing_data_of_their_cloud(
    tmp_path: Path,
) -> None:
    consequences = {"prod PollFailures unconfirmed", "prod DataStale", "prod NeverPolled"}
    others = {
        "prod ApiServersDisagree",
        "prod PollFailures server_error",
        "prod Gone",
        "prod ContentChanged",
        "other PollFailures unconfirmed",
        "other DataStale",
    }
    assert inhibited(tmp_path, *consequences, *others) == consequences
