import itertools
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from exporter.auth.base import AuthToken
from exporter.auth.token_file import TokenFileAuthenticator
from exporter.clock import now, steady
from exporter.glance.client import ImageClient
from exporter.model.api_traits import RequestedVersion
from exporter.model.instant import Instant
from exporter.model.outcome import Failed
from exporter.model.replies import Deadline
from exporter.polling.engine.contradictions import USUAL
from exporter.polling.engine.pacing import CyclePacing
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.transport.tls_files import ClientTls
from tests.support.polled_cloud import (
    CLOUD,
    GENEROUS,
    PolledCloud,
    image_service,
    polled_cloud,
    threads,
)
from tests.support.reference_collector import StoreCollector
from tests.support.wait import wait_until

IDS = ["a", "b", "c", "d"]
START = time.time()
FORGED_404 = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """Run a service with four images."""
    with image_service(IDS) as running:
        yield running


@pytest.fixture
def lab(service: SimulatedImageService) -> Iterator[PolledCloud]:
    """Run a poller that has found all images in its first cycle."""
    with polled_cloud(service.url, IDS) as lab:
        lab.cycle()
        assert lab.exists() == dict.fromkeys(IDS, True)
        yield lab


def samples(lab: PolledCloud, moment: Instant) -> dict[str, dict[str, float]]:
    """Return the values on /metrics at an instant, by family and image."""
    return {
        family.name: {sample.labels.get("image", ""): sample.value for sample in family.samples}
        for family in StoreCollector(lab.store, lambda: moment).collect()
    }


def test_deleted_image_is_gone_after_one_cycle(
    service: SimulatedImageService, lab: PolledCloud
) -> None:
    service.images.delete("b")
    lab.cycle()
    assert lab.exists() == {"a": True, "b": False, "c": True, "d": True}
    assert lab.reasons() == dict.fromkeys(IDS, "")
    shown = samples(lab, now())
    assert shown["openstack_image_exists"] == {"a": 1, "b": 0, "c": 1, "d": 1}
    assert shown["openstack_image_api_up"] == {"": 1}
    connections = [record.connection for record in service.log.records if record.status == 404]
    assert len(set(connections)) == len(connections) == 1 + USUAL.rechecks + USUAL.probes
    service.images.put(SimulatedImage("b"))
    lab.cycle()
    assert lab.exists() == dict.fromkeys(IDS, True)


def test_outage_changes_only_poll_success_and_api_up(
    service: SimulatedImageService, lab: PolledCloud
) -> None:
    service.stop()
    for _ in range(3):
        lab.cycle()
        shown = samples(lab, now())
        assert shown["openstack_image_exists"] == dict.fromkeys(IDS, 1)
        assert shown["openstack_image_poll_success"] == dict.fromkeys(IDS, 0)
        assert shown["openstack_image_api_up"] == {"": 0}


def test_no_image_is_gone_while_everything_is_404(
    service: SimulatedImageService,
) -> None:
    """The list is 404 as well."""
    with polled_cloud(service.url, IDS, interval=0.05, timeout=0.5) as lab:
        # On a busy machine one cycle may be too short for all images.
        while lab.exists() != dict.fromkeys(IDS, True):
            lab.cycle()
        service.faults.set("status", code=404)
        for _ in range(30):
            lab.cycle()
            assert lab.exists() == dict.fromkeys(IDS, True)
        assert lab.state.api_up is False
        assert not lab.state.mass_disappearance
        assert lab.state.failures["unconfirmed"] > 30


@pytest.mark.parametrize("api", ["v1", "v2"])
@pytest.mark.parametrize("watched", [1, 2, 3])
def test_no_image_is_gone_while_a_policy_hides_single_images(
    api: RequestedVersion, watched: int
) -> None:
    """Lists go on, but their first page has none of the watched images."""
    ids = [f"image-{number}" for number in range(12)]
    with image_service(ids) as service, polled_cloud(service.url, ids[-watched:], api=api) as lab:
        lab.cycle()
        service.faults.set("status", on="images", code=404)
        for _ in range(3):
            lab.cycle()
            assert set(lab.exists().values()) == {True}
        service.faults.clear()
        lab.cycle()
        assert set(lab.reasons().values()) == {""}


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_api_that_hangs_for_a_whole_cycle_is_down(api: RequestedVersion) -> None:
    """This includes a cycle that ends before any request has timed out by itself."""
    with (
        image_service(IDS) as service,
        polled_cloud(service.url, IDS, interval=2.0, timeout=2.0, api=api) as lab,
    ):
        lab.cycle()
        assert set(lab.reasons().values()) == {""}
        service.faults.set("hang")
        lab.cycle()
        assert "timeout" in lab.reasons().values()
        assert lab.state.api_up is False
        assert lab.exists() == dict.fromkeys(IDS, True)


def test_lost_role_makes_images_gone_after_two_cycles(
    service: SimulatedImageService, lab: PolledCloud
) -> None:
    for image_id in IDS:
        service.images.delete(image_id)
    lab.cycle()
    assert lab.exists() == dict.fromkeys(IDS, True)
    assert lab.reasons() == dict.fromkeys(IDS, "unconfirmed")
    assert lab.state.api_up
    lab.cycle()
    assert lab.exists() == dict.fromkeys(IDS, False)
    assert lab.state.mass_disappearance
    lab.cycle()
    assert lab.state.mass_disappearance
    service.images.put(SimulatedImage("a"))
    lab.cycle()
    assert not lab.state.mass_disappearance


def test_values_are_dropped_when_polling_has_stopped(lab: PolledCloud) -> None:
    """Time alone drops them after max_stale."""
    moment = now()
    fresh = samples(lab, Instant(moment.monotonic + 800, moment.wall + 800))
    stale = samples(lab, Instant(moment.monotonic + 1000, moment.wall + 1000))
    assert fresh["openstack_image_exists"] == dict.fromkeys(IDS, 1)
    assert len(fresh["openstack_image_size_bytes"]) == len(IDS)
    assert stale["openstack_image_exists"] == {}
    assert stale["openstack_image_size_bytes"] == {}
    assert stale["openstack_image_poll_success"] == dict.fromkeys(IDS, 1)


def test_connections_are_reused_across_cycles(service: SimulatedImageService) -> None:
    ids = [f"image-{number}" for number in range(40)]
    for image_id in ids:
        service.images.put(SimulatedImage(image_id))
    service.faults.set("latency", seconds=0.01)
    with polled_cloud(service.url, ids, concurrency=5) as lab:
        for _ in range(3):
            lab.cycle()
        assert lab.poller.client.sender.connections <= 5
    assert service.log.connections_opened <= 5
    assert service.log.max_in_flight <= 5
    # Of 120 polls; on a busy machine some come too late for their cycle.
    assert service.log.count(method="HEAD") > 40


def test_connection_closed_between_requests_fails_no_poll(
    service: SimulatedImageService,
) -> None:
    service.faults.set("close_after")
    with polled_cloud(service.url, IDS, concurrency=1) as lab:
        for _ in range(3):
            lab.cycle()
            assert lab.reasons() == dict.fromkeys(IDS, "")
        assert lab.state.retries == 0


@pytest.mark.parametrize("fault", ["hang", "hang_in_head", "trickle"])
def test_stop_during_hanging_requests_ends_within_a_second(
    service: SimulatedImageService, fault: str
) -> None:
    """Polls in flight do not count as failed."""
    service.faults.set(fault)
    with polled_cloud(service.url, IDS, interval=60.0, timeout=30.0) as lab:
        running = threading.Thread(target=lab.cycle)
        running.start()
        wait_until(lambda: service.log.in_flight == 1)
        began = steady()
        lab.poller.stop()
        running.join(GENEROUS)
        wait_until(lambda: not threads())
        assert steady() - began < 1.0
        assert lab.reasons() == dict.fromkeys(IDS, "")
        assert lab.state.polls == 0
        lab.cycle()
        assert lab.state.polls == 0
    wait_until(lambda: service.log.connections_open == 0)


def test_each_image_has_one_outcome_at_the_deadline(service: SimulatedImageService) -> None:
    service.faults.set("hang")
    left: list[int] = []
    with polled_cloud(service.url, IDS, interval=0.5, timeout=30.0, concurrency=2) as lab:
        began = steady()
        lab.poller.run_cycle(left.append)
        assert steady() - began < 1.5
        assert left == [3, 2, 1, 0]
        assert set(lab.reasons().values()) == {"timeout", "not_polled"}
        assert lab.state.polls == sum(lab.state.failures.values()) == 4
        wait_until(lambda: not threads())


def test_observer_gets_the_number_of_images_left(service: SimulatedImageService) -> None:
    left: list[int] = []
    with polled_cloud(service.url, IDS) as lab:
        lab.poller.run_cycle(left.append)
    assert left == [3, 2, 1, 0]


def test_failing_observer_loses_no_outcome(
    service: SimulatedImageService, caplog: pytest.LogCaptureFixture
) -> None:

    def on_progress(left: int) -> None:
        assert left != 2, "as the test has it"

    with polled_cloud(service.url, IDS) as lab:
        lab.poller.run_cycle(on_progress)
        assert lab.exists() == dict.fromkeys(IDS, True)
    assert "as the test has it" in caplog.text


@pytest.mark.parametrize("forged", ["404", "200"])
def test_forged_late_response_changes_no_image(service: SimulatedImageService, forged: str) -> None:
    """Stray bytes after one response reach the next request on the connection."""
    data = {
        "404": FORGED_404,
        "200": b"HTTP/1.1 200 OK\r\nX-Image-Meta-Id: b\r\nX-Image-Meta-Status: killed\r\n\r\n",
    }[forged]
    service.faults.set("leftover", on="a", data=data, held=True)
    with polled_cloud(service.url, ["a", "b", "c"], interval=5.0, timeout=2, concurrency=1) as lab:
        running = threading.Thread(target=lab.cycle)
        running.start()
        # The second request waits behind the bytes that followed the first response.
        wait_until(lambda: any(connection._buffer for connection in tuple(service.connections)))
        service.faults.clear()
        running.join(GENEROUS)
        for image_id in ("b", "c"):
            assert lab.reason(image_id) in {"", "malformed"}
            image = lab.observation(image_id).image
            assert image is None or image.status == "active"
            assert lab.observation(image_id).exists is not False


def test_stray_bytes_found_at_the_end_retract_the_outcome(service: SimulatedImageService) -> None:
    """No counter decreases or counts the same change twice."""
    last, counts = IDS[-1], list[int]()
    with polled_cloud(service.url, IDS, concurrency=1) as lab:
        lab.cycle()
        service.faults.set("leftover", on=last, data=FORGED_404, held=True)
        service.images.change(last, status="deactivated")

        def on_progress(left: int) -> None:
            counts.append(lab.observation(last).change_counts.status)
            if not left:
                service.faults.clear()

        with mock.patch.object(CyclePacing, "drain_timeout", 1.0):
            lab.poller.run_cycle(on_progress)
        seen = lab.observation(last)
        assert [*counts, seen.change_counts.status] == [0, 0, 0, 1, 1]
        assert lab.reason(last) == "malformed"
        assert seen.image is not None
        assert seen.image.status == "active"
        assert lab.state.failures == {"malformed": 1}
        assert lab.state.polls == 8
        lab.cycle()
        assert lab.observation(last).change_counts.status == 1
        assert lab.reasons() == dict.fromkeys(IDS, "")


def test_stray_bytes_found_while_the_next_cycle_is_prepared_retract_nothing(
    lab: PolledCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.cycle()

    def find_stray_bytes(client: ImageClient, _: Deadline) -> None:
        client.sender.on_desync((1, "a"))
        assert lab.reason("a") == ""

    monkeypatch.setattr(ImageClient, "choose_version", find_stray_bytes)
    lab.cycle()
    assert lab.state.failures == {}


def test_open_breaker_is_exported_at_once_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    ids = [f"image-{number}" for number in range(20)]
    with (
        image_service(ids) as service,
        polled_cloud(service.url, ids, timeout=2.0, concurrency=1) as lab,
    ):
        lab.cycle()
        service.faults.set("status", code=500)
        service.faults.set("hang", on=ids[-1])
        lab.cycle()
        assert (lab.state.breaker_open, lab.state.api_up) == (True, False)
        requests_before = service.log.requests
        lab.cycle()
        assert service.log.requests == requests_before + 1
        service.faults.clear()
        lab.cycle()
        assert (lab.state.breaker_open, lab.state.api_up) == (False, True)
        assert lab.reasons() == dict.fromkeys(ids, "")
    assert caplog.text.count("API is down") == 1
    assert caplog.text.count("API recovered") == 1


def test_retry_after_is_obeyed_and_counted(
    service: SimulatedImageService, lab: PolledCloud, caplog: pytest.LogCaptureFixture
) -> None:
    """An unreadable Retry-After is capped, and logged once."""
    service.faults.set("status", code=429, headers={"Retry-After": "soon"})
    requests_before = service.log.requests
    lab.cycle()
    assert 1 <= service.log.requests - requests_before <= 4
    assert set(lab.reasons().values()) == {"rate_limited", "not_polled"}
    assert lab.state.rate_limit_wait == pytest.approx(300, abs=1)
    assert lab.state.api_up
    service.faults.clear()
    requests_before = service.log.requests
    lab.cycle()
    assert service.log.requests == requests_before
    assert caplog.text.count("Retry-After is too long, negative or unreadable") == 1


def test_rate_limit_covers_polls_and_rechecks() -> None:
    ids = [f"image-{number}" for number in range(30)]
    with image_service(ids[:20]) as service:
        service.faults.set("status", on=ids[0], code=500, times=2)
        with polled_cloud(service.url, ids, interval=60.0, rate=100, concurrency=16) as lab:
            lab.cycle()
            assert lab.state.rate_limit_wait > 0
            assert sum(seen is False for seen in lab.exists().values()) == 10
        times = sorted(record.at for record in service.log.records)
        assert len(times) > 40
        assert times[-1] - times[0] >= (len(times) - 1) / 100 - 0.05


def test_images_beyond_the_rate_limit_are_not_polled(
    service: SimulatedImageService,
) -> None:
    with polled_cloud(service.url, IDS, interval=3, rate=0.6, concurrency=4) as lab:
        lab.cycle()
        assert sorted(lab.reasons().values()) == ["", "", "not_polled", "not_polled"]


def test_late_cycle_keeps_the_plan_and_skipped_ones_are_counted(
    service: SimulatedImageService,
) -> None:
    with polled_cloud(service.url, ["a"], interval=0.2) as lab:
        lab.cycle()
        begun = steady() - (lab.state.last_cycle_duration or 0.0)
        while steady() < begun + 0.7:
            threading.Event().wait(0.005)
        lab.cycle()
        assert lab.state.cycles_skipped == 2
        assert 0.0 <= (lab.state.cycle_lag or 0.0) < 0.2


def test_concurrency_needed_is_logged_and_exported(caplog: pytest.LogCaptureFixture) -> None:
    ids = [f"image-{number}" for number in range(30)]
    with image_service(ids) as service:
        service.faults.set("latency", seconds=0.05)
        with polled_cloud(service.url, ids, interval=0.4, concurrency=1) as lab:
            lab.cycle()
            assert "not_polled" in lab.reasons().values()
            assert (lab.state.concurrency_needed or 0) >= 4
    assert "cycle too short to poll every image" in caplog.text


def test_state_of_the_cloud_after_a_cycle(lab: PolledCloud) -> None:
    cloud = lab.state
    assert (cloud.name, cloud.polls, cloud.failures, cloud.retries) == (CLOUD, 4, {}, 0)
    assert (cloud.api_up, cloud.breaker_open, cloud.api_version) == (True, False, "v1")
    assert START < (cloud.last_cycle_at or 0) <= time.time()
    assert abs(cloud.clock_skew or 9) < 5
    assert (cloud.token_expires_at, cloud.authentications) == (None, 0)
    assert cloud.auth_failure is None
    started = (cloud.last_cycle_at or 0) - (cloud.last_cycle_duration or 0)
    assert abs((cloud.next_cycle_at or 0) - started - cloud.interval) < 0.5


def test_authentication_failure_is_kept_until_an_attempt_succeeds(
    service: SimulatedImageService, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    signin = TokenFileAuthenticator(service.url, path, ClientTls(), now)
    with polled_cloud(service.url, IDS, signin=signin) as lab:
        lab.cycle()
        assert lab.state.auth_failure == Failed(
            "unauthorized", f"token file {path} cannot be read: No such file or directory"
        )
        path.write_text("a-token")
        signin.renew(AuthToken(service.url, None, None, generation=0))
        lab.cycle()
        assert lab.state.auth_failure is None


def test_polls_add_up_over_cycles(service: SimulatedImageService, lab: PolledCloud) -> None:
    for cycle in itertools.count(2):
        service.faults.set("status", on="a", code=403)
        lab.cycle()
        assert lab.state.polls == cycle * len(IDS)
        assert lab.state.failures == {"forbidden": cycle - 1}
        if cycle == 3:
            break
