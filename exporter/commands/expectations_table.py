"""What was expected of images, held against what is, as a table for people."""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from exporter.model.expectations.checks import evaluate
from exporter.model.expectations.format import format_actual, format_expected
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.target import Target
from exporter.text import escape

WORDS = {True: ("met", "green"), None: ("not told", "yellow"), False: ("not met", "red")}
"""What is said of each verdict, and how; in the order of the table, the worst being last."""

HEADINGS = ("CLOUD", "IMAGE", "EXPECTATION", "EXPECTED", "IS", "VERDICT")
SHORT = frozenset({"EXPECTATION", "VERDICT"})


def expectations_table(rows: Iterable[tuple[Target, Observation]], now: Instant) -> Table:
    """A row for every expectation; those that are not met come last, where one looks first.

    Of an image that is gone, only what is said of its existence stands there.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in HEADINGS:
        table.add_column(heading, no_wrap=heading in SHORT, overflow="fold")
    found = [
        (target, each)
        for target, seen in rows
        for each in evaluate(target.expect, seen, now)
        if each.met is not None or seen.exists is not False
    ]
    order = list(WORDS)
    for target, verdict in sorted(found, key=lambda row: order.index(row[1].met)):
        said, style = WORDS[verdict.met]
        cells = (
            target.cloud,
            target.alias,
            verdict.expectation,
            format_expected(verdict),
            format_actual(verdict),
        )
        table.add_row(*(Text(escape(cell)) for cell in cells), Text(said, style))
    return table
