"""Rules about the structure of the code that no linter checks."""

import ast
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

import exporter
from exporter.config import ResolvedCloud
from exporter.model.api_traits import ApiName

PACKAGE = Path(exporter.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
FOLDERS = sorted({path.parent for path in MODULES})

MAX_MODULES = 16
MAX_LINES = 400
API_VERSIONS = frozenset(get_args(ApiName))


def tree(module: Path) -> ast.Module:
    return ast.parse((PACKAGE / module).read_text("utf-8"))


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_folder_is_small_enough_to_overlook(folder: Path) -> None:
    assert len([module for module in MODULES if module.parent == folder]) <= MAX_MODULES


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_module_is_not_too_long(module: Path) -> None:
    assert len((PACKAGE / module).read_text("utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_docstrings_start_with_an_action_or_a_noun(module: Path) -> None:
    first_words = {
        node.value.value.split(maxsplit=1)[0]
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }
    assert first_words.isdisjoint({"What", "Who", "Whether"})


def test_every_setting_of_a_cloud_is_used() -> None:
    used = {
        node.attr
        for node in ast.walk(tree(Path("app.py")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "config"
    }
    assert {field.name for field in fields(ResolvedCloud)} - used == set()


@pytest.mark.parametrize(
    "module", [path for path in MODULES if path.parts[0] in {"model", "polling"}], ids=str
)
def test_core_does_not_compare_api_versions(module: Path) -> None:
    """Versions differ by their traits. A comparison by name would miss a third version."""
    compared = {
        operand.value
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Compare)
        for operand in (node.left, *node.comparators)
        if isinstance(operand, ast.Constant)
    }
    assert compared.isdisjoint(API_VERSIONS)
