"""Every check catches what it is there for: manifests made wrong on purpose."""

import pytest

from tests.k8s.checks import CHECKS
from tests.k8s.checks.schema import VERSIONS
from tests.k8s.manifest import Manifest
from tests.k8s.mutations import MUTATIONS, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_it_is_caught(combinations: dict[str, list[Manifest]], mutation: Mutation) -> None:
    """A check that finds nothing wrong with the manifests says what was made wrong in them."""
    (check,) = (each for each in CHECKS if each.__name__ == mutation.check)
    manifests = combinations[mutation.among]
    assert [*check(manifests)] == []
    found = [*check(mutation.applied(manifests))]
    assert any(mutation.caught in problem for problem in found), found
    if mutation.check == "kubernetes":
        told = "\n".join(found)
        assert [version for version in VERSIONS if version not in told] == []


def test_every_check_is_put_to_the_test() -> None:
    """There is no check that nothing shows to catch anything."""
    assert {each.__name__ for each in CHECKS} == {each.check for each in MUTATIONS}
