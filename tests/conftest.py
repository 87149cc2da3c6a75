"""Fixtures of all tests, and the rule that skipped tests fail in CI."""

import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling, Scheduling

import tests.support.fakes.faults  # noqa: F401 - registers the faults of the tests
from exporter.simulator import Release
from tests.support.examples import examples
from tests.support.preloaded import stop_preloaded_exporter

# A busy machine is slow, which says nothing about the code.
hypothesis.settings.register_profile("default", examples(100), deadline=None)
hypothesis.settings.load_profile("default")

# A shell lets background jobs ignore Ctrl-C, and the programs that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

GROUPS = (
    "tests/container/",
    "tests/dashboards/test_live.py",
    "tests/e2e_alerts/test_alerts.py",
    "tests/k8s/test_chart",
    "tests/openstack/",
    "tests/polling/test_faults.py",
    "tests/test_release.py",
    "tests/web/browser/",
)
"""Tests that share a resource which is slow to make, such as a browser or a build."""


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Distributes single tests, and each of ``GROUPS`` together.

    The marker ``xdist_group`` has no effect with pytest 9.2 and xdist 3.8.
    """

    def _split_scope(self, nodeid: str) -> str:
        return next((group for group in GROUPS if nodeid.startswith(group)), nodeid)


FAST_CLOCK = "tests/e2e_alerts/"
"""Tests with a clock that is many times faster: a moment without a processor lasts minutes."""

LOW_PRIORITY = 10
"""Niceness of all other slow tests."""

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}


def fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure with the reason of the skip, but not an expected failure."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"CI runs every test. {reason}"


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
    """Stop the server of this process."""
    stop_preloaded_exporter()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Lower the priority of slow tests that do not depend on time.

    A process cannot raise its priority again, but ``GroupScheduling`` starts with the largest
    group: the tests with a fast clock.
    """
    if item.get_closest_marker("slow") and not item.nodeid.startswith(FAST_CLOCK):
        os.nice(max(0, LOW_PRIORITY - os.nice(0)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Let tests that share a resource run in the same process."""
    return GroupScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run two workers on each core, because many tests wait; slow ones start more programs each.

    More would use more time to collect the tests than they save.
    """
    cores = os.cpu_count() or 1
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


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Return the path of promtool, which checks expositions and rules."""
    path = shutil.which("promtool")
    if path is None:
        pytest.skip("promtool is not installed; on Debian it is in the package prometheus")
    return Path(path)
