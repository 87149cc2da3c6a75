"""Programs that look at the Dockerfile and the manifests."""

import os
import shutil
from pathlib import Path

import pytest

MADE = Path(__file__).parents[2] / ".venv-k8s/bin"
"""Where `make k8s-env` installs them."""


def program(name: str) -> Path:
    """Where a program is: the one of the lock first, else any; without one the test is skipped."""
    found = shutil.which(name, path=f"{MADE}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        pytest.skip(f"{name} is not installed; `make k8s-env` installs it")
    return Path(found)
