"""The scenarios run once for all tests, and their results are printed at the end."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

import pytest

from tests.dashboards.servers import installed
from tests.e2e_alerts.monitoring import PROMETHEUS
from tests.e2e_alerts.report import report
from tests.e2e_alerts.results import E2EResults
from tests.e2e_alerts.run import run_conclusively
from tests.e2e_alerts.victoria_metrics import PACKAGE, PROGRAMS

Results: TypeAlias = Mapping[str, E2EResults]
SERVERS = {"e2e": "prometheus", "vmalert": "vmalert"}
"""The server that scrapes and evaluates for each fixture."""
RESULTS = pytest.StashKey[dict[str, E2EResults]]()


@pytest.fixture(scope="session")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Future[Results]]]:
    """Run the scenarios for all fixtures that tests need at the same time, because runs wait."""
    request.config.stash[RESULTS] = {}
    needed = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    with ThreadPoolExecutor() as pool:
        yield {
            fixture: pool.submit(run_conclusively, tmp_path_factory.mktemp(fixture), server)
            for fixture, server in SERVERS.items()
            if fixture in needed
        }


@pytest.fixture(scope="session", params=PROMETHEUS.max_delays)
def e2e(request: pytest.FixtureRequest, runs: Mapping[str, Future[Results]]) -> E2EResults:
    """Return the results of all scenarios with Prometheus, with and without late records."""
    return _results(request, runs["e2e"], request.param)


@pytest.fixture(scope="session")
def vmalert(request: pytest.FixtureRequest, runs: Mapping[str, Future[Results]]) -> E2EResults:
    """Return the results of some scenarios with vmalert."""
    for program in PROGRAMS:
        installed(program, package=PACKAGE)
    return _results(request, runs["vmalert"], "vmalert")


def _results(request: pytest.FixtureRequest, run: Future[Results], ruler: str) -> E2EResults:
    results = run.result()
    request.config.stash[RESULTS].update(results)
    return results[ruler]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the results if the scenarios ran."""
    for ruler, results in terminalreporter.config.stash.get(RESULTS, {}).items():
        terminalreporter.section(f"alerts, end to end ({ruler})")
        terminalreporter.write_line(report(results))
