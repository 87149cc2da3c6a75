"""One poll of every image, with progress, what was expected and is, and a status."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from exporter.app import Application
from exporter.clock import now
from exporter.commands import Exit
from exporter.commands.expectations_table import expectations_table
from exporter.commands.output import report
from exporter.model.expectations.checks import as_expected, evaluate
from exporter.model.image import Image
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.sharding import Shard
from exporter.model.status import severity, state_of
from exporter.model.target import Target
from exporter.polling.engine.types import PollResult
from exporter.polling.poller import Poller
from exporter.text import escape

Format = Literal["table", "json"]
"""How ``check`` says what it found."""

STYLES = {"good": "green", "bad": "red", "unknown": "yellow"}
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")

WIDE = 120
"""Columns from which on a terminal gets more than the essential ones."""

ESSENTIAL = frozenset({"CLOUD", "IMAGE", "ID", "STATE", "WHY"})
LONG = frozenset({"IMAGE", "NAME", "WHY"})


def check(parts: Application, out: Console, err: Console, output: Format = "table") -> int:
    """Polls every image once and shows what came of it; 0 when all are as expected."""
    poll_all(parts.pollers, err)
    moment = now()
    rows = list(parts.store.observations())
    judged = [(target, seen, is_right(target, seen, moment)) for target, seen in rows]
    problems = [line for poller in parts.pollers for line in undiscovered(poller)]
    if output == "json":
        # Not by the console, which would fold it.
        out.file.write(f"{report(judged, problems, moment)}\n")
    else:
        print_tables(rows, problems, parts.shard, out, moment)
    wrong = problems or not all(each for *_, each in judged)
    return Exit.NOT_AS_EXPECTED if wrong else Exit.OK


def print_tables(
    rows: Sequence[tuple[Target, Observation]],
    problems: Sequence[str],
    shard: Shard,
    out: Console,
    moment: Instant,
) -> None:
    """The images, then what was expected of them and is, then what it comes to."""
    out.print(_table(rows, out.width, moment))
    found = expectations_table(rows, moment)
    if found.row_count:
        out.print()
        out.print(found)
        out.print()
    wrong = sum(not is_right(target, seen, moment) for target, seen in rows)
    of = f" (shard {shard.index} of {shard.total})" if shard.total > 1 else ""
    out.print(f"images: {len(rows)}, not as expected: {wrong}{of}")
    for line in problems:
        out.print(Text(escape(line)), soft_wrap=True)


def poll_all(pollers: Sequence[Poller], err: Console) -> None:
    """One cycle of each cloud, all at the same time, with a progress bar on a terminal."""
    name = TextColumn("{task.description}", markup=False)
    columns = (name, BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=err, transient=True, disable=not err.is_interactive
    ) as progress:
        threads = []
        for poller in pollers:
            task = progress.add_task(escape(poller.cloud), total=len(poller.targets))
            threads.append(
                threading.Thread(target=_cycle, args=(poller, progress, task), daemon=True)
            )
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _cycle(poller: Poller, progress: Progress, task: TaskID) -> None:
    def count(_: PollResult, left: int) -> None:
        total = len(poller.targets)
        progress.update(task, completed=total - left, total=total)

    poller.run_cycle(count)


def undiscovered(poller: Poller) -> Iterator[str]:
    """What is wrong with the discovery of a cloud, in words."""
    found = poller.discovery
    if found is None:
        return
    if found.failure is not None:
        failure = found.failure
        yield f"{poller.cloud}: discovery failed: {failure.reason}: {failure.detail}"
    else:
        for alias in found.unresolved:
            yield f"{poller.cloud}: there is no image for the alias {alias}"


def is_right(target: Target, seen: Observation, moment: Instant) -> bool:
    """Whether the image was answered for, and is as it should be."""
    return seen.poll_success and as_expected(target.expect, seen, moment)


def _table(rows: Iterable[tuple[Target, Observation]], width: int, moment: Instant) -> Table:
    headings = [each for each in COLUMNS if width >= WIDE or each in ESSENTIAL]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(
            heading,
            justify="right" if heading == "SIZE" else "left",
            # What is copied, or short, stays whole while another column can give way.
            no_wrap=heading not in LONG,
            overflow="fold",
        )
    for target, seen in rows:
        is_meant = is_right(target, seen, moment) and _is_asked_for(target, seen)
        style = STYLES["good" if is_meant else severity(state_of(seen))]
        table.add_row(
            *(
                Text(escape(COLUMNS[each](target, seen)), style if each == "STATE" else "")
                for each in headings
            )
        )
    return table


def _is_asked_for(target: Target, seen: Observation) -> bool:
    """Whether something is said of the state that the image is in."""
    return seen.exists is False or "status" in dict(target.expect)


DELETED = "deleted; only administrators still see it"
"""Why an image of which nothing was said is not as expected all the same."""


def why(target: Target, seen: Observation) -> str:
    """Why the image is not as expected, in words; empty where it is."""
    if seen.failure is not None:
        return f"{seen.failure.reason}: {seen.failure.detail}"
    moment = now()
    if seen.exists is False and as_expected(target.expect, seen, moment):
        return ""
    if seen.exists is False and seen.image is None:
        return "404: deleted, never there, or not visible to these credentials"
    found = evaluate(target.expect, seen, moment)
    unmet = [each.expectation for each in found if each.met is False]
    untold = [each.expectation for each in found if each.met is None and seen.exists]
    reasons = (("expected otherwise", unmet), ("expected, but not told", untold))
    said = "; ".join(f"{words}: {', '.join(names)}" for words, names in reasons if names)
    return said or (DELETED if seen.exists is False else "")


def yes_no(value: bool | None) -> str:
    """``yes`` or ``no``, or nothing where it is not known."""
    return "" if value is None else ("yes" if value else "no")


def size_words(size: float | None) -> str:
    """A number of bytes in the largest unit that fits; nothing where it is not known."""
    if size is None:
        return ""
    unit = 0
    while size >= 1024 and unit < len(UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} {UNITS[unit]}" if unit == 0 else f"{size:.1f} {UNITS[unit]}"


def _of_image(cell: Callable[[Image], str]) -> Callable[[Target, Observation], str]:
    return lambda _, seen: "" if seen.image is None else cell(seen.image)


COLUMNS: dict[str, Callable[[Target, Observation], str]] = {
    "CLOUD": lambda target, _: target.cloud,
    "IMAGE": lambda target, _: "-" if target.alias == target.image_id else target.alias,
    "ID": lambda target, _: target.image_id,
    "STATE": lambda _, seen: state_of(seen),
    "SIZE": _of_image(lambda image: size_words(image.size_bytes)),
    "PROTECTED": _of_image(lambda image: yes_no(image.protected)),
    "PUBLIC": _of_image(lambda image: yes_no(image.public)),
    "NAME": _of_image(lambda image: image.name or ""),
    "WHY": why,
}
"""Heading, and what stands below it for an image."""
