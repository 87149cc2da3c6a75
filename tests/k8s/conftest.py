"""Fixtures: kubectl, the rendered combinations of overlays and components, and Helm's engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.k8s.chart import Engine, running_engine
from tests.k8s.manifest import Manifest
from tests.k8s.programs import program
from tests.k8s.rendering import COMBINATIONS, combined


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """Return the path of kubectl, which includes kustomize."""
    return program("kubectl")


@pytest.fixture(scope="session")
def combinations(
    kubectl: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Manifest]]:
    """Render each combination once per session."""
    return {
        name: combined(kubectl, tmp_path_factory.mktemp("kustomization"), overlay, components)
        for name, (overlay, components) in COMBINATIONS.items()
    }


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Start Helm's engine with the chart, once per session."""
    with running_engine(tmp_path_factory.mktemp("helm") / "log.txt") as engine:
        yield engine
