import signal
import subprocess
from pathlib import Path

import pytest

from exporter.simulator import SimulatedImageService
from tests.support.preloaded import preloaded_exporter
from tests.support.program import (
    BOUND,
    GOLDEN,
    REQUEST_TIMEOUT,
    daemon,
    environment,
    run_program,
    settings_file,
    simulated,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("argv", [["--version"], ["check", "--config.file=no.yml"], ["nonsense"]])
def test_preloaded_program_is_the_same(tmp_path: Path, argv: list[str]) -> None:
    preloaded, real = (
        run_program(tmp_path, *argv, is_preloaded=choice) for choice in (True, False)
    )
    assert (preloaded.returncode, preloaded.stdout, preloaded.stderr) == (
        real.returncode,
        real.stdout,
        real.stderr,
    )


def test_runs_do_not_share_folder_and_environment(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    cloud = {"name": "lab", "endpoint": "http://127.0.0.1:1", "images": [GOLDEN]}
    settings_file(tmp_path / "first", cloud)
    argv = ("check", "--config.file=exporter.yml")
    variable = {"IMAGE_EXPORTER_LOG__LEVEL": "verbose"}
    assert "verbose" in run_program(tmp_path / "first", *argv, environ=variable).stderr
    assert "verbose" not in run_program(tmp_path / "first", *argv).stderr
    assert "exporter.yml" in run_program(tmp_path / "second", *argv).stderr


def test_run_that_hangs_is_killed(tmp_path: Path) -> None:
    with SimulatedImageService([simulated(GOLDEN)]) as service:
        service.faults.set("hang")
        cloud = {
            "name": "lab",
            "endpoint": service.url,
            "images": [GOLDEN],
            "timeout": REQUEST_TIMEOUT,
        }
        argv = ["check", f"--config.file={settings_file(tmp_path, cloud)}"]
        env = environment(tmp_path)
        with pytest.raises(subprocess.TimeoutExpired):
            preloaded_exporter().run(argv, cwd=tmp_path, env=env, timeout=0.5)
        assert run_program(tmp_path, "--version").returncode == 0


def test_programs_run_side_by_side_until_a_signal(tmp_path: Path) -> None:
    folders = tmp_path / "killed", tmp_path / "stopped"
    for folder in folders:
        folder.mkdir()
    with SimulatedImageService([simulated(GOLDEN)]) as service:
        cloud = {"name": "lab", "endpoint": service.url, "images": [GOLDEN]}
        with daemon(folders[0], cloud) as killed, daemon(folders[1], cloud) as stopped:
            assert killed.port != stopped.port
            killed.process.kill()
            assert killed.process.wait(BOUND) == killed.process.poll() == -signal.SIGKILL
            assert stopped.process.poll() is None
            stopped.stop()
            assert stopped.process.poll() == 0
