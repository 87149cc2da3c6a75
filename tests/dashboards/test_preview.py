"""The preview of the dashboards: its packages are pinned, and it draws every kind of panel."""

import json
import re

from tests.dashboards.queries import boards, panels
from tests.dashboards.screenshots import PREVIEW


def test_packages_are_pinned_with_digests_and_without_a_registry() -> None:
    package = json.loads((PREVIEW / "package.json").read_text("utf-8"))
    lock = json.loads((PREVIEW / "package-lock.json").read_text("utf-8"))
    locked = {path.removeprefix("node_modules/"): entry for path, entry in lock["packages"].items()}
    assert locked.pop("")["dependencies"] == package["dependencies"]
    for name, version in package["dependencies"].items():
        assert locked[name]["version"] == version
    assert [name for name, entry in locked.items() if "integrity" not in entry] == []
    assert [name for name, entry in locked.items() if "resolved" in entry] == []


def test_every_kind_of_panel_can_be_drawn() -> None:
    source = (PREVIEW / "src" / "panels.tsx").read_text("utf-8")
    table = re.search(r"const KINDS\b.*?= \{(.*?)\};", source, re.DOTALL)
    assert table
    drawable = set(re.findall(r"^  '?([a-z-]+)'?: \[", table[1], re.MULTILINE))
    assert {panel["type"] for board in boards().values() for panel in panels(board)} <= drawable
