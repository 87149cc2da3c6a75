"""``check --offline``: validate the settings and the files that they name, without a request."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from exporter.app import build_application
from exporter.auth.base import CloudConfigError
from exporter.commands import Exit
from exporter.config import (
    ResolvedCloud,
    Settings,
    SettingsError,
    resolved_clouds,
    resolved_selection,
    resolved_shard,
)
from exporter.metrics.selection.alert_rules import affected_alerts
from exporter.state.file import StateFileError, check_state_file
from exporter.text import escape
from exporter.web.server.listen import parse_listen_address
from exporter.web_security import load_security

Redact = Callable[[str], object]
"""Called with each secret in a file, which must not be logged."""


def check_offline(
    settings: Settings, out: TextIO, err: TextIO, redact: Redact, *, as_json: bool = False
) -> int:
    """Print the errors in all files that the settings name; return 0 without an error, or 2.

    Alert rules that lack an excluded metric are warnings.
    """
    warnings = tuple(map(str, affected_alerts(resolved_selection(settings))))
    clouds = resolved_clouds(settings)
    errors = (
        *_web_errors(settings, redact),
        *_state_errors(settings),
        *_cloud_errors(clouds, settings),
    )
    if as_json:
        print_errors_as_json(errors, out, clouds, warnings)
    elif errors:
        err.writelines(f"{escape(error)}\n" for error in errors)
    else:
        out.write(f"the settings are valid; {_summary(clouds)}\n")
        out.writelines(f"{warning}\n" for warning in warnings)
    return Exit.BAD_SETTINGS if errors else Exit.OK


def print_errors_as_json(
    errors: Sequence[str],
    out: TextIO,
    clouds: Sequence[ResolvedCloud] = (),
    warnings: Sequence[str] = (),
) -> None:
    """Print the document of ``--format=json``; ``clouds`` are those that could be read."""
    document = {
        "valid": not errors,
        "errors": list(errors),
        "warnings": list(warnings),
        "clouds": [
            {"cloud": cloud.name, "images": len(cloud.images), "rules": len(cloud.discover)}
            for cloud in clouds
        ],
    }
    out.write(f"{json.dumps(document, indent=2)}\n")


def _summary(clouds: Sequence[ResolvedCloud]) -> str:
    images = sum(len(cloud.images) for cloud in clouds)
    rules = sum(len(cloud.discover) for cloud in clouds)
    return f"clouds: {len(clouds)}, images: {images}, discovery rules: {rules}"


def _web_errors(settings: Settings, redact: Redact) -> Iterator[str]:
    for address in settings.web.listen_address:
        try:
            parse_listen_address(address)
        except ValueError as error:
            yield str(error)
    try:
        load_security(settings.web.config.file, redact)
    except SettingsError as error:
        yield from error.lines


def _state_errors(settings: Settings) -> Iterator[str]:
    try:
        check_state_file(settings.state.file)
    except StateFileError as error:
        yield str(error)


def _cloud_errors(clouds: Sequence[ResolvedCloud], settings: Settings) -> Iterator[str]:
    """Yield an error for each cloud whose sign-in cannot work as configured."""
    shard = resolved_shard(settings)
    try:
        # Clouds that are built together read each file once.
        build_application(clouds, shard=shard).close()
    except CloudConfigError:
        for cloud in clouds:
            try:
                build_application([cloud], shard=shard).close()
            except CloudConfigError as error:
                yield str(error)
