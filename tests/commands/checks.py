"""Runs of ``check`` in the process of the tests."""

import io
import re
from pathlib import Path
from typing import Any

from rich.console import Console

from exporter.app import build_application
from exporter.commands.check import Format, check
from exporter.config import parse, resolved_clouds
from exporter.metrics.selection.families import EVERYTHING, Selection
from tests.support.program import ABSENT, GOLDEN, settings_file


def run_check(
    folder: Path,
    *clouds: dict[str, Any],
    output_format: Format = "table",
    selection: Selection = EVERYTHING,
) -> tuple[int, str]:
    """Run a check of these clouds; return the status and the output."""
    file = settings_file(folder, *clouds)
    application = build_application(resolved_clouds(parse([f"--config.file={file}"], {}).settings))
    out, err = io.StringIO(), io.StringIO()
    try:
        status = check(
            application,
            Console(file=out, width=1000),
            Console(file=err),
            output_format,
            selection,
        )
    finally:
        application.close()
    assert err.getvalue() == ""
    return status, out.getvalue()


def row(table: str, image_id: str) -> list[str]:
    """Return the cells of an image's row, without the empty ones."""
    line = next(line for line in table.split("\n") if image_id in line)
    return re.split(r"  +", line.strip())


EXPECTING = [
    {
        "id": GOLDEN,
        "alias": "golden",
        "expect": {
            "status": ["active", "deactivated"],
            "protected": False,
            "hidden": False,
            "size": "1GiB..4GiB",
            "properties": {"os_distro": "ubuntu"},
        },
    },
    {"id": ABSENT, "expect": {"exists": False}},
]
GOLDEN_ALIAS = {"name": "cir*", "most_recent": True, "alias": "golden"}
