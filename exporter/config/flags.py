"""Command line: the command, and the flags as a source of settings.

pydantic-settings makes the flags from the fields of the settings. This module adds commands, help,
and errors that repeat no value, because it may be a password.
"""

import re
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Literal, NamedTuple, NoReturn

from pydantic_settings import BaseSettings, CliSettingsSource

from exporter import __version__
from exporter.config.messages import SettingsError, did_you_mean, name, shown
from exporter.redaction import NOT_SHOWN, looks_like_key

PROGRAM = "openstack-image-exporter"

Command = Literal["run", "check", "show", "list", "demo"]
COMMANDS: dict[Command, str] = {
    "run": "Poll the images and serve /metrics (default command).",
    "check": "Poll every image once and print expected and actual values.",
    "show": "Print all attributes of an image.",
    "list": "Print the visible images, as entries for images: in the settings.",
    "demo": "Run against two simulated clouds whose images change.",
}
DETAILS: dict[Command, str] = {
    "run": "Stops on SIGTERM and Ctrl-C.",
    "check": "Exits with 0 if all images are as expected, 1 if an image is not, is gone, or could\n"
    "not be polled, 2 if the settings are invalid. With --offline: 0 or 2.",
    "show": "Requests IMAGE_ID from every cloud in the settings.",
    "list": "Needs no images in the settings. Without clouds it signs in with the OS_* variables.\n"
    "Exits with 0, or with 1 if the images of a cloud could not be listed.",
    "demo": "Needs no settings file and no cloud: everything runs on this machine.",
}
"""More text for the help of a command."""
ARGUMENTS: dict[Command, tuple[str, ...]] = {"show": ("IMAGE_ID",)}
"""The positional arguments of the commands that have some."""


class Option(NamedTuple):
    """A flag of one command that is not a setting.

    If ``words`` is empty it accepts any value, and without a ``metavar`` it has no value.
    """

    metavar: str
    words: tuple[str, ...]
    help: str


OPTIONS: dict[Command, dict[str, Option]] = {
    "check": {
        "format": Option(
            "FORMAT", ("table", "json"), "Output format: table or json. [default: table]"
        ),
        "baseline": Option(
            "FILE",
            (),
            "Write the settings to this new file, expecting the current state.",
        ),
        "offline": Option(
            "",
            (),
            "Send no request: validate the settings, and the files that they name, only.",
        ),
    },
}
"""The flags of a single command, without their dashes."""

CONFIG_CHECK = "--config.check"
"""``check --offline``, as other exporters call it."""

ABOUT = "Watch OpenStack images and serve their state as Prometheus metrics."
EXAMPLES = f"""\
examples:
  {PROGRAM} demo
  {PROGRAM} check --config.file=exporter.yml
  {PROGRAM} --config.file=exporter.yml --interval=30s
"""

_FLAG = re.compile(r"--[A-Za-z0-9._-]*")
_SECRET = re.compile(r"--?.*?(token|passw(or)?d|passphrase|secret|credential|api.?key)", re.I)


class SettingHelp(NamedTuple):
    """Help of a setting: the text, and the placeholder of its value (empty: argparse's own)."""

    text: str
    metavar: str


class CommandLine(NamedTuple):
    """The command with its argument and its own options, and the source of settings."""

    command: Command
    image_id: str | None
    options: Mapping[str, str]
    source: CliSettingsSource[ArgumentParser]


class _Parser(ArgumentParser):
    """Parser that raises its errors instead of exiting."""

    def error(self, message: str) -> NoReturn:
        """Raise the error; all messages of argparse are about a flag."""
        raise SettingsError(message.replace("argument ", "flag ", 1))


def read(
    argv: Sequence[str],
    settings: type[BaseSettings],
    help_texts: Mapping[str, SettingHelp],
    switches: Collection[str] = (),
    lists: Collection[str] = (),
) -> CommandLine:
    """Read the arguments that follow the program's name.

    Args:
        argv: The arguments.
        settings: The class of the settings.
        help_texts: The help of every setting that has a flag, by key such as ``log.level``.
        switches: The flags that mean true if they have no value.
        lists: The flags that may be repeated.

    Raises:
        SettingsError: A flag or command is unknown, or a flag has no value, is repeated, or is a
            secret.
        SystemExit: With status 0, after help or version was printed.
    """
    # Words after a bare -- are not flags.
    end = argv.index("--") if "--" in argv else len(argv)
    before = [f"{word}=true" if word in switches else word for word in argv[:end]]
    after = argv[end + 1 :]
    is_config_check = CONFIG_CHECK in before
    if is_config_check:
        before = ["check", "--offline", *(word for word in before if word != CONFIG_CHECK)]
    help_command = next((command for command in COMMANDS if command in before), None)
    if is_config_check:
        help_command = "check"
    parser = _parser(help_command)
    source = CliSettingsSource[ArgumentParser](
        settings,
        root_parser=parser,
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        add_argument_method=_adder(parser, help_texts),
        # `_adder` makes the groups.
        add_argument_group_method=lambda root, **_: root,
    )
    _check_flags(before, parser, lists)
    # All flags are known here, so the unknown words are the command and its argument.
    parsed, words = parser.parse_known_args(before)
    # Replaced above; pydantic-settings would take it for a setting.
    del parsed.__dict__[CONFIG_CHECK.lstrip("-")]
    if is_config_check and words[1:2] in (["run"], ["check"]):
        del words[1]  # the command that the flag was given to
    command, image_id = _command([*words, *after])
    options = _options(OPTIONS.get(help_command, {}) if help_command else {}, parsed)
    return CommandLine(command, image_id, options, source(parsed_args=parsed))


def wants_offline_json(argv: Sequence[str]) -> bool:
    """Return True if errors in the settings are printed as JSON, also if they cannot be read."""
    is_json = "--format=json" in argv or ("--format", "json") in pairwise(argv)
    return is_json and not {"--offline", CONFIG_CHECK}.isdisjoint(argv)


def _parser(command: Command | None) -> _Parser:
    """Return a parser without the flags of the settings; its help is about the command."""
    overview = "\n".join(
        f"  {_with_arguments(name):14} {meaning}" for name, meaning in COMMANDS.items()
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
    general.add_argument(
        CONFIG_CHECK, action="store_true", help="Validate the settings and exit: check --offline."
    )
    options = OPTIONS.get(command, {}) if command else {}
    if options:
        group = parser.add_argument_group(f"{command} flags")
        for key, option in options.items():
            if option.metavar:
                group.add_argument(f"--{key}", metavar=option.metavar, help=option.help)
            else:
                group.add_argument(f"--{key}", action="store_const", const="true", help=option.help)
    return parser


def _options(options: Mapping[str, Option], parsed: Namespace) -> dict[str, str]:
    """Remove the command's own flags from the parsed arguments, and return their values."""
    values = {}
    for key, option in options.items():
        value = getattr(parsed, key)
        delattr(parsed, key)
        if value is None:
            continue
        if option.words and value not in option.words:
            accepted = ", ".join(option.words)
            problem = f"is not accepted; accepted: {accepted}"
            raise SettingsError(f"flag --{key}: {shown(value)} {problem}")
        values[key] = value
    return values


def _adder(parser: ArgumentParser, help_texts: Mapping[str, SettingHelp]) -> Callable[..., None]:
    """Return the function with which pydantic-settings adds a flag to its group."""
    groups: dict[str, Any] = {}

    def add(_: ArgumentParser, *names: str, dest: str, **options: Any) -> None:
        # Clouds, and whole groups of settings, have no flag.
        if dest not in help_texts:
            return
        title = f"{dest.partition('.')[0]} flags" if "." in dest else "polling flags"
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        setting = help_texts[dest]
        options["metavar"] = setting.metavar or options["metavar"]
        options["help"] = setting.text.replace("%", "%%")
        groups[title].add_argument(*names, dest=dest, **options)

    return add


def _check_flags(words: Sequence[str], parser: _Parser, lists: Collection[str]) -> None:
    """Reject unknown and repeated flags, without repeating their values."""
    flags = parser._option_string_actions
    seen = set[str]()
    errors = []
    is_value = False
    for word in words:
        flag, equals, _ = word.partition("=")
        if is_value or word == "-" or not word.startswith("-"):
            is_value = False
        elif flag in flags:
            has_value = flags[flag].nargs != 0
            is_value = has_value and not equals
            if flag in seen and has_value and flag not in lists:
                errors.append(f"flag {flag} is given twice; accepted: once")
            seen.add(flag)
        else:
            errors.append(_unknown(flag, flags))
    if errors:
        raise SettingsError(*errors)


def _unknown(flag: str, flags: Iterable[str]) -> str:
    if secret := _SECRET.match(flag):
        shown_name = NOT_SHOWN if looks_like_key(secret[0]) else name(secret[0])
        return (
            f"flag {shown_name} is refused, as anybody can read a command line: "
            "put a secret in clouds.yaml, or in the file that a cloud's token_file names"
        )
    if flag == "--clouds":
        return "flag --clouds is refused: list clouds in the settings file (--config.file)"
    for command, options in OPTIONS.items():
        if flag.removeprefix("--") in options:
            return f"flag {flag} is refused; accepted: only after the command {command}"
    if looks_like_key(flag):
        return f"unknown flag {NOT_SHOWN}"
    # Do not show a value, as in --flag:value or -pvalue.
    shown_flag = _FLAG.match(flag)
    near = did_you_mean(f"--{flag.lstrip('-')}", flags, "--")
    return f"unknown flag {name(shown_flag[0] if shown_flag else flag[:2])}{near}"


def _command(words: Sequence[str]) -> tuple[Command, str | None]:
    if not words:
        return "run", None
    command = next((command for command in COMMANDS if command == words[0]), None)
    if command is None:
        accepted = ", ".join(map(_with_arguments, COMMANDS))
        raise SettingsError(f"unknown command {shown(words[0])}; accepted: {accepted}")
    length = 1 + len(ARGUMENTS.get(command, ()))
    if len(words) < length:
        raise SettingsError(f"{command} needs an argument: {PROGRAM} {_with_arguments(command)}")
    if len(words) > length:
        raise SettingsError(f"unexpected argument {shown(words[length])} after {command}")
    return command, words[1] if length > 1 else None


def _with_arguments(command: Command) -> str:
    return " ".join([command, *ARGUMENTS.get(command, ())])
