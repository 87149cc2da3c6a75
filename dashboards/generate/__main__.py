"""Write the JSON of every dashboard, and what is derived from the rules."""

from pathlib import Path

from dashboards.generate import alert_needs, exporter, image, mixin, overview, prometheusrule
from dashboards.generate.board import text
from exporter.metrics.selection import alert_rules

HOME = Path(__file__).resolve().parent.parent
"""The folder of the JSON files."""

FILES = {
    "overview.json": overview.board,
    "image.json": image.board,
    "exporter.json": exporter.board,
}
"""Files and the functions that build their dashboards."""


def main() -> None:
    """Write all generated files."""
    for name, board in FILES.items():
        (HOME / name).write_text(text(board()), "utf-8")
    rules = prometheusrule.RULES.read_text("utf-8")
    prometheusrule.FILE.write_text(prometheusrule.text(rules), "utf-8")
    alert_rules.FILE.write_text(alert_needs.text(rules), "ascii")
    mixin.FILE.write_text(mixin.text(rules, [*FILES]), "utf-8")


if __name__ == "__main__":
    main()
