"""The scenarios and what came of them, as tables for people."""

from collections.abc import Iterable, Sequence

from tests.dashboards.alarms.stage import Outcome, Result

HEAD = ("Scenario", "People are told of", "Held back", "Result")
TIMES_HEAD = ("Alert", "Scenarios", "Slowest", "At most")


def table(outcome: Outcome) -> str:
    """A row for each scenario and each exporter, then one for each alert that was timed."""
    rows = [_row(result) for result in outcome.results.values()]
    late = f"The machine was late by {outcome.late:.1f} s at worst."
    return f"{_columns(HEAD, rows)}\n\n{_columns(TIMES_HEAD, _times(outcome))}\n\n{late}"


def _row(result: Result) -> Sequence[str]:
    says = "; ".join(result.wrong) or ("ok" if result.tells | result.held else "ok, silent")
    return result.says, _list(result.tells), _list(result.held), says


def _times(outcome: Outcome) -> list[Sequence[str]]:
    """From the change in the Image service to Alertmanager, by the alert's name."""
    timed: dict[tuple[str, float], list[float]] = {}
    for result in outcome.results.values():
        for each in result.timed:
            timed.setdefault((each.alert.split()[0], each.bound), []).append(each.took)
    return [
        (name, str(len(took)), f"{max(took):.1f} s", f"{bound:.0f} s")
        for (name, bound), took in sorted(timed.items())
    ]


def _list(alerts: Iterable[str]) -> str:
    return ", ".join(sorted(alerts)) or "-"


def _columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
