"""What all tests share: programs from outside, and the rule that CI skips nothing."""

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

import tests.support.fakes.faults  # noqa: F401 - registers the faults of the tests

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}


def fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that shows the skip's reason; an expected failure stays one."""
    if report.skipped and not hasattr(report, "wasxfail"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"CI runs every test. {why}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, a test that is skipped fails."""
    report = yield
    if IN_CI:
        fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """In CI, a file that is skipped as a whole fails."""
    report = yield
    if IN_CI:
        fail_if_skipped(report)
    return report


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Prometheus' own checker of expositions and rules."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed; on Debian it comes with the package prometheus")
    return Path(found)
