"""The scenarios run once for all tests, and their results are printed at the end."""

import pytest

from tests.e2e_alerts.report import report
from tests.e2e_alerts.results import E2EResults
from tests.e2e_alerts.run import run_conclusively

RESULTS = pytest.StashKey[E2EResults]()


@pytest.fixture(scope="session")
def e2e(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> E2EResults:
    """Run all scenarios at the same time."""
    results = run_conclusively(tmp_path_factory.mktemp("e2e-alerts"))
    request.config.stash[RESULTS] = results
    return results


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the results if the scenarios ran."""
    results = terminalreporter.config.stash.get(RESULTS, None)
    if results is not None:
        terminalreporter.section("alerts, end to end")
        terminalreporter.write_line(report(results))
