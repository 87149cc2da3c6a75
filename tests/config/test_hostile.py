"""Hostile input: settings are valid, or the error is a SettingsError that is safe to print."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from exporter.config import (
    Expect,
    Image,
    Settings,
    SettingsError,
    labels,
    load,
    messages,
    parse,
    reference,
    resolved_clouds,
)
from exporter.config.load import config_error
from exporter.config.messages import MOST_LINES, ConfigError, name, shown
from exporter.config.web_config import read_web_file
from exporter.config.yaml_reader import UnreadableError, read_yaml

WORDS = sorted(
    {part.removesuffix("[]") for row in reference() for part in row.key.split(".")}
    | {"active", "auto", "none", "30s", "http://a", "a", "b"}
)
SECRET = "hunter2"

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(WORDS)
    | st.dates()
    | st.binary()
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(WORDS) | st.text(), inner),
    max_leaves=30,
)
OPTIONAL = ("endpoint", "token", "interval", "max_stale", "rate_limit", "properties")
clouds = st.lists(
    st.fixed_dictionaries(
        {"name": scalars, "images": st.lists(scalars | documents)},
        optional=dict.fromkeys(OPTIONAL, scalars | documents),
    )
)
# The machine may be busy, so the duration of one example is meaningless.


def check(argv: list[str], environ: dict[str, str]) -> None:
    """Assert that the input is valid, or an error with lines that are safe to print."""
    try:
        clouds = resolved_clouds(parse(argv, environ).settings)
    except SettingsError as error:
        lines = error.lines
    else:
        for resolved in clouds:
            assert resolved.images
            assert resolved.timeout <= resolved.interval
            assert resolved.max_stale >= 2 * resolved.interval
        return
    assert lines
    assert all(line.isprintable() for line in lines)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file that is rewritten for every example."""
    return tmp_path_factory.mktemp("hostile") / "exporter.yml"


@given(document=documents | clouds.map(lambda value: {"clouds": value}))
def test_any_yaml_document_is_valid_or_an_error(document: object, path: Path) -> None:
    path.write_text(
        yaml.safe_dump(document, allow_unicode=True), encoding="utf-8", errors="replace"
    )
    check([f"--config.file={path}"], {})


@given(content=st.binary() | st.text(alphabet="a:-[]{}&*!|>%@'\"#,?<=~ \n\t0").map(str.encode))
def test_any_bytes_are_valid_or_an_error(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    check([f"--config.file={path}"], {})


@given(
    document=clouds.map(lambda value: json.dumps(value, default=str)) | st.text(),
    interval=st.text(),
)
def test_any_variable_is_valid_or_an_error(document: str, interval: str) -> None:
    environ = {"IMAGE_EXPORTER_CLOUDS": document, "IMAGE_EXPORTER_INTERVAL": interval}
    check([], environ)


@given(
    argv=st.lists(
        st.text()
        | st.sampled_from(["run", "check", "show", "demo", "--", "-", "--interval", "--properties"])
        | st.text().map(lambda value: f"--properties={value}")
        | st.text().map(lambda value: f"--interval={value}")
        | st.text().map(lambda value: f"--config.file={value}")
    )
)
def test_any_command_line_is_valid_or_an_error(argv: list[str]) -> None:
    check([word for word in argv if not word.startswith(("-h", "--help", "--version"))], {})


@given(value=documents)
def test_no_error_shows_a_token(value: object, path: Path) -> None:
    cloud = {"name": "a", "endpoint": value, "token": SECRET, "images": value, "interval": value}
    path.write_text(
        yaml.safe_dump({"clouds": [cloud, {"token": SECRET}]}), encoding="utf-8", errors="replace"
    )
    with pytest.raises(SettingsError) as refused:
        parse([f"--config.file={path}"], {})
    assert SECRET not in str(refused.value)


def test_hostile_words_have_every_key() -> None:
    """Documents without real keys would test little."""
    assert set(WORDS) >= {*Settings.model_fields, *Image.model_fields, *Expect.model_fields} - {
        "expect"
    }


@pytest.mark.parametrize("number", ["1" + ":59" * 100_000, "1" + ":59" * 100_000 + ".5"])
def test_long_numbers_are_refused_before_they_are_read(number: str) -> None:
    with pytest.raises(UnreadableError, match="line 1, column 4: a number is too long"):
        read_yaml(f"a: {number}")


def test_only_the_first_of_many_errors_are_reported(path: Path) -> None:
    """They would fill the log, and the response to each reload by request."""
    path.write_text("a: 1\n" * 200)
    with pytest.raises(SettingsError) as raised:
        parse([f"--config.file={path}"], {})
    lines = raised.value.lines
    assert len(lines) == MOST_LINES + 1
    assert lines[0].endswith("line 2: a is a duplicate of line 1")
    assert lines[-1] == "and 101 more errors"
    assert SettingsError(*map(str, range(MOST_LINES + 1))).lines[-1] == str(MOST_LINES)


@pytest.mark.parametrize("word", ["secret", "eyJ-", "a", "A1b2", "/a:", "token "])
def test_long_values_are_not_examined_as_a_whole(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    examined: list[str] = []
    monkeypatch.setattr(messages, "looks_secret", examined.append)
    shown(word * 100_000)
    name(word * 100_000)
    assert {len(text) for text in examined} == {messages.EXAMINED}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"clouds: [{'1,' * 300}]", "clouds[0]: 1 is not a mapping"),
        (f"clouds: [{{name: a, images: [{'{},' * 300}]}}]", "clouds[0].images[0].id: missing"),
        ("".join(f"k{i}: 1\n" for i in range(300)), "k0: unknown key"),
        (f"labels: {{{','.join(f'{i}x: 1' for i in range(300))}}}", "labels: 0x is not a label"),
        (
            f"expect: {{{','.join(f'k{i}: 1' for i in range(300))}}}",
            "expect.k0: unknown key",
        ),
    ],
)
def test_memory_and_time_are_not_spent_on_errors_that_are_not_reported(
    text: str, line: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million of them took 60 seconds and more than 1.5 GiB."""
    described: list[object] = []
    monkeypatch.setattr(messages, "MOST_DETAILS", 120)
    monkeypatch.setattr(labels, "MOST_PROBLEMS", 120)

    def describe(details: ErrorDetails, root: type[BaseModel]) -> ConfigError:
        described.append(details)
        return config_error(details, root)

    monkeypatch.setattr(load, "config_error", describe)
    path.write_text(text)
    with pytest.raises(SettingsError) as raised:
        parse([f"--config.file={path}"], {})
    assert len(raised.value.lines) == MOST_LINES + 1
    assert all(raised.value.lines)
    assert raised.value.lines[0].startswith(f"{path}: {line}")
    assert len(described) <= 120


def test_all_errors_are_counted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MOST_DETAILS", 120)
    path.write_text(f"clouds: [{'1,' * 300}]")
    with pytest.raises(SettingsError) as raised:
        parse([f"--config.file={path}"], {})
    assert raised.value.lines[-1] == "and 200 more errors"
    path.write_text(f"basic_auth_users: {{{','.join(f'a{i}: []' for i in range(300))}}}")
    with pytest.raises(SettingsError) as raised:
        read_web_file(path)
    assert raised.value.lines[-1] == "and 200 more errors"


def test_keys_behind_many_values_are_validated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of a mapping are few. Without them, further errors would be found."""
    monkeypatch.setattr(messages, "MOST_DETAILS", 120)
    images = f"[{'a,' * 100}{'{},' * 200}]"
    path.write_text(f"clouds: [{{name: a, images: {images}, expect: {{k0: 1}}}}]")
    with pytest.raises(SettingsError) as raised:
        parse([f"--config.file={path}"], {})
    assert any(line.startswith(f"{path}: clouds[0].expect.k0: ") for line in raised.value.lines)


def test_wrong_values_behind_many_good_ones_are_reported(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "MOST_DETAILS", 120)
    path.write_text(f"clouds: [{{name: a, images: [{'a,' * 200}{'{},' * 200}]}}]")
    with pytest.raises(SettingsError) as raised:
        parse([f"--config.file={path}"], {})
    assert raised.value.lines[0].startswith(f"{path}: clouds[0].images[200].id: missing")
