"""Endpoints that refuse lists, or long ones, while single images are found; on real sockets."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from exporter.glance import capabilities
from exporter.simulator import SimulatedImageService
from exporter.simulator.faults import FAULTS, Action, FaultContext, Script
from tests.support.polled_cloud import PolledCloud, image_service, polled_cloud

FEW = tuple(f"00000000-0000-4000-8000-{number:012}" for number in range(12))
MANY = tuple(f"00000000-0000-4000-8000-{number:012}" for number in range(100))
LIMIT = 1900
"""Bytes of a request line that fit into uWSGI's buffer, which holds them twice."""


def reset_if_long(context: FaultContext, over: int) -> Script:
    """Reset the connection after a long request line."""
    if len(context.request.line) <= over:
        yield context.response.head + context.response.body
    else:
        yield Action.RESET


@contextmanager
def cloud_of(ids: tuple[str, ...]) -> Iterator[tuple[PolledCloud, SimulatedImageService]]:
    with image_service(ids) as service:
        service.api.v1_enabled = False
        with polled_cloud(service.url, ids, api="v2") as cloud:
            yield cloud, service


def requests_of_cycle(cloud: PolledCloud, service: SimulatedImageService) -> int:
    service.log.clear()
    cloud.cycle()
    return service.log.requests


@pytest.mark.parametrize("code", [401, 403, 404, 405, 410, 501, 302, 413, 400])
def test_images_are_polled_one_by_one_where_only_lists_are_refused(code: int) -> None:
    with cloud_of(FEW) as (cloud, service):
        service.faults.set("status", on="list", code=code)
        cloud.cycle()
        assert cloud.exists() == dict.fromkeys(FEW, True)
        assert cloud.state.api_up
        assert requests_of_cycle(cloud, service) == len(FEW)
        assert cloud.reasons() == dict.fromkeys(FEW, "")
        assert cloud.poller.client.capabilities.lists_refused == str(code)


@pytest.mark.parametrize("fault", ["close", "error_page"])
def test_lists_without_a_usable_response_are_refused_lists(fault: str) -> None:
    with cloud_of(FEW) as (cloud, service):
        service.faults.set(fault, on="list", **({"code": 403} if fault == "error_page" else {}))
        cloud.cycle()
        assert cloud.exists() == dict.fromkeys(FEW, True)
        assert requests_of_cycle(cloud, service) == len(FEW)


@pytest.mark.parametrize("code", [401, 403, 404])
def test_deleted_image_is_gone_by_the_proof_of_another_one_where_lists_are_refused(
    code: int,
) -> None:
    with cloud_of(FEW) as (cloud, service):
        service.faults.set("status", on="list", code=code)
        cloud.cycle()
        service.images.remove(FEW[0])
        cloud.cycle()
        assert cloud.exists() == {**dict.fromkeys(FEW, True), FEW[0]: False}


def test_image_is_not_gone_if_its_404_has_no_control() -> None:
    """A refused list is no control, and no other image is found."""
    with cloud_of(FEW[:1]) as (cloud, service):
        cloud.cycle()
        service.faults.set("status", on="list", code=403)
        service.images.remove(FEW[0])
        for _ in range(3):
            cloud.cycle()
            assert cloud.exists() == {FEW[0]: True}
            assert cloud.reason(FEW[0]) == "unconfirmed"


@pytest.mark.parametrize("code", [401, 403, 404, 405])
def test_refusal_of_everything_is_no_request_per_image(code: int) -> None:
    with cloud_of(MANY) as (cloud, service):
        service.faults.set("status", code=code)
        cloud.cycle()
        for _ in range(2):
            assert requests_of_cycle(cloud, service) <= 20
            assert cloud.state.api_up is False
        assert not cloud.poller.client.capabilities.lists_refused


def test_lists_that_are_refused_later_and_allowed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with cloud_of(FEW) as (cloud, service):
        cloud.cycle()
        assert requests_of_cycle(cloud, service) == 1
        service.faults.set("status", on="list", code=403)
        cloud.cycle()
        assert cloud.reasons() == dict.fromkeys(FEW, "")
        assert requests_of_cycle(cloud, service) == len(FEW)
        service.faults.clear()
        assert requests_of_cycle(cloud, service) == len(FEW)
        monkeypatch.setattr(capabilities, "LIST_MEMORY", -1.0)
        assert requests_of_cycle(cloud, service) == 1


@pytest.mark.parametrize("code", [None, 302, 400, 403, 404, 413, 414, 431, 502])
def test_length_of_lists_is_found_and_remembered(code: int | None) -> None:
    with cloud_of(MANY) as (cloud, service):
        service.faults.set("long_request", on="list", over=LIMIT, code=code)
        for _ in range(2):
            cloud.cycle()
            assert cloud.exists() == dict.fromkeys(MANY, True)
            assert cloud.reasons() == dict.fromkeys(MANY, "")
            assert cloud.state.api_up
        cloud.requests.clear()
        assert requests_of_cycle(cloud, service) <= 8
        assert cloud.reasons() == dict.fromkeys(MANY, "")
        assert {request.code for request in cloud.requests} == {"200"}


def test_length_of_lists_is_found_if_the_connection_is_reset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(FAULTS, "reset_if_long", reset_if_long)
    with cloud_of(MANY) as (cloud, service):
        cloud.cycle()
        service.faults.set("reset_if_long", on="list", over=LIMIT)
        cloud.cycle()
        assert cloud.exists() == dict.fromkeys(MANY, True)
        assert cloud.reasons() == dict.fromkeys(MANY, "")
        assert requests_of_cycle(cloud, service) <= 8


def test_lists_are_full_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    with cloud_of(MANY) as (cloud, service):
        cloud.cycle()
        full = requests_of_cycle(cloud, service)
        service.faults.set("long_request", on="list", over=LIMIT)
        cloud.cycle()
        service.faults.clear()
        assert requests_of_cycle(cloud, service) > full
        monkeypatch.setattr(capabilities, "PARAMETER_MEMORY", -1.0)
        assert requests_of_cycle(cloud, service) == full
