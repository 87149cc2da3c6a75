"""The command line: commands, help, and refusals that repeat no value."""

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
    """The name of a file that is right."""
    path = tmp_path / "exporter.yml"
    path.write_text("clouds: [{name: a, images: [b]}]")
    return str(path)


def refusal(*argv: str) -> tuple[str, ...]:
    """The lines with which a command line is refused."""
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
def test_flags_may_stand_before_and_after_the_command(
    argv: list[str], command: str, image_id: str | None, file: str
) -> None:
    """No command means run, and every flag counts wherever it stands."""
    invocation = parse([word.replace("FILE", file) for word in argv], {})
    assert (invocation.command, invocation.image_id) == (command, image_id)
    if any("interval" in word for word in argv):
        assert invocation.settings.interval == 30.0


@pytest.mark.parametrize(
    ("argv", "options"),
    [
        (["check"], {}),
        (["check", "--format=json"], {"format": "json"}),
        (["--format", "table", "--interval=30s", "check"], {"format": "table"}),
    ],
)
def test_a_command_may_have_flags_of_its_own(
    argv: list[str], options: dict[str, str], file: str
) -> None:
    """They are no settings: nothing else sets them, and no other command takes them."""
    assert parse([*argv, f"--config.file={file}"], {}).options == options


def test_the_last_of_equal_flags_wins_and_properties_add_up() -> None:
    """As with every program: a later flag overrides an earlier one, a list grows."""
    argv = ["demo", "--interval=30s", "--interval=20s", "--properties=a,b", "--properties", "c"]
    settings = parse(argv, {}).settings
    assert (settings.interval, settings.properties) == (20.0, ("a", "b", "c"))


def test_a_list_may_be_emptied_by_a_flag() -> None:
    """An empty flag overrides what the environment says."""
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
        (["--zzz", "start", "--yyy"], ["unknown flag --zzz", "unknown flag --yyy"]),
    ],
)
def test_a_wrong_command_line_is_refused(argv: list[str], lines: list[str]) -> None:
    """What is wrong is named, with what is near or accepted."""
    assert list(refusal(*argv)) == lines


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
def test_a_secret_is_no_flag(argv: list[str], flag: str) -> None:
    """A secret is refused with a pointer to where it belongs, and not repeated."""
    assert refusal(*argv) == (A_SECRET.format(flag),)


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
def test_the_value_of_an_unknown_flag_is_not_repeated(argv: list[str]) -> None:
    """It may be a password, whatever the flag is called."""
    assert SECRET not in "".join(refusal(*argv))


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version goes to standard output, with status 0."""
    with pytest.raises(SystemExit) as ended:
        parse(["--version"], {})
    assert ended.value.code == 0
    assert capsys.readouterr() == (f"openstack-image-exporter {__version__}\n", "")


def help_of(*argv: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a call for help prints, on lines that were put together again."""
    with pytest.raises(SystemExit) as ended:
        parse(argv, {})
    assert ended.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def test_help_has_every_command_and_flag(capsys: pytest.CaptureFixture[str]) -> None:
    """Each flag stands there with its meaning, default and variable; groups as JSON do not."""
    text = help_of("--help", capsys=capsys)
    assert text.startswith("usage: openstack-image-exporter [COMMAND] [FLAGS]")
    for command in ("run ", "check ", "show IMAGE_ID ", "demo "):
        assert f" {command}" in text
    for row in reference():
        if row.flag != "—":
            assert row.flag in text
            assert f"{row.meaning} [default: {row.default}; {row.variable}]" in text
    assert "--log.level {debug,info,warning,error}" in text
    assert "--interval DURATION" in text
    assert "JSON" not in text
    assert "--config.file=exporter.yml" in text


@pytest.mark.parametrize(
    ("argv", "usage", "says"),
    [
        (["show", "--help"], "show IMAGE_ID [FLAGS]", "Print all attributes of an image"),
        (["--help", "show"], "show IMAGE_ID [FLAGS]", "Print all attributes of an image"),
        (["check", "-h"], "check [FLAGS]", "Exits with 0 if all images are as expected"),
        (["demo", "--interval=x", "-h"], "demo [FLAGS]", "Needs no settings file"),
    ],
)
def test_a_command_has_help_of_its_own(
    argv: list[str], usage: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The usage and the meaning are the command's; the flags are there too."""
    text = help_of(*argv, capsys=capsys)
    assert text.startswith(f"usage: openstack-image-exporter {usage}")
    assert says in text
    assert "--config.file FILE" in text
    assert "commands:" not in text
