import subprocess
from pathlib import Path

import pytest

from exporter.simulator import SimulatedImageService
from tests.support.preloaded import preloaded_exporter
from tests.support.program import GOLDEN, environment, run_program, settings_file, simulated


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
        cloud = {"name": "lab", "endpoint": service.url, "images": [GOLDEN], "timeout": "1h"}
        argv = ["check", f"--config.file={settings_file(tmp_path, cloud)}"]
        env = environment(tmp_path)
        with pytest.raises(subprocess.TimeoutExpired):
            preloaded_exporter().run(argv, cwd=tmp_path, env=env, timeout=0.5)
        assert run_program(tmp_path, "--version").returncode == 0
