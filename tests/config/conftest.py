"""Fixtures of the tests of settings."""

from pathlib import Path

import pytest

from exporter.config import Invocation, parse
from tests.config.reading import Read


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that parses a file, flags and variables."""

    def read(content: str, *argv: str, **environ: str) -> Invocation:
        path = tmp_path / "exporter.yml"
        path.write_text(content)
        return parse([f"--config.file={path}", *argv], environ)

    return read
