"""Several API servers behind one address, in API v1 and v2."""

import json
import re
from typing import Any

import pytest

from exporter.simulator import (
    BackendFault,
    Balancing,
    SimulatedImage,
    SimulatedImageService,
    Unit,
)
from exporter.simulator.backends import BACKEND_FAULTS, OTHER_REGION
from tests.simulator.conftest import ID
from tests.simulator.wire import field, wire

OLD_ID = "0ddba11a-0000-4000-8000-000000000001"
NEW_ID = "0ddba11a-0000-4000-8000-000000000002"
PER_REQUEST = Balancing(Unit.REQUEST)
HEALTHY, BAD = 0, 1
OPTIONS: dict[BackendFault, dict[str, object]] = {BackendFault.IMAGES_MISSING: {"missing": {ID}}}


def two_servers(
    *images: SimulatedImage, balancing: Balancing = PER_REQUEST
) -> SimulatedImageService:
    """Return a service with two servers and, by default, one image."""
    return SimulatedImageService(
        images or (SimulatedImage(ID),), servers=2, balancing=balancing, page_limit=100
    )


def images_of(service: SimulatedImageService, server: int) -> dict[str, str]:
    """Return name by ID of the images that this server shows: by v1, and the same by v2.

    Round robin continues where it stopped, so every other request is for this server.
    """
    names = {}
    for image_id in (ID, OLD_ID, NEW_ID, OTHER_REGION[0].id):
        v1 = response_of(service, server, "HEAD", f"/v1/images/{image_id}")
        v2 = response_of(service, server, "GET", f"/v2/images/{image_id}")
        assert status_of(v1) == status_of(v2)
        if status_of(v1) == 200:
            names[image_id] = (field(v1, b"X-Image-Meta-Name") or b"").decode()
            assert body_of(v2)["name"] == names[image_id]
    for path in ("/v1/images/detail", "/v2/images"):
        listed = body_of(response_of(service, server, "GET", path))["images"]
        assert {image["id"]: image["name"] for image in listed} == names
    return names


def response_of(service: SimulatedImageService, server: int, method: str, path: str) -> bytes:
    """Return the next response that this server sends for a request, with its body."""
    while True:
        with wire(service) as client:
            client.send(method, path, "Connection: close")
            response = client.read_all()
        if service.log.records[-1].backend == server:
            return response


def status_of(response: bytes) -> int:
    """Return the status of a response, 0 if the connection was closed without one."""
    return int(response.split(b" ", 2)[1]) if response else 0


def body_of(response: bytes) -> Any:
    """Return the JSON document of a response."""
    return json.loads(response.partition(b"\r\n\r\n")[2])


def servers_used(service: SimulatedImageService, connections: int, requests: int) -> list[int]:
    """Return the server of every request, when each connection sends some."""
    service.log.clear()
    for _ in range(connections):
        with wire(service) as client:
            for _ in range(requests):
                client.ask("HEAD", f"/v1/images/{ID}")
    return [record.backend for record in service.log.records]


def test_one_server_serves_everything_by_default(service: SimulatedImageService) -> None:
    assert servers_used(service, connections=2, requests=2) == [0, 0, 0, 0]
    assert len(service.backends) == 1


@pytest.mark.parametrize(
    ("unit", "used"),
    [(Unit.CONNECTION, [0, 0, 1, 1, 2, 2, 0, 0]), (Unit.REQUEST, [0, 1, 2, 0, 1, 2, 0, 1])],
)
def test_round_robin_distributes_connections_or_requests(unit: Unit, used: list[int]) -> None:
    with SimulatedImageService(servers=3, balancing=Balancing(unit)) as service:
        assert servers_used(service, connections=4, requests=2) == used


def test_random_balancing_uses_all_servers_and_repeats_with_its_seed() -> None:
    def used(seed: int) -> list[int]:
        balancing = Balancing(Unit.REQUEST, seed)
        with SimulatedImageService(servers=3, balancing=balancing) as service:
            return servers_used(service, connections=1, requests=40)

    assert used(1) == used(1) != used(2)
    assert set(used(1)) == {0, 1, 2}
    assert used(1) != [0, 1, 2] * 13 + [0]


def test_random_balancing_keeps_the_server_of_a_connection() -> None:
    with SimulatedImageService(servers=2, balancing=Balancing(seed=1)) as service:
        used = servers_used(service, connections=20, requests=3)
    assert set(used) == {0, 1}
    assert used[::3] == used[1::3] == used[2::3]


@pytest.mark.parametrize("fault", BackendFault)
def test_a_fault_of_a_server_does_not_affect_the_others_and_ends(fault: BackendFault) -> None:
    with two_servers() as service:
        service.backends[BAD].fail(fault, **OPTIONS.get(fault, {}))
        assert service.backends[BAD].fault is fault
        assert images_of(service, HEALTHY) == {ID: "cirros"}
        service.backends[BAD].recover()
        assert service.backends[BAD].fault is None
        assert images_of(service, BAD) == {ID: "cirros"}


def test_a_fault_replaces_the_previous_one_of_the_server() -> None:
    with two_servers() as service:
        for fault in (*BackendFault, BackendFault.EMPTY_DATABASE):
            service.backends[BAD].fail(fault, **OPTIONS.get(fault, {}))
        assert images_of(service, BAD) == {}


def test_empty_database_has_empty_lists() -> None:
    with two_servers() as service:
        service.backends[BAD].fail(BackendFault.EMPTY_DATABASE)
        assert images_of(service, BAD) == {}
        assert status_of(response_of(service, BAD, "GET", "/v2/images")) == 200
        assert status_of(response_of(service, BAD, "GET", f"/v2/images/{ID}")) == 404


def test_stale_replica_shows_the_images_of_the_moment_at_which_the_fault_was_set() -> None:
    with two_servers(SimulatedImage(ID, "old"), SimulatedImage(OLD_ID, "deleted")) as service:
        service.backends[BAD].fail(BackendFault.STALE_REPLICA)
        service.images.change(ID, name="new")
        service.images.delete(OLD_ID)
        service.images.put(SimulatedImage(NEW_ID, "created"))
        assert images_of(service, HEALTHY) == {ID: "new", NEW_ID: "created"}
        assert images_of(service, BAD) == {ID: "old", OLD_ID: "deleted"}


def test_stale_replica_may_be_older_than_its_fault() -> None:
    with two_servers() as service:
        service.backends[BAD].fail(BackendFault.STALE_REPLICA, images=[SimulatedImage(ID, "old")])
        assert images_of(service, BAD) == {ID: "old"}


def test_missing_images_are_not_shown_and_all_others_are_up_to_date() -> None:
    with two_servers(SimulatedImage(ID), SimulatedImage(OLD_ID, "old")) as service:
        service.backends[BAD].fail(BackendFault.IMAGES_MISSING, missing={ID})
        service.images.change(OLD_ID, name="new")
        assert images_of(service, HEALTHY) == {ID: "cirros", OLD_ID: "new"}
        assert images_of(service, BAD) == {OLD_ID: "new"}


def test_other_region_shows_other_images() -> None:
    with two_servers() as service:
        service.backends[BAD].fail(BackendFault.OTHER_REGION)
        assert images_of(service, BAD) == {OTHER_REGION[0].id: "other region"}
        service.backends[BAD].fail(
            BackendFault.OTHER_REGION, images=[SimulatedImage(NEW_ID, "own")]
        )
        assert images_of(service, BAD) == {NEW_ID: "own"}


@pytest.mark.parametrize(
    ("fault", "options", "status"),
    [
        (BackendFault.NOT_FOUND, {}, 404),
        (BackendFault.SERVER_ERROR, {}, 500),
        (BackendFault.SERVER_ERROR, {"code": 502}, 502),
        (BackendFault.CLOSES_CONNECTIONS, {}, 0),
    ],
)
@pytest.mark.parametrize(
    "path", [f"/v1/images/{ID}", f"/v2/images/{ID}", "/v2/images", "/versions"]
)
def test_fault_of_responses_affects_every_request(
    fault: BackendFault, options: dict[str, object], status: int, path: str
) -> None:
    with two_servers() as service:
        service.backends[BAD].fail(fault, **options)
        assert status_of(response_of(service, BAD, "HEAD", path)) == status


def test_slow_server_responds_correctly_but_late() -> None:
    with two_servers() as service:
        service.backends[BAD].fail(BackendFault.SLOW, seconds=0.05)
        response = response_of(service, BAD, "HEAD", f"/v1/images/{ID}")
        assert field(response, b"X-Image-Meta-Id") == ID.encode()
        assert service.log.records[-1].fault == "latency"


def test_servers_share_the_settings_of_the_service() -> None:
    with two_servers() as service:
        service.backends[BAD].fail(BackendFault.STALE_REPLICA)
        service.accept("token")
        assert status_of(response_of(service, BAD, "HEAD", f"/v1/images/{ID}")) == 401


def test_a_fault_of_the_service_precedes_that_of_a_server() -> None:
    with two_servers() as service:
        service.backends[BAD].fail(BackendFault.SERVER_ERROR)
        service.faults.set("status", code=503)
        assert status_of(response_of(service, BAD, "HEAD", f"/v1/images/{ID}")) == 503


def test_faults_may_be_set_on_a_server_for_some_requests_only() -> None:
    with two_servers() as service:
        service.backends[BAD].faults.set("status", on="list", code=500)
        assert status_of(response_of(service, BAD, "GET", "/v2/images")) == 500
        assert status_of(response_of(service, BAD, "GET", f"/v2/images/{ID}")) == 200


def test_service_without_keep_alive_closes_every_connection() -> None:
    service = SimulatedImageService([SimulatedImage(ID)], keep_alive=False)
    with service, wire(service) as client:
        client.send("HEAD", f"/v1/images/{ID}")
        response = client.read_all()
    assert re.search(rb"\r\nConnection: close\r\n\r\n$", response)


def test_service_with_an_idle_timeout_closes_connections_that_send_no_request() -> None:
    service = SimulatedImageService([SimulatedImage(ID)], idle_timeout=0.05)
    with service, wire(service) as client:
        client.ask("HEAD", f"/v1/images/{ID}")
        assert client.read_all() == b""


def test_idle_timeout_does_not_interrupt_a_slow_response() -> None:
    service = SimulatedImageService([SimulatedImage(ID)], idle_timeout=0.1)
    with service, wire(service) as client:
        client.ask("HEAD", f"/v1/images/{ID}")
        service.faults.set("latency", seconds=0.3)
        client.send("HEAD", f"/v1/images/{ID}")
        assert b" 200 " in client.read_all()


def test_unknown_options_of_a_fault_are_rejected_and_every_fault_has_its_function() -> None:
    (backend,) = SimulatedImageService().backends
    with pytest.raises(TypeError, match="missing"):
        backend.fail(BackendFault.IMAGES_MISSING)
    with pytest.raises(TypeError, match="colour"):
        backend.fail(BackendFault.SLOW, colour="red")
    assert backend.fault is None
    assert BACKEND_FAULTS.keys() == set(BackendFault)
