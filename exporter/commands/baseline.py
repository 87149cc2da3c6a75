"""``check --baseline FILE``: write settings that expect every image to be as it is now."""

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError
from rich.console import Console

from exporter.app import Application
from exporter.commands import Exit
from exporter.commands.check import poll_report
from exporter.commands.output import Report, print_line, print_tables
from exporter.config import Expect, Settings, SettingsError
from exporter.config.expect import merged
from exporter.config.messages import file_name
from exporter.config.yaml_reader import UnreadableError, read_text
from exporter.model.expectations.checks import EXISTS, evaluate
from exporter.model.expectations.suggest import suggest_expectations
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.status import ImageStatus
from exporter.model.target import TargetKey

if TYPE_CHECKING:
    from exporter.commands.round_trip import Edited

_TOKEN = re.compile(r"\btoken['\"]?\s*:", re.IGNORECASE)
"""A token in the settings file, also in a comment."""


class _BaselineImage(NamedTuple):
    """An image of the settings file, and the changes to its ``expect``."""

    position: tuple[int, int]
    status: ImageStatus
    changes: Mapping[str, object]


def read_source(file: Path, settings: Settings, *, clouds_elsewhere: bool) -> str:
    """Return the text of the settings file from which a baseline is written to ``file``.

    Args:
        file: The new file.
        settings: The settings in use.
        clouds_elsewhere: The clouds are not in the settings file, but in the environment.

    Raises:
        SettingsError: A baseline cannot be written. No request has been sent.
    """
    source = settings.config.file
    if source is None or clouds_elsewhere:
        raise SettingsError(
            "check --baseline: needs the clouds in a settings file, named by --config.file"
        )
    shown = file_name(str(file))
    if os.path.lexists(file):
        raise SettingsError(f"{shown}: exists already and is not overwritten")
    # Unlike Path.is_dir(), this does not fail for a folder that may not be entered.
    if not os.path.isdir(file.parent):
        raise SettingsError(f"{shown}: cannot be written: its folder is not a directory")
    is_beside = source.parent.resolve() == file.parent.resolve()
    for cloud in settings.clouds if not is_beside else ():
        if cloud.token_file is not None and not cloud.token_file.is_absolute():
            raise SettingsError(
                f"{shown}: token_file of cloud {cloud.name!r} is relative to the directory of "
                f"{source}; write the baseline there"
            )
    try:
        return read_text(source)
    except UnreadableError as error:
        raise SettingsError(f"{source}: {error}") from None


def write_baseline(
    application: Application,
    out: Console,
    err: Console,
    *,
    settings: Settings,
    source_text: str,
    file: Path,
) -> int:
    """Poll every image once and write settings to ``file`` that expect the current state.

    Args:
        application: The application whose pollers are run.
        out: Console for remarks.
        err: Console for progress and errors.
        settings: The settings in use.
        source_text: The settings file as read before the poll, so that a later edit of it is not
            combined with older results.
        file: The new file.

    Returns:
        0 if ``check`` with the new file would find every image as expected; 1 if it would not, or
        if no file was written because a poll or a discovery failed.

    Raises:
        SettingsError: The file cannot be written.
    """
    report = poll_report(application, err)
    if not _is_complete(application, report):
        print_tables(report, out)
        print_line(
            err, f"{file_name(str(file))}: not written, because a poll or a discovery failed"
        )
        return Exit.NOT_AS_EXPECTED
    images = list(_baseline_images(settings, report))
    edited = _edited(source_text, images)
    source = Path(str(settings.config.file))
    has_token = any(cloud.token for cloud in settings.clouds) or bool(_TOKEN.search(source_text))
    create_file(file, edited.text, source.stat(), is_secret=has_token)
    for line in (*_remarks(images), *_losses(edited, file, source)):
        print_line(out, line)
    changed = sum(bool(image.changes) for image in images)
    print_line(out, f"{file}: written; images: {len(images)}, changed: {changed}")
    configured = {image.status.target.key for image in images}
    discovered = [image for image in report.images if image.status.target.key not in configured]
    wrong = sum(not image.is_as_expected for image in discovered)
    if discovered:
        counts = f"{len(discovered)}, not as expected: {wrong}"
        print_line(out, f"discovered images, not in the file: {counts}")
    for problem in report.problems:
        print_line(out, problem)
    return Exit.NOT_AS_EXPECTED if wrong or report.problems else Exit.OK


def _is_complete(application: Application, report: Report) -> bool:
    """Return true if every poll and every discovery was successful."""
    discoveries = [poller.discovery for poller in application.pollers]
    return all(discovery is None or not discovery.failure for discovery in discoveries) and all(
        image.status.observation.poll_success for image in report.images
    )


def _baseline_images(settings: Settings, report: Report) -> Iterator[_BaselineImage]:
    """Yield every image that the settings file lists."""
    statuses = {image.status.target.key: image.status for image in report.images}
    for cloud_index, cloud in enumerate(settings.clouds):
        for index, image in enumerate(cloud.images):
            status = statuses[TargetKey(cloud.name, image.id)]
            own = frozenset(key for key, value in image.expect.written.items() if value is not None)
            changes = _changes(status, own, report.now)
            yield _BaselineImage((cloud_index, index), status, changes)


def _changes(status: ImageStatus, own: frozenset[str], moment: Instant) -> dict[str, object]:
    """Return the changes to the ``expect`` of an image, whose own keys are ``own``."""
    target, observation = status.target, status.observation
    properties = observation.image.properties if observation.image else ()
    return suggest_expectations(
        target.expect,
        own,
        {name for name, _ in target.select_properties(properties)},
        observation=observation,
        now=moment,
        is_met=_holds(observation, moment),
    )


def _holds(observation: Observation, moment: Instant) -> Callable[[str, object], bool]:
    """Return a function that checks if settings accept an expectation and the image meets it."""

    def holds(key: str, value: object) -> bool:
        try:
            expect = merged(Expect.model_validate({key: value}))
        except ValidationError:
            return False
        return bool(expect) and all(result.met for result in evaluate(expect, observation, moment))

    return holds


def _remarks(images: Iterable[_BaselineImage]) -> Iterator[str]:
    """Yield a line for every expectation that the baseline replaces because it is not met."""
    for image in images:
        target = image.status.target
        name = f"{target.cloud}: {target.alias}"
        if not image.status.observation.exists:
            if dict(target.expect).get(EXISTS, True):
                yield f"{name}: is gone, and is expected to be gone from now on"
            continue
        for result in image.status.check_results:
            if not result.met:
                is_lifted = image.changes.get(result.expectation) is None
                new = "is no longer expected" if is_lifted else "the current value is expected"
                yield f"{name}: {result.expectation} is not met; {new}"


def _edited(source_text: str, images: Iterable[_BaselineImage]) -> "Edited":
    """Return the settings with the changed expectations."""
    # Other commands must start quickly, and need no ruamel.yaml.
    from exporter.commands.round_trip import with_expectations  # noqa: PLC0415

    changes = {image.position: image.changes for image in images if image.changes}
    return with_expectations(source_text, changes)


def _losses(edited: "Edited", file: Path, source: Path) -> Iterator[str]:
    """Yield a line for each part of the settings file that is missing or changed in the new one."""
    if edited.is_rewritten:
        yield f"{file}: rewritten without the comments, quotes, anchors and merge keys of {source}"
    if edited.lost_comments:
        yield f"{file}: lost comments of {source}: {edited.lost_comments}"
    if edited.is_reformatted:
        yield f"{file}: line breaks and spaces differ from {source}"


def create_file(file: Path, text: str, source: os.stat_result, *, is_secret: bool) -> None:
    """Write a new file that grants at most the access of the file with the status ``source``.

    A file with a secret is readable for its owner alone.

    Raises:
        SettingsError: The file exists or cannot be written; no part of it is left behind.
    """
    mode = 0o600 if is_secret else stat.S_IMODE(source.st_mode) & 0o666
    created = None
    try:
        with open(file, "x", encoding="utf-8", newline="", opener=_opener(mode)) as new:
            created = os.fstat(new.fileno())
            if created.st_gid != source.st_gid:
                os.fchmod(new.fileno(), stat.S_IMODE(created.st_mode) & ~0o070)
            new.write(text)
    except OSError as error:
        if created is not None:
            # Half a file would stop the next attempt.
            file.unlink(missing_ok=True)
        shown = file_name(str(file))
        raise SettingsError(f"{shown}: cannot be written: {error.strerror}") from None


def _opener(mode: int) -> Callable[[str, int], int]:
    return lambda name, flags: os.open(name, flags, mode)
