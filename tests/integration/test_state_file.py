"""The state file of a program that is stopped, killed and started twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.simulator import SimulatedImageService
from tests.support.program import BOUND, GOLDEN, daemon, run_program, simulated

STATUS_CHANGES = "openstack_image_status_changes_total"
WRITTEN_AT = "openstack_image_exporter_state_last_write_timestamp_seconds"


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    with SimulatedImageService([simulated(GOLDEN)]) as running:
        yield running


def test_state_survives_sigterm_and_belongs_to_one_process(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    lab = {"name": "lab", "endpoint": service.url, "images": [GOLDEN]}
    state = {"file": str(tmp_path / "state")}
    with daemon(tmp_path, lab, state=state) as program:
        program.wait_for_metric("openstack_image_exists", 1)
        assert program.metrics().value(WRITTEN_AT) == 0
        second = run_program(
            tmp_path, "--config.file=exporter.yml", "--web.listen-address=127.0.0.1:0"
        )
        assert (second.returncode, second.stderr) == (
            2,
            f"state.file: {tmp_path}/state: another exporter uses it; name a file of its own\n",
        )
        program.stop()
    service.images.change(GOLDEN, status="deactivated")
    with daemon(tmp_path, lab, state=state) as program:
        program.wait_for_metric(STATUS_CHANGES, 1)
        assert program.lines("continuing with the state file", "images=1")
        program.process.kill()
        program.process.wait(BOUND)
    with daemon(tmp_path, lab, state=state) as program:
        program.wait_for_metric(STATUS_CHANGES, 1)
        program.stop()
