"""The rule that skipped tests fail in CI."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SKIPPED_TEST = "import pytest\ndef test_it(): pytest.skip('no such program')\n"
SKIPPED_FILE = "import pytest\npytest.skip('no such system', allow_module_level=True)\n"
EXPECTED_FAILURE = "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False\n"


@pytest.mark.parametrize(
    ("ci", "source", "status", "output"),
    [
        ("", SKIPPED_TEST, 0, "1 skipped"),
        ("true", SKIPPED_TEST, 1, "CI runs every test. Skipped: no such program"),
        ("true", SKIPPED_FILE, 2, "CI runs every test. Skipped: no such system"),
        ("true", EXPECTED_FAILURE, 0, "1 xfailed"),
    ],
    ids=["test", "test in CI", "module in CI", "expected failure in CI"],
)
def test_skip_is_a_failure_in_ci_only(
    tmp_path: Path, ci: str, source: str, status: int, output: str
) -> None:
    shutil.copy(Path(__file__).parent / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(source)
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir=."],
        cwd=tmp_path,
        env={"CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert output in process.stdout
    assert process.returncode == status
