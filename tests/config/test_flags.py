"""Command line: commands, help, and errors that repeat no value."""

from pathlib import Path

import pytest

from exporter import __version__
from exporter.config import SettingsError, parse, reference

SECRET = "hunter2"
A_SECRET = (
    "flag {} is refused, as anybody can read a command line: "
    "put a secret in clouds.yaml, or in the file that a cloud's token_file names"
)
COMMANDS = "accepted: run, check, show IMAGE_ID, list, demo"


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Return the name of a valid file."""
    path = tmp_path / "exporter.yml"
    path.write_text("clouds: [{name: a, images: [b]}]")
    return str(path)


def errors_of(*argv: str) -> tuple[str, ...]:
    """Return the errors of a command line."""
    with pytest.raises(SettingsError) as caught:
        parse(argv, {})
    return caught.value.lines


@pytest.mark.parametrize(
    ("argv", "command", "image_id"),
    [
        (["--config.file", "FILE"], "run", None),
        (["run", "--config.file", "FILE"], "run", None),
        (["--config.file", "FILE", "run"], "run", None),
        (["--interval=30s", "check", "--config.file=FILE"], "check", None),
        (["--config.file=FILE", "show", "--interval", "30s", "b"], "show", "b"),
        (["--config.file=FILE", "--interval=30s", "show", "--", "-b"], "show", "-b"),
        (["--config.file=FILE", "--interval=30s", "--", "show", "b"], "show", "b"),
        (["--interval", "30s", "demo"], "demo", None),
        (["--interval", "30s", "list"], "list", None),
    ],
)
def test_flags_are_accepted_before_and_after_the_command(
    argv: list[str], command: str, image_id: str | None, file: str
) -> None:
    invocation = parse([word.replace("FILE", file) for word in argv], {})
    assert (invocation.command, invocation.image_id) == (command, image_id)
    if any("interval" in word for word in argv):
        assert invocation.settings.interval == 30.0


@pytest.mark.parametrize(
    ("argv", "options"),
    [
        (["check"], {}),
        (["check", "--format=json"], {"format": "json"}),
        (["check", "--offline"], {"offline": "true"}),
        (["--config.check"], {"offline": "true"}),
        (["run", "--config.check"], {"offline": "true"}),
        (["--config.check", "check", "--format=json"], {"offline": "true", "format": "json"}),
        (["--format", "table", "--interval=30s", "check"], {"format": "table"}),
    ],
)
def test_flags_of_a_command_are_options(
    argv: list[str], options: dict[str, str], file: str
) -> None:
    assert parse([*argv, f"--config.file={file}"], {}).options == options


def test_flags_of_lists_accumulate() -> None:
    argv = ["demo", "--properties=a,b", "--properties", "c"]
    assert parse(argv, {}).settings.properties == ("a", "b", "c")


def test_listen_addresses_accumulate() -> None:
    argv = ["demo", "--web.listen-address=:1", "--web.listen-address", "[::1]:2"]
    assert parse(argv, {}).settings.web.listen_address == (":1", "[::1]:2")


def test_empty_flag_overrides_a_list_of_the_environment() -> None:
    argv, environ = ["demo", "--properties="], {"IMAGE_EXPORTER_PROPERTIES": "a"}
    assert parse(argv, environ).settings.properties == ()


@pytest.mark.parametrize(
    ("argv", "lines"),
    [
        (["start"], [f"unknown command 'start'; {COMMANDS}"]),
        (["\x1b[1m"], [rf"unknown command '\x1b[1m'; {COMMANDS}"]),
        (["run", "now"], ["unexpected argument 'now' after run"]),
        (
            ["check", "--format=xml"],
            ["flag --format: 'xml' is not accepted; accepted: table, json"],
        ),
        (["check", "--format"], ["flag --format: expected one argument"]),
        (
            ["list", "--format=json"],
            ["flag --format is refused; accepted: only after the command check"],
        ),
        (
            ["--format=json"],
            ["flag --format is refused; accepted: only after the command check"],
        ),
        (["show"], ["show needs an argument: openstack-image-exporter show IMAGE_ID"]),
        (["show", "a", "b"], ["unexpected argument 'b' after show"]),
        (["-"], [f"unknown command '-'; {COMMANDS}"]),
        (["--interval"], ["flag --interval: expected one argument"]),
        (["--interval", "--log.level=debug"], ["flag --interval: expected one argument"]),
        (["--config"], ["unknown flag --config; did you mean --config.file?"]),
        (["--interva=30s"], ["unknown flag --interva; did you mean --interval?"]),
        (["--log.leve=debug"], ["unknown flag --log.leve; did you mean --log.level?"]),
        (
            ["--web.listen_address=:1"],
            ["unknown flag --web.listen_address; did you mean --web.listen-address?"],
        ),
        (["-config.file=x"], ["unknown flag -c; did you mean --config.file?"]),
        (["--zzz"], ["unknown flag --zzz"]),
        (["--\x1b"], ["unknown flag --"]),
        (
            ["--clouds=[]"],
            ["flag --clouds is refused: list clouds in the settings file (--config.file)"],
        ),
        *(
            (
                [*first, *second],
                [f"flag {first[0].partition('=')[0]} is given twice; accepted: once"],
            )
            for first, second in (
                (["--interval=30s"], ["--interval", "20s"]),
                (["--interval", "30s"], ["demo", "--interval=30s"]),
                (["--web.enable-lifecycle"], ["--web.enable-lifecycle=false"]),
                (["--format=json", "check"], ["--format=table"]),
                (["--config.file=a.yml"], ["--config.file=b.yml"]),
            )
        ),
        (["--interval", "--interval", "30s"], ["flag --interval: expected one argument"]),
        (["--zzz", "start", "--yyy"], ["unknown flag --zzz", "unknown flag --yyy"]),
    ],
)
def test_invalid_command_line_is_rejected(argv: list[str], lines: list[str]) -> None:
    assert list(errors_of(*argv)) == lines


@pytest.mark.parametrize(
    ("argv", "flag"),
    [
        ([f"--token={SECRET}"], "--token"),
        (["--token", SECRET], "--token"),
        ([f"--clouds.0.token={SECRET}"], "--clouds.0.token"),
        (["--password", SECRET], "--password"),
        ([f"--os-password={SECRET}"], "--os-password"),
        ([f"--os-password:{SECRET}"], "--os-password"),
        ([f"--password{SECRET}"], "--password"),
        ([f"--OS_PASSWORD {SECRET}"], "--OS_PASSWORD"),
        (["--client-secret", SECRET], "--client-secret"),
        (["--apikey", SECRET], "--apikey"),
        (["show", "--token", SECRET, "--help"], "--token"),
    ],
)
def test_secret_as_a_flag_is_rejected_and_not_repeated(argv: list[str], flag: str) -> None:
    assert errors_of(*argv) == (A_SECRET.format(flag),)


@pytest.mark.parametrize(
    "argv",
    [
        [f"--zzz={SECRET}"],
        ["--zzz", SECRET],
        [f"-p{SECRET}"],
        [f"-p={SECRET}"],
        [f"--zzz {SECRET}"],
        [f"--zzz:{SECRET}"],
        [f"--clouds={SECRET}"],
    ],
)
def test_value_of_an_unknown_flag_is_not_repeated(argv: list[str]) -> None:
    """It may be a password."""
    assert SECRET not in "".join(errors_of(*argv))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--version"], {})
    assert ended.value.code == 0
    assert capsys.readouterr() == (f"openstack-image-exporter {__version__}\n", "")


def help_of(*argv: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the help that a command line prints, with folded lines joined."""
    with pytest.raises(SystemExit) as ended:
        parse(argv, {})
    assert ended.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def test_help_has_every_command_and_flag(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of("--help", capsys=capsys)
    assert text.startswith("usage: openstack-image-exporter [COMMAND] [FLAGS]")
    for command in ("run ", "check ", "show IMAGE_ID ", "demo "):
        assert f" {command}" in text
    for row in reference():
        if row.flag != "—":
            assert row.flag in text
            assert row.metavar or row.key in {"log.level", "log.format"}
            assert f"{row.meaning} [default: {row.default}; {row.variable}]" in text
    assert "--log.level {debug,info,warning,error}" in text
    assert "--interval DURATION" in text
    assert "JSON" not in text
    assert "--config.file=exporter.yml" in text


@pytest.mark.parametrize(
    ("argv", "usage", "text"),
    [
        (["show", "--help"], "show IMAGE_ID [FLAGS]", "Print all attributes of an image"),
        (["--help", "show"], "show IMAGE_ID [FLAGS]", "Print all attributes of an image"),
        (["check", "-h"], "check [FLAGS]", "Exits with 0 if all images are as expected"),
        (["demo", "--interval=x", "-h"], "demo [FLAGS]", "Needs no settings file"),
    ],
)
def test_command_has_its_own_help(
    argv: list[str], usage: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = help_of(*argv, capsys=capsys)
    assert output.startswith(f"usage: openstack-image-exporter {usage}")
    assert text in output
    assert "--config.file FILE" in output
    assert "commands:" not in output
