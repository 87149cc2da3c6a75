"""Fixtures of all tests, and the rule that skipped tests fail in CI."""

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

import tests.support.fakes.faults  # noqa: F401 - registers the faults of the tests
from exporter.simulator import Release
from tests.support.examples import examples

# A busy machine is slow, which says nothing about the code.
hypothesis.settings.register_profile("default", examples(100), deadline=None)
hypothesis.settings.load_profile("default")

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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run three workers on two cores, because many tests wait for a program."""
    return max(1, (os.cpu_count() or 1) * 3 // 2)


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Return the path of promtool, which checks expositions and rules."""
    path = shutil.which("promtool")
    if path is None:
        pytest.skip("promtool is not installed; on Debian it is in the package prometheus")
    return Path(path)
