"""Runs of the scenarios, at a speed with which the machine keeps up.

The scenarios run in a process of their own, which does nothing else and measures no coverage::

    ALERTS_SPEED=15 python -m tests.e2e_alerts.run FOLDER
"""

import os
import pickle
import subprocess
import sys
from pathlib import Path

from tests.e2e_alerts.environment import run_scenarios
from tests.e2e_alerts.results import E2EResults
from tests.support.program import ROOT

SPEEDS = (30, 15, 10)
"""Factors by which all durations are shortened, in the order in which they are tried."""
RESULTS = "results.pickle"


def run_conclusively(folder: Path) -> E2EResults:
    """Run all scenarios; repeat them more slowly if the machine was too slow to judge failures.

    Raises:
        CalledProcessError: The scenarios could not run, even at the lowest speed.
    """
    for speed in SPEEDS:
        run_folder = folder / f"speed-{speed}"
        run_folder.mkdir()
        process = subprocess.run(
            [sys.executable, "-m", "tests.e2e_alerts.run", run_folder],
            cwd=ROOT,
            env={**os.environ, "ALERTS_SPEED": str(speed)},
            check=speed == SPEEDS[-1],
        )
        if process.returncode == 0:
            results: E2EResults = pickle.loads((run_folder / RESULTS).read_bytes())  # noqa: S301 - own file
            if results.is_conclusive:
                break
    return results


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / RESULTS).write_bytes(pickle.dumps(run_scenarios(folder)))
