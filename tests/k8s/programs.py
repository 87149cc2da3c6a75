"""External programs that the tests of the Dockerfile and the manifests run."""

import os
import shutil
from pathlib import Path

import pytest

VENV_BIN = Path(__file__).parents[2] / ".venv-k8s/bin"
"""`make k8s-env` installs the programs here."""


def program(name: str) -> Path:
    """Return the path of a program, preferring the locked version; skip the test without one."""
    path = shutil.which(name, path=f"{VENV_BIN}{os.pathsep}{os.environ.get('PATH', '')}")
    if path is None:
        pytest.skip(f"{name} is not installed; `make k8s-env` installs it")
    return Path(path)
