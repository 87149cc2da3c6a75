"""Empty lists of another endpoint or project, which prove nothing about the watched images."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from exporter.simulator import SimulatedImageService
from tests.glance.clients import FakeAuthenticator
from tests.support.polled_cloud import PolledCloud, image_service, polled_cloud

IDS = ("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002")


class Scope(NamedTuple):
    """A service with one or two images, its polled cloud, and the sign-in that a test controls."""

    service: SimulatedImageService
    signin: FakeAuthenticator
    cloud: PolledCloud


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def found_once(stack: ExitStack, *image_ids: str, project_id: str = "") -> Scope:
    """Return a cloud whose images were found by its first cycle."""
    service = stack.enter_context(image_service(image_ids))
    signin = FakeAuthenticator(service.url, project_id)
    cloud = stack.enter_context(polled_cloud(service.url, image_ids, signin=signin, api="v2"))
    cloud.cycle()
    assert cloud.exists() == dict.fromkeys(image_ids, True)
    return Scope(service, signin, cloud)


@pytest.mark.parametrize("image_ids", [IDS, IDS[:1]], ids=["two images", "one image"])
def test_empty_list_proves_nothing_after_the_catalog_has_moved_the_service(
    stack: ExitStack, image_ids: tuple[str, ...]
) -> None:
    """The token is renewed when a request needs it, so the first cycle moves while it runs."""
    empty = stack.enter_context(image_service(()))
    _, signin, cloud = found_once(stack, *image_ids)
    signin.endpoint, signin.number = empty.url, 2
    for _ in range(3):
        cloud.cycle()
        assert cloud.exists() == dict.fromkeys(image_ids, True)
    assert {cloud.reason(image_id) for image_id in image_ids} == {"unconfirmed"}


@pytest.mark.parametrize(
    ("before", "after", "exists"), [("", "", True), ("a", "b", True), ("a", "a", False)]
)
def test_empty_list_proves_nothing_with_a_token_that_may_be_for_another_project(
    stack: ExitStack, before: str, after: str, exists: bool
) -> None:
    """The project of a token in a file is unknown."""
    service, signin, cloud = found_once(stack, IDS[0], project_id=before)
    service.images.remove(IDS[0])
    signin.number, signin.project_id = 2, after
    for _ in range(2):
        cloud.cycle()
    assert cloud.exists() == {IDS[0]: exists}


def test_new_token_of_unknown_project_is_trusted_once_an_image_was_found_with_it(
    stack: ExitStack,
) -> None:
    service, signin, cloud = found_once(stack, IDS[0])
    signin.number = 2
    for _ in range(2):
        cloud.cycle()
    service.images.remove(IDS[0])
    cloud.cycle()
    assert cloud.exists() == {IDS[0]: False}
