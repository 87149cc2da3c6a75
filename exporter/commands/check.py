"""``check``: poll every image once, and compare it with what is expected."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from exporter.app import Application
from exporter.clock import now
from exporter.commands import Exit
from exporter.commands.output import Report, checked_images, format_json, print_tables
from exporter.metrics.selection.alert_rules import affected_alerts
from exporter.metrics.selection.families import EVERYTHING, Selection
from exporter.model.cloud import CLOUD_PROBLEMS, cloud_problems, unresolved
from exporter.polling.poller import Poller
from exporter.text import escape

WARNINGS = frozenset({"servers_disagree"})
"""Problems of a cloud that a check reports; an image shows the effect of all others."""

Format = Literal["table", "json"]
"""Output formats."""


def check(
    application: Application,
    out: Console,
    err: Console,
    output_format: Format = "table",
    selection: Selection = EVERYTHING,
) -> int:
    """Poll every image once and print the results; return 0 if all are as expected.

    Args:
        application: The application whose pollers are run.
        out: Console for the results.
        err: Console that shows the progress if it is a terminal.
        output_format: Format of the results.
        selection: The metrics that the daemon would serve.
    """
    report = poll_report(application, err)
    alerts = map(str, affected_alerts(selection))
    report = replace(report, warnings=(*report.warnings, *alerts))
    if output_format == "json":
        # The console would fold the lines.
        out.file.write(f"{format_json(report)}\n")
    else:
        print_tables(report, out)
    return Exit.OK if report.is_as_expected else Exit.NOT_AS_EXPECTED


def poll_report(application: Application, err: Console) -> Report:
    """Run one poll cycle of every cloud, in parallel, and return the state of every image.

    A cloud that only refuses API v1 has a second cycle, in which v2 is tried.

    Args:
        application: The application whose pollers are run.
        err: Console that shows the progress if it is a terminal.
    """
    _poll_all(application.pollers, err)
    problems = tuple(
        problem for poller in application.pollers for problem in _discovery_problems(poller)
    )
    moment = now()
    clouds = application.store.clouds()
    images = checked_images(application.store, moment)
    warnings = tuple(
        f"{cloud.name}: {CLOUD_PROBLEMS[problem]}"
        for cloud in clouds
        for problem in cloud_problems(cloud, moment.wall)
        if problem in WARNINGS
    )
    warnings += tuple(
        f"{cloud.name}: {cloud.capabilities}" for cloud in clouds if cloud.capabilities
    )
    warnings += tuple(
        f"{cloud.name}: images with label values cut at label_value_limit: {cloud.cut_images}"
        for cloud in clouds
        if cloud.cut_images
    )
    return Report(images, problems, warnings, application.shard, moment)


def _poll_all(pollers: Sequence[Poller], err: Console) -> None:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
    )
    with Progress(
        *columns, console=err, transient=True, disable=not err.is_interactive
    ) as progress:
        threads = []
        for poller in pollers:
            task = progress.add_task(escape(poller.cloud), total=len(poller.targets))
            threads.append(
                threading.Thread(target=_run_cycle, args=(poller, progress, task), daemon=True)
            )
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _run_cycle(poller: Poller, progress: Progress, task: TaskID) -> None:
    def show_progress(remaining: int) -> None:
        # Discovery adds targets at the start of the cycle.
        total = len(poller.targets)
        progress.update(task, completed=total - remaining, total=total)

    poller.run_cycle(show_progress)
    if poller.client.may_change_version:
        poller.run_cycle(show_progress)


def _discovery_problems(poller: Poller) -> Iterator[str]:
    """Yield a line for each problem of a cloud's discovery."""
    discovery = poller.discovery
    if discovery is None:
        return
    if discovery.failure is not None:
        failure = discovery.failure
        yield f"{poller.cloud}: discovery failed: {failure.reason}: {failure.detail}"
        return
    for alias in unresolved(poller.store.cloud(poller.cloud)):
        yield f"{poller.cloud}: there is no image for the alias {alias}"
