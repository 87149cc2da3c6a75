"""Errors of settings in tests: how to get them, and texts that several of them contain."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.config import SettingsError, parse

UUID = "3c3d1d01-b48a-4639-8a88-08be3b9b5d78"
ID = "accepted: 1 to 255 letters, digits, '.', '_' and '-', but not '.' or '..'"
LABEL = "accepted: 1 to 255 printable characters"
DURATION = "accepted: 30s, 1m30s, 15m, 90d"
MAPPING = "accepted: a mapping of keys to values"
OF_EXPECT = (
    "exists, status, protected, public, visibility, hidden, checksum, hash, size, min_disk, "
    "min_ram, disk_format, container_format, owner, name, properties, max_age, max_unchanged"
)
CLOUDS = "clouds: [{name: a, images: [b]}]"


def errors_of(argv: list[str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the errors of a command line and an environment."""
    with pytest.raises(SettingsError) as caught:
        parse(argv, environ)
    assert str(caught.value) == "\n".join(caught.value.lines)
    assert all("\n" not in line for line in caught.value.lines)
    return caught.value.lines


def errors_of_file(path: Path, content: str | bytes) -> list[str]:
    """Return the errors of a file, without its name."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    lines = errors_of([f"--config.file={path}"], {})
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def image(text: str) -> str:
    """Return a file with one image."""
    return f"clouds: [{{name: a, images: [{text}]}}]"


def discover(text: str) -> str:
    """Return a file with one image and one discovery rule."""
    return cloud(f"discover: [{text}]")


def cloud(text: str) -> str:
    """Return a file with one cloud that has additional keys."""
    return f"clouds: [{{name: a, images: [b], {text}}}]"
