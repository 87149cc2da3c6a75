"""The rule that skipped tests fail in CI, and the order of tests in several processes."""

import shutil
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest

from tests.conftest import GroupScheduling

SKIPPED_TEST = "import pytest\ndef test_it(): pytest.skip('no such program')\n"
EXPECTED_FAILURE = "@pytest.mark.xfail\ndef test_fails(): assert False\n"
SKIPPED_FILE = "import pytest\npytest.skip('no such system', allow_module_level=True)\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ci", "status", "outputs"),
    [
        ("", 0, ["2 skipped, 1 xfailed"]),
        (
            "true",
            1,
            [
                "CI runs every test. Skipped: no such program",
                "CI runs every test. Skipped: no such system",
                "1 failed, 1 xfailed, 1 error",
            ],
        ),
    ],
    ids=["elsewhere", "in CI"],
)
def test_skip_is_a_failure_in_ci_only_and_parts_have_their_seconds(
    tmp_path: Path, ci: str, status: int, outputs: list[str]
) -> None:
    shutil.copy(Path(__file__).parent / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(SKIPPED_TEST + EXPECTED_FAILURE)
    (tmp_path / "test_file.py").write_text(SKIPPED_FILE)
    process = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir=."),
            "--continue-on-collection-errors",
            "--parts",
        ],
        cwd=tmp_path,
        env={"CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    outputs = [*outputs, "s in     2 tests of test_it.py"]
    assert [text for text in outputs if text not in process.stdout] == []
    assert process.returncode == status


class Process:
    """A process that was sent tests by xdist, as far as a scheduler knows it."""

    shutting_down = False

    def __init__(self) -> None:
        self.sent: list[int] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        """Keep the tests that a real process would run."""
        self.sent += indices


def test_browser_starts_last_and_finished_tests_are_forgotten() -> None:
    tests = ["tests/web/browser/test_page.py::test_one", *(f"tests/test_it.py::{n}" for n in "abc")]
    process = Process()
    scheduler = GroupScheduling.__new__(GroupScheduling)
    scheduler.log = print
    scheduler.registered_collections = {process: tests}
    scheduler.assigned_work = {process: {}}
    scheduler.workqueue = OrderedDict(
        (scheduler._split_scope(test), {test: False}) for test in tests
    )
    scheduler._reschedule(process)
    for index in (1, 2, 3):
        scheduler.mark_test_complete(process, index)
        assert tests[index] not in scheduler.assigned_work[process]
    assert process.sent == [1, 2, 3, 0]
