"""The scenarios happen once for all tests, and their table is printed at the end."""

import pytest

from tests.dashboards.alarms.report import table
from tests.dashboards.alarms.stage import Outcome, perform

OUTCOME = pytest.StashKey[Outcome]()


@pytest.fixture(scope="session")
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What came of all scenarios, which happen at once."""
    performed = perform(tmp_path_factory.mktemp("alarms"))
    request.config.stash[OUTCOME] = performed
    return performed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, where the scenarios happened."""
    performed = terminalreporter.config.stash.get(OUTCOME, None)
    if performed is not None:
        terminalreporter.section("alarms, end to end")
        terminalreporter.write_line(table(performed))
