"""Tables of the scenarios, their results and the delays of alerts."""

from collections.abc import Iterable, Sequence

from tests.e2e_alerts.results import E2EResults, ScenarioResult

RESULT_COLUMNS = ("Scenario", "Notified", "Inhibited", "Result")
DELAY_COLUMNS = ("Alert", "Scenarios", "Slowest", "Limit")


def report(results: E2EResults) -> str:
    """Format a row for each scenario and exporter, then one for each alert with a delay."""
    rows = [_row(result) for result in results.results.values()]
    late = f"Speed: {results.speed:g}. The machine was late by {results.late:.1f} s at worst."
    delays = _delay_rows(results)
    return f"{_table(RESULT_COLUMNS, rows)}\n\n{_table(DELAY_COLUMNS, delays)}\n\n{late}"


def _row(result: ScenarioResult) -> Sequence[str]:
    expected = result.notified | result.inhibited
    summary = "; ".join(result.problems) or ("ok" if expected else "ok, silent")
    return result.description, _list(result.notified), _list(result.inhibited), summary


def _delay_rows(results: E2EResults) -> list[Sequence[str]]:
    delays: dict[tuple[str, float], list[float]] = {}
    for result in results.results.values():
        for delay in result.delays:
            delays.setdefault((delay.alert.split()[0], delay.limit), []).append(delay.seconds)
    return [
        (name, str(len(seconds)), f"{max(seconds):.1f} s", f"{limit:.0f} s")
        for (name, limit), seconds in sorted(delays.items())
    ]


def _list(alerts: Iterable[str]) -> str:
    return ", ".join(sorted(alerts)) or "-"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
