"""Selections of metric families in the settings of a running exporter."""

from pathlib import Path

import pytest

from exporter.simulator import SimulatedImageService
from tests.reloading import cloud, exporting
from tests.support.program import GOLDEN, daemon, simulated

STATE = "openstack_image_state_info"


def test_daemon_leaves_metrics_out_from_its_start(tmp_path: Path) -> None:
    lab = cloud("http://127.0.0.1:1", GOLDEN)
    with daemon(tmp_path, lab, metrics={"exclude": [STATE]}) as program:
        assert f"# TYPE {STATE} " not in program.page("/metrics")[1]
        assert "OpenStackImageKilled" in program.line("alert rules need metrics")


def test_reload_leaves_metrics_out_and_names_the_alerts_that_need_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with SimulatedImageService([simulated(GOLDEN)]) as service:
        lab = cloud(service.url, GOLDEN)
        with exporting(tmp_path, lab) as exporter:
            exporter.wait_for_poll(GOLDEN)
            assert f"# TYPE {STATE} " in exporter.text()
            assert exporter.reload(lab, metrics={"exclude": [STATE]}) == ()
            assert f"{STATE} " not in exporter.text()
            (record,) = [line for line in caplog.records if "alert rules" in line.message]
            assert "OpenStackImageKilled" in record.__dict__["fields"]["alerts"]
            (error,) = exporter.reload(lab, metrics={"exclude": ["openstack_image_stat"]})
            assert "did you mean openstack_image_status" in error
            assert f"{STATE} " not in exporter.text()
            assert exporter.reload(lab) == ()
            assert f"# TYPE {STATE} " in exporter.text()
