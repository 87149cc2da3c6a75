"""The command line: which command, and the flags as a source of settings.

The flags themselves are pydantic-settings', made from the settings' own fields. This is the shell
around them: commands, help, and refusals that repeat no value, as it may be a password.
"""

import re
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, NoReturn

from pydantic_settings import BaseSettings, CliSettingsSource

from exporter import __version__
from exporter.config.messages import did_you_mean, name, shown

PROGRAM = "openstack-image-exporter"

Command = Literal["run", "check", "show", "list", "demo"]
COMMANDS: dict[Command, str] = {
    "run": "Poll the images and serve /metrics; what no command means.",
    "check": "Sign in, poll every image once, print what was expected and what is.",
    "show": "Print all that the Image service says about an image.",
    "list": "Print the images that are visible, to be pasted under images:.",
    "demo": "Run against a simulated service whose images come and go.",
}
DETAILS: dict[Command, str] = {
    "run": "Ends on SIGTERM and Ctrl-C.",
    "check": "Exits with 0 when all images are as expected, 1 when one is not, is gone or a poll\n"
    "failed, 2 when the settings are wrong.",
    "show": "Asks each cloud of the settings for IMAGE_ID.",
    "list": "Needs no images in the settings, and without clouds there takes the OS_* variables.\n"
    "Exits with 0, or with 1 when a cloud could not be asked.",
    "demo": "Needs no settings file and no cloud: all happens on this machine.",
}
"""What a command's own help says besides."""
ARGUMENTS: dict[Command, tuple[str, ...]] = {"show": ("IMAGE_ID",)}
"""What a command takes besides flags, for those that do."""


class Option(NamedTuple):
    """A flag of one command, which is no setting: its value's name, its words, its help."""

    metavar: str
    words: tuple[str, ...]
    help: str


OPTIONS: dict[Command, dict[str, Option]] = {
    "check": {
        "format": Option(
            "FORMAT", ("table", "json"), "How to print it: table or json. [default: table]"
        ),
        "baseline": Option(
            "FILE",
            (),
            "Write the settings to this new file, with what is now as what is expected.",
        ),
    },
}
"""The flags that only one command has, without their dashes."""

ABOUT = "Watch a list of OpenStack images and serve what is seen as Prometheus metrics."
EXAMPLES = f"""\
examples:
  {PROGRAM} demo
  {PROGRAM} check --config.file=exporter.yml
  {PROGRAM} --config.file=exporter.yml --interval=30s
"""

_FLAG = re.compile(r"--[A-Za-z0-9._-]*")
_SECRET = re.compile(r"--?.*?(token|passw(or)?d|passphrase|secret|credential|api.?key)", re.I)
_METAVARS = {
    "config.file": "FILE",
    "web.listen_address": "ADDRESS",
    "shard.index": "N",
    "shard.total": "N",
    "web.config.file": "FILE",
    "web.external_url": "URL",
    "web.route_prefix": "PATH",
    "web.systemd_socket": "BOOL",
    "web.enable_lifecycle": "BOOL",
    "config.reload_on_change": "BOOL",
    "interval": "DURATION",
    "timeout": "DURATION",
    "concurrency": "N",
    "rate_limit": "N",
    "max_stale": "DURATION",
    "discovery_interval": "DURATION",
    "forget_after": "DURATION",
    "properties": "NAME,NAME",
}


class UsageError(Exception):
    """A command line that cannot be understood; `lines` has one line per mistake."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


class CommandLine(NamedTuple):
    """What was asked for, and the flags as a source of settings.

    ``options`` has the flags that are the command's own, see ``OPTIONS``.
    """

    command: Command
    image_id: str | None
    options: Mapping[str, str]
    source: CliSettingsSource[ArgumentParser]


class _Parser(ArgumentParser):
    """argparse whose errors are exceptions."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print; all its messages are about a flag."""
        raise UsageError(message.replace("argument ", "flag ", 1))


def read(
    argv: Sequence[str],
    settings: type[BaseSettings],
    helps: Mapping[str, str],
    switches: Collection[str] = (),
) -> CommandLine:
    """Read the arguments that follow the program's name.

    `helps` has the help text of every setting that has a flag, by key such as ``log.level``.
    `switches` are flags that need no value, and mean true without one. Help and version are
    printed, and end the program with status 0.

    Raises:
        UsageError: an unknown flag or command, a flag without its value, a secret as a flag.
        SystemExit: after help or version.
    """
    # What follows a bare -- is no flag, whatever it looks like.
    end = argv.index("--") if "--" in argv else len(argv)
    before = [f"{word}=true" if word in switches else word for word in argv[:end]]
    after = argv[end + 1 :]
    named = next((command for command in COMMANDS if command in before), None)
    parser = _parser(named)
    source = CliSettingsSource[ArgumentParser](
        settings,
        root_parser=parser,
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        add_argument_method=_adder(parser, helps),
        # One parser has all flags; the groups are made where the flags are added.
        add_argument_group_method=lambda root, **_: root,
    )
    _refuse_unknown(before, parser)
    # All flags are known by now, so what argparse does not know are the words between them.
    parsed, words = parser.parse_known_args(before)
    command, image_id = _command([*words, *after])
    options = _options(OPTIONS.get(named, {}) if named else {}, parsed)
    return CommandLine(command, image_id, options, source(parsed_args=parsed))


def _parser(command: Command | None) -> _Parser:
    """The parser without the settings' flags; with a command, its help is about that."""
    overview = "\n".join(
        f"  {_with_arguments(each):14} {meaning}" for each, meaning in COMMANDS.items()
    )
    words = _with_arguments(command) if command else "[COMMAND]"
    parser = _Parser(
        prog=PROGRAM,
        usage=f"%(prog)s {words} [FLAGS]",
        description=f"{COMMANDS[command]}\n{DETAILS[command]}"
        if command
        else f"{ABOUT}\n\ncommands:\n{overview}",
        epilog=None if command else EXAMPLES,
        formatter_class=partial(RawDescriptionHelpFormatter, max_help_position=32),
        allow_abbrev=False,
        add_help=False,
    )
    general = parser.add_argument_group("general flags")
    general.add_argument("-h", "--help", action="help", help="Show this help, or a command's.")
    general.add_argument(
        "--version", action="version", version=f"{PROGRAM} {__version__}", help="Show the version."
    )
    own = OPTIONS.get(command, {}) if command else {}
    if own:
        group = parser.add_argument_group(f"{command} flags")
        for key, option in own.items():
            group.add_argument(f"--{key}", metavar=option.metavar, help=option.help)
    return parser


def _options(known: Mapping[str, Option], parsed: Namespace) -> dict[str, str]:
    """What was given of a command's own flags, taken out of what was parsed."""
    given = {}
    for key, option in known.items():
        value = getattr(parsed, key)
        delattr(parsed, key)
        if value is None:
            continue
        if option.words and value not in option.words:
            accepted = ", ".join(option.words)
            raise UsageError(f"flag --{key}: {shown(value)} is not accepted; accepted: {accepted}")
        given[key] = value
    return given


def _adder(parser: ArgumentParser, helps: Mapping[str, str]) -> Callable[..., None]:
    """What pydantic-settings calls to add a flag: it goes in a group, with its help."""
    groups: dict[str, Any] = {}

    def add(_: ArgumentParser, *names: str, dest: str, **options: Any) -> None:
        # The clouds, and groups of settings as JSON, have no flag.
        if dest not in helps:
            return
        title = f"{dest.partition('.')[0]} flags" if "." in dest else "polling flags"
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        options["metavar"] = _METAVARS.get(dest, options["metavar"])
        options["help"] = helps[dest].replace("%", "%%")
        groups[title].add_argument(*names, dest=dest, **options)

    return add


def _refuse_unknown(words: Sequence[str], parser: _Parser) -> None:
    """Refuse flags that do not exist; what stands after them is not repeated."""
    known = parser._option_string_actions
    mistakes = []
    is_value = False
    for word in words:
        flag, equals, _ = word.partition("=")
        if is_value or word == "-" or not word.startswith("-"):
            is_value = False
        elif flag in known:
            is_value = not equals and known[flag].nargs != 0
        else:
            mistakes.append(_unknown(flag, known))
    if mistakes:
        raise UsageError(*mistakes)


def _unknown(flag: str, known: Iterable[str]) -> str:
    if secret := _SECRET.match(flag):
        return (
            f"flag {name(secret[0])} is refused, as anybody can read a command line: "
            "put a secret in clouds.yaml, or in the file that a cloud's token_file names"
        )
    if flag == "--clouds":
        return "flag --clouds is refused: list clouds in the settings file (--config.file)"
    for command, options in OPTIONS.items():
        if flag.removeprefix("--") in options:
            return f"flag {flag} is refused; accepted: only after the command {command}"
    # Cut before anything that may be a value: --flag:value, or -pvalue.
    cut = _FLAG.match(flag)
    near = did_you_mean(f"--{flag.lstrip('-')}", known, "--")
    return f"unknown flag {name(cut[0] if cut else flag[:2])}{near}"


def _command(words: Sequence[str]) -> tuple[Command, str | None]:
    if not words:
        return "run", None
    command = next((command for command in COMMANDS if command == words[0]), None)
    if command is None:
        accepted = ", ".join(map(_with_arguments, COMMANDS))
        raise UsageError(f"unknown command {shown(words[0])}; accepted: {accepted}")
    taken = 1 + len(ARGUMENTS.get(command, ()))
    if len(words) < taken:
        raise UsageError(f"{command} needs an argument: {PROGRAM} {_with_arguments(command)}")
    if len(words) > taken:
        raise UsageError(f"unexpected argument {shown(words[taken])} after {command}")
    return command, words[1] if taken > 1 else None


def _with_arguments(command: Command) -> str:
    return " ".join([command, *ARGUMENTS.get(command, ())])
