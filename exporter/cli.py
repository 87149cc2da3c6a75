"""Command line of the exporter: read the settings, run a command, return its exit status."""

import io
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TextIO

from rich.console import Console

from exporter import logs
from exporter.app import Application, build_application
from exporter.auth.base import CloudConfigError
from exporter.commands import Exit
from exporter.commands.baseline import read_source, write_baseline
from exporter.commands.check import Format, check
from exporter.commands.demo import demo
from exporter.commands.list_images import list_images
from exporter.commands.offline import check_offline, print_errors_as_json
from exporter.commands.show import show
from exporter.config import (
    Cloud,
    Invocation,
    ResolvedCloud,
    ResolvedImage,
    Settings,
    SettingsError,
    describe,
    fixed_settings,
    parse,
    resolved_clouds,
    resolved_selection,
    resolved_shard,
)
from exporter.config.flags import wants_offline_json
from exporter.config.sources import ENVIRONMENT_PREFIX, ConfigSource
from exporter.daemon import run
from exporter.model.sharding import UNSHARDED, Shard
from exporter.redaction import NOT_SHOWN, Redactor, looks_secret, redact
from exporter.reload import error_lines
from exporter.state.file import StateFileError, check_state_file
from exporter.text import escape
from exporter.web.server.listen import ListenError
from exporter.web_security import load_security

OPERATOR_ERRORS = (SettingsError, CloudConfigError, ListenError, StateFileError)
"""Errors that the operator can fix. They are printed without a traceback."""

ONE_SHOT_COMMANDS = frozenset({"check", "show", "list"})
"""Commands that print their results. By default they log errors only."""

REDACTOR = Redactor()
"""Secrets that the log must not contain."""

NO_FOLDING_WIDTH = 1_000_000
"""Console width when stdout is not a terminal, so that lines never wrap."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name, and return its exit status.

    Returns:
        0 for success; 1 if something is not as expected (``check``, ``show``, ``list``); 2 for
        an error in the settings or in a file that they name; 130 after Ctrl-C.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names hold any Unicode character, and the terminal's encoding may lack it.
        sys.stdout.reconfigure(errors="backslashreplace")
    argv = sys.argv[1:] if argv is None else argv
    try:
        invocation = parse(argv, os.environ)
        _redact_tokens(invocation.settings)
        _configure_logs(invocation)
        return COMMANDS[invocation.command](invocation)
    except OPERATOR_ERRORS as error:
        if wants_offline_json(argv):
            print_errors_as_json(error_lines(error), sys.stdout)
            return Exit.BAD_SETTINGS
        for line in error_lines(error):
            sys.stderr.write(f"{escape(line)}\n")
        return Exit.BAD_SETTINGS
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def _configure_logs(invocation: Invocation) -> None:
    settings = invocation.settings.log
    is_quiet = invocation.command in ONE_SHOT_COMMANDS and "level" not in settings.model_fields_set
    level: logs.Level = settings.level
    if is_quiet:
        level = "warning" if "offline" in invocation.options else "error"
    logs.configure(level, settings.format, sys.stderr, REDACTOR)


def _redact_tokens(settings: Settings) -> None:
    """Redact the tokens of the settings in the log. Tokens of earlier settings stay redacted."""
    for cloud in settings.clouds:
        if cloud.token is not None:
            REDACTOR.add(cloud.token.get_secret_value())


class LiveConfig:
    """The configuration of the running daemon, which reloads replace.

    The reloader loads and uses one configuration at a time.
    """

    def __init__(self, invocation: Invocation) -> None:
        self._in_force = self._loaded = invocation
        self._fixed = fixed_settings(invocation.settings, invocation.sources)

    def load(self) -> Settings:
        """Read the settings again, without using them."""
        self._loaded = parse(self._in_force.argv, os.environ)
        _redact_tokens(self._loaded.settings)
        return self._loaded.settings

    def use(self, _: Settings) -> None:
        """Take note that the settings that were loaded last are in use."""
        self._in_force = self._loaded
        _configure_logs(self._in_force)

    def text(self) -> str:
        """Return the settings in use, with their sources and without secrets."""
        invocation = self._in_force  # another thread may replace it
        text = describe(invocation.settings, invocation.sources, self._fixed)
        return REDACTOR.redact(redact(text))


def _run(invocation: Invocation) -> int:
    live = LiveConfig(invocation)
    run(invocation.settings, live.load, live.use, REDACTOR, live.text)
    return Exit.OK


def _demo(invocation: Invocation) -> int:
    def describe(settings: Settings, added: ConfigSource) -> str:
        sources = (added, *invocation.sources)
        return LiveConfig(replace(invocation, settings=settings, sources=sources)).text()

    return demo(invocation.settings, _print_demo_line, REDACTOR.add, describe)


def _print_demo_line(line: str) -> None:
    try:
        sys.stdout.write(f"demo: {line}\n")
        sys.stdout.flush()
    except OSError:
        # stdout was closed (for example by `| head`); keep serving.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check(invocation: Invocation) -> int:
    settings, options = invocation.settings, invocation.options
    as_json = options.get("format") == "json"
    if "offline" in options:
        if "baseline" in options:
            raise SettingsError("check: --offline and --baseline exclude each other")
        return check_offline(settings, sys.stdout, sys.stderr, REDACTOR.add, as_json=as_json)
    # Mistakes in what only the daemon uses are reported as well.
    load_security(settings.web.config.file, REDACTOR.add)
    check_state_file(settings.state.file)
    if "baseline" in options:
        if "format" in options:
            raise SettingsError("check: --format and --baseline exclude each other")
        return _baseline(settings, Path(options["baseline"]))
    output_format: Format = "json" if as_json else "table"
    selection = resolved_selection(settings)
    command = partial(check, output_format=output_format, selection=selection)
    return _run_once(command, resolved_clouds(settings), resolved_shard(settings))


def _baseline(settings: Settings, file: Path) -> int:
    clouds_elsewhere = bool(os.environ.get(f"{ENVIRONMENT_PREFIX}CLOUDS"))
    source_text = read_source(file, settings, clouds_elsewhere=clouds_elsewhere)
    command = partial(write_baseline, settings=settings, source_text=source_text, file=file)
    # All shards share the file, so the images of all of them are polled.
    return _run_once(command, resolved_clouds(settings))


def _show(invocation: Invocation) -> int:
    clouds = resolved_clouds(invocation.settings)
    return _run_once(show, _select_image(str(invocation.image_id), clouds))


def _list(invocation: Invocation) -> int:
    settings = invocation.settings
    if not settings.clouds:
        settings = settings.model_copy(update={"clouds": (Cloud(name="openstack"),)})
    # `list` ignores configured images and discovery rules.
    clouds = [replace(cloud, discover=()) for cloud in resolved_clouds(settings)]
    return _run_once(list_images, clouds)


def _select_image(name: str, clouds: Sequence[ResolvedCloud]) -> list[ResolvedCloud]:
    """Return the clouds that have an image of this ID or alias, with no other image.

    An ID that no cloud has in its settings is looked up in every cloud.

    Raises:
        SettingsError: It is in no settings, and may be a secret.
    """
    selected = [
        replace(
            cloud,
            images=tuple(image for image in cloud.images if name in {image.image_id, image.alias}),
            discover=tuple(rule for rule in cloud.discover if rule.alias == name),
        )
        for cloud in clouds
    ]
    having = [cloud for cloud in selected if cloud.images or cloud.discover]
    if not having and looks_secret(name):
        # It would be part of a URL, and of the log of the Image service.
        raise SettingsError(f"show: IMAGE_ID {NOT_SHOWN} is not requested; accepted: an image ID")
    return having or [replace(cloud, images=(ResolvedImage(name, name),)) for cloud in selected]


def _run_once(
    command: Callable[[Application, Console, Console], int],
    clouds: Sequence[ResolvedCloud],
    shard: Shard = UNSHARDED,
) -> int:
    """Run a command on an application that polls these clouds, and close the application."""
    application = build_application(clouds, shard=shard, all_properties=True)
    try:
        return command(application, _console(sys.stdout), _console(sys.stderr))
    finally:
        application.close()


def _console(stream: TextIO) -> Console:
    """Return a console that folds lines and moves the cursor on a terminal only."""
    is_terminal = stream.isatty()
    width = None if is_terminal else NO_FOLDING_WIDTH
    return Console(file=stream, width=width, force_interactive=is_terminal)


COMMANDS: dict[str, Callable[[Invocation], int]] = {
    "run": _run,
    "check": _check,
    "show": _show,
    "list": _list,
    "demo": _demo,
}
