"""kubectl, and what it makes of each combination of overlay and components, made once."""

from pathlib import Path

import pytest

from tests.k8s.manifest import Manifest
from tests.k8s.programs import program
from tests.k8s.rendering import COMBINATIONS, combined


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """Kubernetes' own program, which has kustomize in it."""
    return program("kubectl")


@pytest.fixture(scope="session")
def combinations(
    kubectl: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Manifest]]:
    """The manifests of each combination."""
    return {
        name: combined(kubectl, tmp_path_factory.mktemp("kustomization"), overlay, components)
        for name, (overlay, components) in COMBINATIONS.items()
    }
