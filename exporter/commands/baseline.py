"""``check --baseline FILE``: the settings, with what is now as what is expected."""

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from exporter.app import Application
from exporter.clock import now
from exporter.commands import Exit
from exporter.commands.check import is_right, poll_all, print_tables, undiscovered
from exporter.config import Expect, Settings, SettingsError
from exporter.config.editing import with_expectations
from exporter.config.expect import merged
from exporter.model.expectations.checks import as_expected, evaluate
from exporter.model.expectations.suggest import suggest_expectations
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.target import Target, TargetKey
from exporter.text import escape

_TOKEN = re.compile(r"\btoken['\"]?\s*:", re.IGNORECASE)
"""A token in the file, or one that a comment has kept."""

Row = tuple[Target, Observation]


def source_text(file: Path, settings: Settings, *, clouds_elsewhere: bool) -> str:
    """The text of the settings file that a baseline in ``file`` would be like.

    ``clouds_elsewhere`` says that the clouds do not stand in that file. Raises ``SettingsError``
    where no baseline can be written, before anything is asked.
    """
    source = settings.config.file
    if source is None or clouds_elsewhere:
        raise SettingsError(
            "check --baseline: needs the clouds in a settings file, named by --config.file"
        )
    if os.path.lexists(file):
        raise SettingsError(f"{file}: is there already, and is not overwritten")
    if not file.parent.is_dir():
        raise SettingsError(f"{file}: cannot be written: {file.parent} is no directory")
    is_beside = source.parent.resolve() == file.parent.resolve()
    for cloud in settings.clouds if not is_beside else ():
        if cloud.token_file is not None and not cloud.token_file.is_absolute():
            raise SettingsError(
                f"{file}: token_file of cloud {cloud.name!r} is relative to the directory of "
                f"{source}; write the baseline there"
            )
    try:
        return source.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{source}: cannot be read any more") from None


def adopt(
    parts: Application, out: Console, err: Console, *, settings: Settings, text: str, file: Path
) -> int:
    """Polls every image once and writes settings that expect what is now to ``file``.

    ``text`` is that of the settings, from before the poll: whoever edits it meanwhile is not
    mixed up with what was polled. 0 when ``check`` finds all as expected with them; 1 when it
    would not, or when nothing was written since not all is known. Raises ``SettingsError``.
    """
    poll_all(parts.pollers, err)
    moment = now()
    rows = list(parts.store.observations())
    problems = [line for poller in parts.pollers for line in undiscovered(poller)]
    found_all = all(each.discovery is None or not each.discovery.failure for each in parts.pollers)
    if not found_all or not all(seen.poll_success for _, seen in rows):
        print_tables(rows, problems, parts.shard, out, moment)
        _say(err, f"{file}: not written, since not all could be asked about")
        return Exit.NOT_AS_EXPECTED
    known = {target.key: (target, seen) for target, seen in rows}
    source = Path(str(settings.config.file))
    listed = {
        key: (place, _changes(known[key], own, moment)) for place, key, own in _listed(settings)
    }
    edited = with_expectations(text, {place: each for place, each in listed.values() if each})
    has_token = any(cloud.token for cloud in settings.clouds) or bool(_TOKEN.search(text))
    create(file, edited.text, source.stat(), is_secret=has_token)
    for line in _remarks(known, {key: each for key, (_, each) in listed.items()}, moment):
        _say(out, line)
    if not edited.is_faithful:
        _say(out, f"{file}: without the comments and aliases of {source}, which could not be kept")
    changed = sum(bool(each) for _, each in listed.values())
    _say(out, f"{file}: written; images: {len(listed)}, changed: {changed}")
    found = [row for row in rows if row[0].key not in listed]
    wrong = sum(not is_right(*row, moment) for row in found)
    if found:
        _say(out, f"discovered, and not in it: {len(found)}, not as expected: {wrong}")
    for line in problems:
        _say(out, line)
    return Exit.NOT_AS_EXPECTED if wrong or problems else Exit.OK


def _listed(settings: Settings) -> Iterator[tuple[tuple[int, int], TargetKey, frozenset[str]]]:
    """Each image on a list: its place in the file, its key, and the keys of its own expect."""
    for cloud_place, cloud in enumerate(settings.clouds):
        for place, image in enumerate(cloud.images):
            own = frozenset(key for key, value in image.expect.given.items() if value is not None)
            yield (cloud_place, place), TargetKey(cloud.name, image.id), own


def _changes(row: Row, own: frozenset[str], moment: Instant) -> dict[str, object]:
    target, seen = row
    shown = (
        {name for name, _ in target.select_properties(seen.image.properties)}
        if seen.image
        else set()
    )
    return suggest_expectations(
        target.expect, own, shown, observation=seen, now=moment, is_met=_holds(seen, moment)
    )


def _holds(seen: Observation, moment: Instant) -> Callable[[str, object], bool]:
    def holds(key: str, value: object) -> bool:
        try:
            expect = merged(Expect.model_validate({key: value}))
        except ValidationError:
            return False
        return bool(expect) and all(each.met for each in evaluate(expect, seen, moment))

    return holds


def _remarks(
    known: Mapping[TargetKey, Row],
    listed: Mapping[TargetKey, Mapping[str, object]],
    moment: Instant,
) -> Iterator[str]:
    """What somebody should know before taking what is for what should be."""
    for key, changes in listed.items():
        target, seen = known[key]
        about = f"{target.cloud}: {target.alias}"
        if not seen.exists and not as_expected(target.expect, seen, moment):
            yield f"{about}: is gone, and expected to be from now on"
        for each in evaluate(target.expect, seen, moment) if seen.exists else ():
            if not each.met:
                new = "nothing" if changes.get(each.expectation) is None else "what is now"
                yield f"{about}: {each.expectation} is not met, so {new} is expected instead"


def create(file: Path, text: str, like: os.stat_result, *, is_secret: bool) -> None:
    """Writes a file that nobody can read who could not read the one it is ``like``.

    One with a secret is its owner's alone. Raises ``SettingsError``, also where it is there.
    """
    mode = 0o600 if is_secret else stat.S_IMODE(like.st_mode) & 0o666
    made = None
    try:
        with open(file, "x", encoding="utf-8", newline="", opener=_opener(mode)) as new:
            made = os.fstat(new.fileno())
            if made.st_gid != like.st_gid:
                os.fchmod(new.fileno(), stat.S_IMODE(made.st_mode) & ~0o070)
            new.write(text)
    except OSError as error:
        if made is not None:
            # Half of it would be in the way of the next attempt.
            file.unlink(missing_ok=True)
        raise SettingsError(f"{file}: cannot be written: {error.strerror}") from None


def _opener(mode: int) -> Callable[[str, int], int]:
    return lambda name, flags: os.open(name, flags, mode)


def _say(console: Console, line: str) -> None:
    console.print(Text(escape(line)), soft_wrap=True)
