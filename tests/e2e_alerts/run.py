"""Runs of the scenarios, at a speed with which the machine keeps up.

The scenarios run in a process of their own, which does nothing else and measures no coverage::

    ALERTS_SPEED=15 python -m tests.e2e_alerts.run FOLDER prometheus
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.e2e_alerts.environment import run_scenarios
from tests.e2e_alerts.monitoring import PROMETHEUS
from tests.e2e_alerts.results import E2EResults
from tests.e2e_alerts.victoria_metrics import VICTORIA_METRICS
from tests.support.program import ROOT

MONITORING = {"prometheus": PROMETHEUS, "vmalert": VICTORIA_METRICS}
SPEEDS = {
    "prometheus": (30, 15, 10),
    "vmalert": tuple(map(int, os.environ.get("VMALERT_SPEEDS", "15,10,5").split(","))),
}
"""Factors by which all durations are shortened, in the order in which they are tried. vmalert needs
intervals of whole seconds."""
RESULTS = "results.pickle"


def run_conclusively(folder: Path, server: str) -> Mapping[str, E2EResults]:
    """Return the results of all scenarios by ruler.

    Repeat them more slowly if the machine was too slow to judge failures.

    Raises:
        CalledProcessError: The scenarios could not run, even at the lowest speed.
    """
    for speed in SPEEDS[server]:
        run_folder = folder / f"speed-{speed}"
        run_folder.mkdir()
        process = subprocess.run(
            [sys.executable, "-m", "tests.e2e_alerts.run", run_folder, server],
            cwd=ROOT,
            env={**os.environ, "ALERTS_SPEED": str(speed)},
            check=speed == SPEEDS[server][-1],
        )
        if process.returncode == 0:
            results: dict[str, E2EResults] = pickle.loads((run_folder / RESULTS).read_bytes())  # noqa: S301 - own file
            if all(result.is_conclusive for result in results.values()):
                break
    return results


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    results = run_scenarios(folder, MONITORING[sys.argv[2]])
    (folder / RESULTS).write_bytes(pickle.dumps(results))
