"""Fixtures of all tests, and the rule that skipped tests fail in CI."""

import gc
import logging
import os
import shutil
import signal
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator
from itertools import chain
from operator import itemgetter
from pathlib import Path

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling, Scheduling
from xdist.workermanage import WorkerController

import tests.support.fakes.faults  # noqa: F401 - registers the faults of the tests
from exporter.simulator import Release, SimulatedImageService
from tests.support.clouds_yaml import clear_configuration
from tests.support.examples import examples
from tests.support.program import GOLDEN, UBUNTU, simulated

# A busy machine is slow, which says nothing about the code.
hypothesis.settings.register_profile("default", examples(100), deadline=None)
hypothesis.settings.load_profile("default")

# A shell lets background jobs ignore Ctrl-C, and the programs that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

BROWSER = "tests/web/browser/"
"""Starts last: Linux gives each session as much of the processor, and it has several."""

GROUPS = (
    "tests/container/",
    "tests/dashboards/test_live.py",
    "tests/e2e_alerts/",
    "tests/k8s/test_chart",
    "tests/openstack/",
    "tests/polling/test_faults.py",
    "tests/test_release.py",
    BROWSER,
)
"""Tests that share a resource which is slow to make, such as a browser or a build."""


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Distributes single tests, and each of ``GROUPS`` together.

    The marker ``xdist_group`` has no effect with pytest 9.2 and xdist 3.8.
    """

    def _split_scope(self, nodeid: str) -> str:
        return next((group for group in GROUPS if nodeid.startswith(group)), nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        if BROWSER in self.workqueue:
            self.workqueue.move_to_end(BROWSER)
        super()._assign_work_unit(node)

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        """Forget what is complete: xdist counts the tests of all units of a process each time."""
        super().mark_test_complete(node, item_index, duration)
        units = self.assigned_work[node]
        for scope in [scope for scope, unit in units.items() if all(unit.values())]:
            del units[scope]


NICENESS = {
    "tests/e2e_alerts/": 0,  # Their clock is fast: a moment without a processor lasts minutes.
    "tests/openstack/": 4,  # A real Glance takes seconds to respond on a busy machine.
}
"""Niceness of slow tests that depend on time."""

LOW_PRIORITY = 10
"""Niceness of all other slow tests."""

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}


def fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure with the reason of the skip, but not an expected failure."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"CI runs every test. {reason}"


def part(nodeid: str) -> str:
    """Return the part of the suite to which a test belongs: a folder, or a file without one."""
    return "/".join(nodeid.partition("::")[0].split("/")[:2])


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that shows where the time goes."""
    parser.addoption("--parts", action="store_true", help="print the seconds of each part")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the seconds of the tests of each part, the longest first."""
    if not terminalreporter.config.getoption("parts"):
        return
    seconds, tests = defaultdict[str, float](float), Counter[str]()
    for report in chain.from_iterable(terminalreporter.stats.values()):
        if isinstance(report, pytest.TestReport):
            seconds[part(report.nodeid)] += report.duration
            tests[part(report.nodeid)] += report.when == "call"
    terminalreporter.section("parts")
    for name, duration in sorted(seconds.items(), key=itemgetter(1), reverse=True):
        terminalreporter.write_line(f"{duration:8.1f} s in {tests[name]:5,} tests of {name}")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without the garbage collector, which would visit ten thousand tests that stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail skipped tests in CI."""
    report = yield
    if IN_CI:
        fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail skipped modules in CI."""
    report = yield
    if IN_CI:
        fail_if_skipped(report)
    return report


@pytest.fixture(params=Release, ids=lambda release: release.name.lower())
def release(request: pytest.FixtureRequest) -> Release:
    """Run a test with each release of Glance that the simulated service imitates."""
    imitated = request.param
    assert isinstance(imitated, Release)
    return imitated


def pytest_sessionfinish() -> None:
    """Stop the server of this process.

    Importing the module would import the exporter, which the process that distributes the tests
    does not need.
    """
    if preloaded := sys.modules.get("tests.support.preloaded"):
        preloaded.stop_preloaded_exporter()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Lower the priority of slow tests, most of all of those that do not depend on time.

    A process cannot raise its priority again, but ``GroupScheduling`` starts with the largest
    groups: those of ``NICENESS``.
    """
    if item.get_closest_marker("slow"):
        niceness = next(
            (value for folder, value in NICENESS.items() if item.nodeid.startswith(folder)),
            LOW_PRIORITY,
        )
        os.nice(max(0, niceness - os.nice(0)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Let tests that share a resource run in the same process."""
    return GroupScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run two workers on each core, because many tests wait; slow ones start more programs each.

    More would use more time to collect the tests than they save. ``logical`` means one on each
    core, beside other tests.
    """
    cores = os.cpu_count() or 1
    if config.option.numprocesses == "logical":
        return cores
    return max(1, cores * 3 // 2) if config.option.markexpr == "slow" else cores * 2


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Restore the logging of before after a test that runs a command in this process."""
    root, ours = logging.getLogger(), logging.getLogger("exporter")
    before = (root.handlers[:], root.level, ours.level, logging.raiseExceptions)
    hooks = (sys.excepthook, threading.excepthook)
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level, ours.level, logging.raiseExceptions = before
    sys.excepthook, threading.excepthook = hooks


@pytest.fixture
def clean_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test without this machine's settings for clouds."""
    clear_configuration(monkeypatch)


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """Run a service with two images."""
    with SimulatedImageService([simulated(GOLDEN), simulated(UBUNTU)]) as running:
        yield running


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Return the path of promtool, which checks expositions and rules."""
    path = shutil.which("promtool")
    if path is None:
        pytest.skip("promtool is not installed; on Debian it is in the package prometheus")
    return Path(path)
