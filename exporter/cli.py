"""The command line: settings in, a command carried out, an exit status out."""

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from exporter.commands.show import show
from exporter.config import (
    Cloud,
    Invocation,
    ResolvedCloud,
    ResolvedImage,
    Settings,
    SettingsError,
    parse,
    resolved_clouds,
    resolved_shard,
)
from exporter.config.sources import ENVIRONMENT_PREFIX
from exporter.daemon import run
from exporter.model.sharding import UNSHARDED, Shard
from exporter.redaction import Redactor
from exporter.reload import error_lines
from exporter.text import escape
from exporter.web.server.listen import ListenError
from exporter.web_security import load_security

PROBLEMS = (SettingsError, CloudConfigError, ListenError)
"""What is the operator's to mend: shown in a line, without a traceback."""

ONE_SHOT = frozenset({"check", "show", "list"})
"""Commands whose output says what the log would; unless asked, they log only errors."""

SECRETS = Redactor()
"""What no line of the log may show."""

UNBOUNDED = 1_000_000
"""Columns of what is no terminal: nothing there has to be folded."""


def main(argv: Sequence[str] | None = None) -> int:
    """Carries out what the arguments ask for and returns the exit status.

    0 is success, 1 that something is not as expected (``check``, ``show``, ``list``), 2 a mistake
    in the settings or in what they name, 130 that Ctrl-C ended it before the end.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names hold any Unicode, and the terminal's encoding may not.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        invocation = parse(sys.argv[1:] if argv is None else argv, os.environ)
        _hide_secrets(invocation.settings)
        _configure_logs(invocation)
        return COMMANDS[invocation.command](invocation)
    except PROBLEMS as error:
        for line in error_lines(error):
            sys.stderr.write(f"{escape(line)}\n")
        return Exit.BAD_SETTINGS
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def _configure_logs(invocation: Invocation) -> None:
    settings = invocation.settings.log
    quiet = invocation.command in ONE_SHOT and "level" not in settings.model_fields_set
    logs.configure("error" if quiet else settings.level, settings.format, sys.stderr, SECRETS)


def _hide_secrets(settings: Settings) -> None:
    """Keeps the settings' secrets out of the log, those of earlier settings included."""
    for plan in resolved_clouds(settings):
        if plan.token is not None:
            SECRETS.add(plan.token.get_secret_value())


def _run(invocation: Invocation) -> int:
    def read() -> Settings:
        settings = parse(invocation.argv, os.environ).settings
        _hide_secrets(settings)
        return settings

    def use(settings: Settings) -> None:
        _configure_logs(replace(invocation, settings=settings))

    run(invocation.settings, read, use, SECRETS)
    return Exit.OK


def _demo(invocation: Invocation) -> int:
    def say(line: str) -> None:
        try:
            sys.stdout.write(f"demo: {line}\n")
            sys.stdout.flush()
        except OSError:
            # Who read along has left; the pages are still served, and the story still goes on.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    return demo(invocation.settings, say, SECRETS.add)


def _check(invocation: Invocation) -> int:
    settings = invocation.settings
    load_security(settings.web.config.file, SECRETS.add)
    if invocation.options.keys() >= {"format", "baseline"}:
        raise SettingsError("check: --format and --baseline exclude each other")
    if "baseline" in invocation.options:
        file = Path(invocation.options["baseline"])
        in_variable = bool(os.environ.get(f"{ENVIRONMENT_PREFIX}CLOUDS"))
        text = read_source(file, settings, clouds_elsewhere=in_variable)
        # The file is for all shards.
        return _once(
            partial(write_baseline, settings=settings, source_text=text, file=file),
            resolved_clouds(settings),
        )
    output: Format = "json" if invocation.options.get("format") == "json" else "table"
    return _once(
        partial(check, output_format=output), resolved_clouds(settings), resolved_shard(settings)
    )


def _show(invocation: Invocation) -> int:
    return _once(show, list(_asked(str(invocation.image_id), resolved_clouds(invocation.settings))))


def _list(invocation: Invocation) -> int:
    settings = invocation.settings
    if not settings.clouds:
        settings = settings.model_copy(update={"clouds": (Cloud(name="openstack"),)})
    # What is watched does not matter, and so nothing is.
    return _once(list_images, [replace(plan, discover=()) for plan in resolved_clouds(settings)])


def _asked(name: str, plans: Iterable[ResolvedCloud]) -> Iterator[ResolvedCloud]:
    """The clouds with only the images of this ID or alias; an unknown ID is asked of them all."""
    having = [
        replace(
            plan,
            images=tuple(each for each in plan.images if _is(each, name)),
            discover=tuple(each for each in plan.discover if each.alias == name),
        )
        for plan in plans
    ]
    known = [plan for plan in having if plan.images or plan.discover]
    yield from known or (replace(plan, images=(ResolvedImage(name, name),)) for plan in having)


def _is(image: ResolvedImage, name: str) -> bool:
    return name in {image.image_id, image.alias}


def _once(
    command: Callable[[Application, Console, Console], int],
    plans: Sequence[ResolvedCloud],
    shard: Shard = UNSHARDED,
) -> int:
    parts = build_application(plans, shard=shard, all_properties=True)
    try:
        return command(parts, _console(sys.stdout), _console(sys.stderr))
    finally:
        parts.close()


def _console(stream: TextIO) -> Console:
    """A console that folds lines and moves the cursor only where a person looks on."""
    is_terminal = stream.isatty()
    width = None if is_terminal else UNBOUNDED
    return Console(file=stream, width=width, force_interactive=is_terminal)


COMMANDS: dict[str, Callable[[Invocation], int]] = {
    "run": _run,
    "check": _check,
    "show": _show,
    "list": _list,
    "demo": _demo,
}
