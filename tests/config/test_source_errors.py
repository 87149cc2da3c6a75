"""Exact error lines of sources: unreadable files, environment variables, and flags."""

import json
from pathlib import Path

import pytest

from exporter.config import GETTING_STARTED
from tests.config.error_lines import DURATION, ID, LABEL, errors_of


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    missing = tmp_path / "none.yml"
    assert errors_of([f"--config.file={missing}"], {}) == (
        f"{missing}: cannot be read: No such file or directory",
    )


def test_directory_is_not_a_file(tmp_path: Path) -> None:
    assert errors_of([], {"IMAGE_EXPORTER_CONFIG__FILE": str(tmp_path)}) == (
        f"{tmp_path}: cannot be read: Is a directory",
    )


def test_line_break_in_a_file_name_is_escaped(tmp_path: Path) -> None:
    hostile = tmp_path / "a\nb"
    hostile.mkdir()
    assert errors_of([f"--config.file={hostile}"], {}) == (
        f"{str(hostile)!r}: cannot be read: Is a directory",
    )


def test_name_of_no_file_that_may_be_a_secret_is_not_shown() -> None:
    assert errors_of(["--config.file=a\nb"], {}) == (
        "(not shown: it may be a secret): cannot be read: No such file or directory",
    )


def test_error_without_clouds_shows_an_example_and_the_demo() -> None:
    assert errors_of([], {}) == GETTING_STARTED
    assert GETTING_STARTED[0].startswith("no clouds to watch: list them in a file")
    assert GETTING_STARTED[-1].endswith("openstack-image-exporter demo")


def test_invalid_file_name_is_rejected() -> None:
    for hostile in ("a\0", "a\ud800"):
        lines = errors_of(["demo", f"--config.file={hostile}"], {})
        hidden = "(not shown: it may be a secret)"
        assert lines[0] == f"{hidden}: cannot be read: not a valid file name"


VARIABLES = {
    "unknown": (
        {"IMAGE_EXPORTER_INTERVALL": "hunter2"},
        "environment variable IMAGE_EXPORTER_INTERVALL: unknown; "
        "did you mean IMAGE_EXPORTER_INTERVAL?",
    ),
    "unknown and hostile": (
        {"IMAGE_EXPORTER_\n": "hunter2"},
        r"environment variable 'IMAGE_EXPORTER_\n': unknown",
    ),
    "a group": (
        {"IMAGE_EXPORTER_WEB": '{"listen_address": ":1"}'},
        "environment variable IMAGE_EXPORTER_WEB: unknown",
    ),
    "a value": (
        {"IMAGE_EXPORTER_LOG__LEVEL": "loud"},
        "environment variable IMAGE_EXPORTER_LOG__LEVEL: 'loud' is not accepted; "
        "accepted: debug, info, warning, error",
    ),
    "a duration": (
        {"IMAGE_EXPORTER_INTERVAL": "60"},
        "environment variable IMAGE_EXPORTER_INTERVAL: '60' has no unit; write 1m",
    ),
    "a number": (
        {"IMAGE_EXPORTER_CONCURRENCY": "many"},
        "environment variable IMAGE_EXPORTER_CONCURRENCY: 'many' is not accepted; "
        "accepted: a whole number from 1 to 1000",
    ),
    "a property": (
        {"IMAGE_EXPORTER_PROPERTIES": "a,,b"},
        f"environment variable IMAGE_EXPORTER_PROPERTIES: '' is not accepted; {LABEL}",
    ),
    "clouds that are no JSON": (
        {"IMAGE_EXPORTER_CLOUDS": '[{"token": hunter2}]'},
        "environment variable IMAGE_EXPORTER_CLOUDS: is not valid JSON: line 1, column 12: "
        "Expecting value",
    ),
    "clouds nested deeply": (
        {"IMAGE_EXPORTER_CLOUDS": "[" * 100_000},
        "environment variable IMAGE_EXPORTER_CLOUDS: is nested too deeply",
    ),
    "clouds with a long number": (
        {"IMAGE_EXPORTER_CLOUDS": "9" * 5000},
        "environment variable IMAGE_EXPORTER_CLOUDS: is not valid JSON: a number is too long",
    ),
    "a key twice": (
        {"IMAGE_EXPORTER_CLOUDS": '[{"name": "a", "name": "a", "images": ["b"]}]'},
        "environment variable IMAGE_EXPORTER_CLOUDS: name is a duplicate key",
    ),
    "an image": (
        {"IMAGE_EXPORTER_CLOUDS": '[{"name": "a", "images": [1e5]}]'},
        "environment variable IMAGE_EXPORTER_CLOUDS: clouds[0].images[0]: "
        "100000.0 must be a string; quote it",
    ),
}


@pytest.mark.parametrize(("environ", "line"), VARIABLES.values(), ids=VARIABLES)
def test_error_in_the_environment_is_one_exact_line(environ: dict[str, str], line: str) -> None:
    clouds = {"IMAGE_EXPORTER_CLOUDS": json.dumps([{"name": "a", "images": ["b"]}])}
    assert errors_of([], {**clouds, **environ}) == (line,)


def test_errors_of_all_sources_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text("rate_limit: -1\nclouds: [{name: a, images: [b]}]")
    argv = ["show", "a/b", f"--config.file={path}", "--interval=soon", "--properties=a,b,a"]
    environ = {"IMAGE_EXPORTER_TIMEOUT": "10", "IMAGE_EXPORTER_X": ""}
    assert errors_of(argv, environ) == (
        f"show: 'a/b' is not an image ID; {ID}",
        "environment variable IMAGE_EXPORTER_X: unknown",
        f"flag --interval: 'soon' is not a duration; {DURATION}",
        "environment variable IMAGE_EXPORTER_TIMEOUT: '10' has no unit; write 10s",
        f"{path}: rate_limit: -1 is not accepted; accepted: a number above 0, or none",
        "flag --properties: 'a' is a duplicate",
    )
