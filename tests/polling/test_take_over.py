"""A poller that replaces another one at a reload knows what the endpoint refuses."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from exporter.auth.static_token import StaticTokenAuthenticator
from exporter.model.api_traits import RequestedVersion
from exporter.simulator import SimulatedImageService
from exporter.transport.tls_files import ClientTls
from tests.glance.clients import FakeAuthenticator
from tests.support.polled_cloud import PolledCloud, image_service, polled_cloud

IDS = tuple(f"00000000-0000-4000-8000-{number:012}" for number in range(60))


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    with image_service(IDS) as running:
        yield running


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def v2_cloud(
    stack: ExitStack, url: str, token: str | None = None, api: RequestedVersion = "v2"
) -> PolledCloud:
    """Return a cloud with API v2, whose token cannot be renewed."""
    signin = StaticTokenAuthenticator(url, token, ClientTls())
    return stack.enter_context(polled_cloud(url, IDS, signin=signin, api=api))


def requests_after_reload(
    service: SimulatedImageService, old: PolledCloud, new: PolledCloud
) -> list[str]:
    """Return the paths of the requests of the first cycle after a reload."""
    new.poller.take_over_from(old.poller)
    service.log.clear()
    new.cycle()
    assert new.exists() == dict.fromkeys(IDS, True)
    return [record.path for record in service.log.records]


def test_refused_lists_are_not_requested_again_after_a_reload(
    service: SimulatedImageService, stack: ExitStack
) -> None:
    service.faults.set("status", on="list", code=403)
    old, new = (v2_cloud(stack, service.url) for _ in range(2))
    old.cycle()
    paths = requests_after_reload(service, old, new)
    assert sorted(paths) == sorted(f"/v2/images/{image_id}" for image_id in IDS)
    assert new.state.capabilities == old.state.capabilities


def test_length_of_lists_is_known_after_a_reload(
    service: SimulatedImageService, stack: ExitStack
) -> None:
    service.faults.set("long_request", on="list", over=1000, code=414)
    old, new = (v2_cloud(stack, service.url) for _ in range(2))
    old.cycle()
    requests_after_reload(service, old, new)
    assert "414" not in {request.code for request in new.requests}


def test_refused_parameters_are_known_after_a_reload_with_another_token(
    service: SimulatedImageService, stack: ExitStack
) -> None:
    service.faults.set("refused_parameters", on="list", parameters=["member_status"])
    old = v2_cloud(stack, service.url, "old")
    new = v2_cloud(stack, service.url, "new")
    old.cycle()
    assert "400" in {request.code for request in old.requests}
    requests_after_reload(service, old, new)
    assert "400" not in {request.code for request in new.requests}


def test_version_is_known_after_a_reload(service: SimulatedImageService, stack: ExitStack) -> None:
    """v1 is only in the version document."""
    service.faults.set("status", on="v1", code=404)
    old, new = (v2_cloud(stack, service.url, api="auto") for _ in range(2))
    for _ in range(2):
        old.cycle()
    assert requests_after_reload(service, old, new) == [
        path for path in _paths_of_healthy_cycle(service, old) if path.startswith("/v2")
    ]


def _paths_of_healthy_cycle(service: SimulatedImageService, cloud: PolledCloud) -> list[str]:
    service.log.clear()
    cloud.cycle()
    return [record.path for record in service.log.records]


def test_configured_version_is_used_after_a_reload(
    service: SimulatedImageService, stack: ExitStack
) -> None:
    old = v2_cloud(stack, service.url, api="v2")
    new = v2_cloud(stack, service.url, api="v1")
    old.cycle()
    paths = requests_after_reload(service, old, new)
    assert {path.split("/")[1] for path in paths} == {"v1"}


def test_404s_of_another_version_confirm_nothing_after_a_reload(
    service: SimulatedImageService, stack: ExitStack
) -> None:
    old = v2_cloud(stack, service.url, api="v1")
    old.cycle()
    for image_id in IDS:
        service.images.remove(image_id)
    old.cycle()
    new = stack.enter_context(polled_cloud(service.url, IDS, api="v2", store=old.store))
    new.poller.take_over_from(old.poller)
    new.cycle()
    assert set(new.exists().values()) == {True}
    new.cycle()
    assert set(new.exists().values()) == {False}


@pytest.mark.parametrize(("token", "exists"), [("old", False), ("new", True)])
def test_empty_list_proves_nothing_after_a_reload_with_other_credentials(
    service: SimulatedImageService, stack: ExitStack, token: str, exists: bool
) -> None:
    """They may be those of a wrong project."""
    old = v2_cloud(stack, service.url, "old")
    old.cycle()
    for image_id in IDS:
        service.images.remove(image_id)
    signin = StaticTokenAuthenticator(service.url, token, ClientTls())
    new = stack.enter_context(
        polled_cloud(service.url, IDS, signin=signin, api="v2", store=old.store)
    )
    new.poller.take_over_from(old.poller)
    for _ in range(3):
        new.cycle()
    assert set(new.exists().values()) == {exists}


def before_and_after(
    service: SimulatedImageService, stack: ExitStack
) -> tuple[PolledCloud, PolledCloud]:
    """Return a cloud of two images that are polled one after the other, and it after a reload."""
    old = stack.enter_context(polled_cloud(service.url, IDS[:2], concurrency=1))
    return old, stack.enter_context(polled_cloud(service.url, IDS[:2], store=old.store))


def test_contradiction_of_an_unfinished_cycle_is_known_after_a_reload(
    service: SimulatedImageService, stack: ExitStack
) -> None:
    old, new = before_and_after(service, stack)
    old.cycle()
    service.faults.set("status", on=f"v1/{IDS[0]}", code=404, times=1)
    contradictions: list[int] = []

    def reload(_: int) -> None:
        if old.poller.contradiction_memory.until > 0.0 and not contradictions:
            contradictions.append(old.state.contradictions)
            new.poller.take_over_from(old.poller)

    old.poller.run_cycle(reload)
    assert contradictions
    service.images.delete(IDS[0])
    new.cycle()
    failure = new.observation(IDS[0]).failure
    assert failure
    assert "servers contradict each other" in failure.detail


def run_until_reload(old: PolledCloud, new: PolledCloud) -> None:
    """Run a cycle of the old poller, and let the new one take over when it finds an image again."""
    is_reloaded = False

    def reload(_: int) -> None:
        nonlocal is_reloaded
        if not is_reloaded and not old.reason(IDS[0]):
            is_reloaded = True
            new.poller.take_over_from(old.poller)

    old.poller.run_cycle(reload)
    assert is_reloaded


def test_404_of_an_image_found_in_an_unfinished_cycle_needs_two_cycles_after_a_reload(
    service: SimulatedImageService, stack: ExitStack
) -> None:
    old, new = before_and_after(service, stack)
    old.cycle()
    service.faults.set("status", on=f"v1/{IDS[0]}", code=404, times=1)
    old.cycle()
    service.faults.set("status", on=f"v1/{IDS[0]}", code=404)
    old.cycle()
    assert old.reason(IDS[0]) == "unconfirmed"
    service.faults.clear()
    run_until_reload(old, new)
    service.faults.set("status", on=f"v1/{IDS[0]}", code=404)
    new.cycle()
    assert new.exists()[IDS[0]] is True
    new.cycle()
    assert new.exists()[IDS[0]] is False


def test_mass_404_refuted_by_an_unfinished_cycle_needs_two_cycles_after_a_reload(
    service: SimulatedImageService, stack: ExitStack
) -> None:
    old, new = before_and_after(service, stack)
    images = [image for image in service.images.all() if image.id in IDS[:2]]
    old.cycle()
    for image in images:
        service.images.remove(image.id)
    old.cycle()
    assert old.reason(IDS[0]) == "unconfirmed"
    for image in images:
        service.images.put(image)
    run_until_reload(old, new)
    for image in images:
        service.images.remove(image.id)
    new.cycle()
    assert set(new.exists().values()) == {True}
    assert not new.state.mass_disappearance
    new.cycle()
    assert set(new.exists().values()) == {False}


def test_404s_of_a_version_left_in_an_unfinished_cycle_confirm_nothing_after_a_reload(
    service: SimulatedImageService, stack: ExitStack
) -> None:
    old = stack.enter_context(polled_cloud(service.url, IDS[:2], api="auto", concurrency=1))
    new = stack.enter_context(polled_cloud(service.url, IDS[:2], api="auto", store=old.store))
    old.cycle()
    service.faults.set("status", on="v1", code=404)
    for image_id in IDS[:2]:
        service.images.remove(image_id)
    old.cycle()
    assert (old.poller.client.version, old.reason(IDS[0])) == ("v1", "unconfirmed")
    old.poller.run_cycle(lambda _: new.poller.take_over_from(old.poller))
    assert new.poller.client.version == "v2"
    new.cycle()
    assert set(new.exists().values()) == {True}
    new.cycle()
    assert set(new.exists().values()) == {False}


def test_nothing_is_known_about_another_endpoint_after_a_reload(stack: ExitStack) -> None:
    before, after = (stack.enter_context(image_service(IDS)) for _ in range(2))
    before.faults.set("status", on="list", code=403)
    old, new = v2_cloud(stack, before.url), v2_cloud(stack, after.url)
    old.cycle()
    paths = requests_after_reload(after, old, new)
    assert len(paths) < len(IDS)
    assert new.state.capabilities is None


def test_capabilities_are_forgotten_if_the_catalog_moves_the_service(stack: ExitStack) -> None:
    before, after = (stack.enter_context(image_service(IDS)) for _ in range(2))
    for service in (before, after):
        service.faults.set("status", on="v1", code=404)
    before.faults.set("status", on="list", code=403)
    signin = FakeAuthenticator(before.url)
    cloud = stack.enter_context(polled_cloud(before.url, IDS, signin=signin, api="auto"))
    for _ in range(3):
        cloud.cycle()
    assert "lists" in (cloud.state.capabilities or "")
    after.faults.clear()
    signin.endpoint, signin.number = after.url, 2
    for _ in range(2):
        cloud.cycle()
    assert cloud.exists() == dict.fromkeys(IDS, True)
    assert (cloud.state.api_version, cloud.state.capabilities) == ("v1", None)


def test_poller_that_takes_over_knows_where_images_were_found(
    service: SimulatedImageService, stack: ExitStack
) -> None:
    """The catalog moves the service in the first cycle of the old poller."""
    empty = stack.enter_context(image_service(()))
    signin = FakeAuthenticator(service.url)
    old = stack.enter_context(
        polled_cloud(service.url, IDS[:2], signin=signin, api="v1", concurrency=1)
    )

    def move(_: int) -> None:
        if old.exists()[IDS[0]]:
            signin.endpoint, signin.number = empty.url, 2

    old.poller.run_cycle(move)
    new = stack.enter_context(
        polled_cloud(service.url, IDS[:2], signin=signin, api="v1", store=old.store)
    )
    new.poller.take_over_from(old.poller)
    for _ in range(2):
        new.cycle()
    assert new.exists()[IDS[0]] is True
