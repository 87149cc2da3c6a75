"""Labels that the operator gives to images, in alerts and in the routes of Alertmanager."""

import re
import subprocess

import pytest

from exporter.model.expectations.checks import EXPECTATIONS
from tests.dashboards.alert_table import alerts
from tests.dashboards.servers import installed
from tests.dashboards.test_rules import ALERTMANAGER


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("alertname=OpenStackImageGone severity=critical team=platform", "team-platform,on-call"),
        ("alertname=OpenStackImageStuck severity=warning team=platform", "team-platform"),
        ("alertname=OpenStackImageGone severity=critical team=other", "on-call"),
        ("alertname=OpenStackImageStatusChanged severity=info", "log"),
        ("alertname=OpenStackImageStuck severity=warning", "team"),
    ],
)
def test_alerts_are_routed_by_the_label_of_a_team(labels: str, receivers: str) -> None:
    amtool = installed("amtool", package="prometheus-alertmanager")
    command = [amtool, "config", "routes", "test", f"--config.file={ALERTMANAGER}"]
    process = subprocess.run(
        [*command, *labels.split()], capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stdout.split()) == (0, [receivers])


def test_every_alert_about_an_image_has_the_labels_of_the_operator() -> None:
    """A join cannot have several results of an image: there is a line for each expectation."""
    joined = {name for name, rule in alerts().items() if "openstack_image_labels:" in rule["expr"]}
    about = "Image {{ $labels.image }}"
    assert joined == {
        name for name in alerts() if alerts()[name]["annotations"]["description"].startswith(about)
    }
    expression = alerts()["OpenStackImageNotAsExpected"]["expr"]
    assert tuple(re.findall(r'expectation="(\w+)"', expression)) == EXPECTATIONS
