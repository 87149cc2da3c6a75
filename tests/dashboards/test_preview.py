"""What draws the dashboards is pinned, and draws every kind of panel that they have."""

import json
import re

from tests.dashboards.queries import boards, panels
from tests.dashboards.screenshots import PREVIEW


def test_packages_are_pinned_and_come_from_no_one_registry() -> None:
    """Every version is exact, each package has a digest, and the lock names no host to ask."""
    package = json.loads((PREVIEW / "package.json").read_text("utf-8"))
    lock = json.loads((PREVIEW / "package-lock.json").read_text("utf-8"))
    locked = {path.removeprefix("node_modules/"): each for path, each in lock["packages"].items()}
    assert locked.pop("")["dependencies"] == package["dependencies"]
    for name, version in package["dependencies"].items():
        assert locked[name]["version"] == version
    assert [name for name, each in locked.items() if "integrity" not in each] == []
    assert [name for name, each in locked.items() if "resolved" in each] == []


def test_every_kind_of_panel_is_drawn() -> None:
    """No dashboard has a panel that its picture would leave out."""
    source = (PREVIEW / "src" / "panels.tsx").read_text("utf-8")
    table = re.search(r"const KINDS\b.*?= \{(.*?)\};", source, re.DOTALL)
    assert table
    drawn = set(re.findall(r"^  '?([a-z-]+)'?: \[", table[1], re.MULTILINE))
    assert {panel["type"] for board in boards().values() for panel in panels(board)} <= drawn
