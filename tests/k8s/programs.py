"""External programs and schemas that the tests of files for other programs use."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

VENV_BIN = Path(__file__).parents[2] / ".venv-k8s/bin"
"""`make k8s-env` installs the programs here."""


def program(name: str) -> Path:
    """Return the path of a program, preferring the locked version; skip the test without one."""
    path = shutil.which(name, path=f"{VENV_BIN}{os.pathsep}{os.environ.get('PATH', '')}")
    if path is None:
        pytest.skip(f"{name} is not installed; `make k8s-env` installs it")
    return Path(path)


def schema(name: str) -> Any:
    """Return a JSON Schema that comes with check-jsonschema; skip the test without it."""
    pattern = f"lib/python*/site-packages/check_jsonschema/builtin_schemas/vendor/{name}.json"
    for path in VENV_BIN.parent.glob(pattern):
        return json.loads(path.read_text("utf-8"))
    pytest.skip("check-jsonschema is not installed; `make k8s-env` installs it")
