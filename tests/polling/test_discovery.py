"""Discovered images, polled through real sockets: found, superseded, deleted, removed."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from exporter.auth.static_token import StaticTokenAuthenticator
from exporter.clock import now, steady
from exporter.glance.client import ImageClient
from exporter.glance.request_sender import RequestSender
from exporter.model.api_traits import RequestedVersion
from exporter.model.cloud import CloudState, unresolved
from exporter.model.discovery import DiscoveryRule
from exporter.model.instant import Instant
from exporter.model.replies import Deadline
from exporter.model.target import Target, TargetKey
from exporter.polling.discovery import MAX_LOG_LINES, Discovery
from exporter.polling.engine.pacing import MAX_RETRIES, CyclePacing
from exporter.polling.poller import Poller
from exporter.simulator import Release, SimulatedImage, SimulatedImageService
from exporter.store import Store
from exporter.transport.rate_limiter import RateLimiter
from exporter.transport.tls_files import ClientTls
from tests.support.polled_cloud import CLOUD, DIRECT, GENEROUS, PATIENT, quick_cycles
from tests.support.reference_collector import StoreCollector
from tests.support.wait import wait_until

FORGET_AFTER = 3600.0
GOLDEN = DiscoveryRule(name="golden-*", alias="golden")
TAGGED = DiscoveryRule(tags=("ours",))
EXISTS = "openstack_image_exists"
CHANGES = "openstack_image_existence_changes_total"

Series = dict[tuple[str, ...], float]


def golden(image_id: str, day: int, **fields: object) -> SimulatedImage:
    """Return a golden image that was created on that day."""
    at = f"2026-11-{day:02}T00:00:00.000000"
    return SimulatedImage(image_id, name=f"golden-{day}", created_at=at, **fields)  # type: ignore[arg-type]  # fields of it


class DiscoveredCloud:
    """A cloud with discovery, and a clock that a test can advance."""

    def __init__(
        self,
        service: SimulatedImageService,
        entries: list[DiscoveryRule],
        listed: list[str],
        api: RequestedVersion,
    ) -> None:
        self.service = service
        self.store = Store()
        self.ahead = 0.0
        configured = [Target(CLOUD, image_id, image_id) for image_id in listed]
        counts = {entry.alias: 0 for entry in entries if entry.alias is not None}
        self.store.add_cloud(CloudState(CLOUD, PATIENT, resolved_changes=counts), configured)
        self.stopped = threading.Event()
        sender = RequestSender(
            authenticator=StaticTokenAuthenticator(service.url, None, ClientTls()),
            proxy_settings_for=lambda _: DIRECT,
            user_agent="test",
            timeout=PATIENT,
            limiter=RateLimiter(None, steady, self.stopped),
            observe_request=lambda *_: None,
        )
        client = ImageClient(sender, properties=frozenset(), requested_version=api)
        self.discovery = Discovery(
            CLOUD,
            entries,
            configured,
            client=client,
            store=self.store,
            interval=GENEROUS,
            forget_after=FORGET_AFTER,
            clock=self.time,
            random=lambda: 0.0,
        )
        self.poller = Poller(
            CLOUD,
            client,
            configured,
            CyclePacing(PATIENT, PATIENT, 4),
            900.0,
            self.store,
            lambda: 0.0,
            discovery=self.discovery,
        )

    def time(self) -> Instant:
        """Return the current time plus the time by which the test has advanced it."""
        moment = now()
        return Instant(moment.monotonic + self.ahead, moment.wall + self.ahead)

    def cycle(self) -> None:
        """Poll every image once."""
        self.poller.run_cycle()

    def refresh(self) -> None:
        """List the images."""
        self.poller.discover(GENEROUS)

    def series(self, name: str) -> Series:
        """Return the values of a metric by its labels without the cloud."""
        return {
            tuple(value for key, value in sample.labels.items() if key != "cloud"): sample.value
            for family in StoreCollector(self.store, now).collect()
            for sample in family.samples
            if sample.name == name
        }

    @property
    def listing_failure(self) -> str:
        """The reason why the last listing failed, or an empty string."""
        return self.discovery.failure.reason if self.discovery.failure else ""

    @property
    def watched(self) -> dict[str, str]:
        """The alias of each image that is watched, by ID."""
        return {target.image_id: target.alias for target in self.store.targets().values()}


@contextmanager
def discovered_cloud(
    *images: SimulatedImage,
    entries: list[DiscoveryRule],
    listed: list[str] | None = None,
    api: RequestedVersion = "v2",
    release: Release = Release.GLANCE_33,
) -> Iterator[DiscoveredCloud]:
    """Run a cloud with these images, discovery rules and configured images."""
    with SimulatedImageService(images, release=release) as service, quick_cycles():
        cloud = DiscoveredCloud(service, entries, listed or [], api)
        try:
            yield cloud
        finally:
            cloud.stopped.set()
            cloud.poller.stop()


@pytest.fixture(params=["v1", "v2"])
def api(request: pytest.FixtureRequest) -> str:
    """Run a test with either API: discovery is the same."""
    return str(request.param)


def test_first_cycle_polls_discovered_images(api: RequestedVersion, release: Release) -> None:
    images = [SimulatedImage("a", tags=("ours",)), SimulatedImage("b"), golden("c", 1)]
    with discovered_cloud(
        *images, entries=[TAGGED, GOLDEN], listed=["b"], api=api, release=release
    ) as cloud:
        cloud.cycle()
        assert cloud.watched == {"b": "b", "a": "a", "c": "golden"}
        assert cloud.series(EXISTS) == {("b", "b"): 1, ("a", "a"): 1, ("c", "golden"): 1}
        assert cloud.series("openstack_image_target_info") == {
            ("b", "b", "configured"): 1,
            ("a", "a", "discovered"): 1,
            ("c", "golden", "discovered"): 1,
        }
        assert cloud.series("openstack_image_exporter_targets") == {(): 3}
        assert cloud.series("openstack_image_resolved_info") == {("golden", "c"): 1}
        assert cloud.series("openstack_image_resolved_changes_total") == {("golden",): 0}
        (at,) = cloud.series(
            "openstack_image_exporter_discovery_last_success_timestamp_seconds"
        ).values()
        assert abs(now().wall - at) < GENEROUS


def test_superseded_image_of_an_alias_is_removed(
    api: RequestedVersion, release: Release, caplog: pytest.LogCaptureFixture
) -> None:
    """It still exists, so it is removed without having been gone."""
    with discovered_cloud(golden("old", 1), entries=[GOLDEN], api=api, release=release) as cloud:
        cloud.cycle()
        cloud.service.images.put(golden("new", 2))
        with caplog.at_level(logging.INFO, "exporter"):
            cloud.refresh()
        assert cloud.watched == {"old": "golden", "new": "golden"}
        assert cloud.series(EXISTS) == {("old", "golden"): 1}
        cloud.cycle()
        assert cloud.series(EXISTS) == {("new", "golden"): 1}
        assert cloud.series(CHANGES) == {("new", "golden"): 0}
        assert cloud.series("openstack_image_resolved_info") == {("golden", "new"): 1}
        assert cloud.series("openstack_image_resolved_changes_total") == {("golden",): 1}
        assert cloud.series("openstack_image_exporter_targets") == {(): 1}
    fields = {"cloud": CLOUD, "image": "golden"}
    assert [(record.message, record.fields) for record in caplog.records] == [  # type: ignore[attr-defined]  # ours
        ("alias now resolves to another image", fields | {"old": "old", "new": "new"}),
        ("image no longer matches", fields | {"image_id": "old"}),
        ("image discovered", fields | {"image_id": "new"}),
    ]


def test_deleted_image_is_gone_and_later_removed(api: RequestedVersion, release: Release) -> None:
    """A configured image stays."""
    images = [golden("old", 1), golden("new", 2), SimulatedImage("listed")]
    with discovered_cloud(
        *images, entries=[GOLDEN], listed=["listed"], api=api, release=release
    ) as cloud:
        cloud.cycle()
        cloud.service.images.delete("new")
        cloud.service.images.delete("listed")
        cloud.service.images.put(SimulatedImage("other"))
        cloud.refresh()
        # Both at once look like a lost role, so a second cycle has to confirm it.
        cloud.cycle()
        cloud.cycle()
        shown = {("listed", "listed"): 0.0, ("old", "golden"): 1.0, ("new", "golden"): 0.0}
        assert cloud.series(EXISTS) == shown
        assert cloud.series(CHANGES)["new", "golden"] == 1
        cloud.ahead = FORGET_AFTER - GENEROUS
        cloud.cycle()
        assert cloud.series(EXISTS) == shown
        cloud.ahead = FORGET_AFTER
        cloud.cycle()
        del shown["new", "golden"]
        assert cloud.series(EXISTS) == shown


def test_image_that_returns_keeps_its_counters(release: Release) -> None:
    with discovered_cloud(
        golden("a", 1),
        SimulatedImage("b", tags=("ours",)),
        entries=[GOLDEN, TAGGED],
        release=release,
    ) as cloud:
        cloud.cycle()
        cloud.service.images.delete("a")
        cloud.refresh()
        cloud.cycle()
        assert cloud.series(EXISTS)["a", "golden"] == 0
        cloud.service.images.put(golden("a", 1))
        cloud.refresh()
        cloud.cycle()
        assert cloud.series(EXISTS)["a", "golden"] == 1
        assert cloud.series(CHANGES)["a", "golden"] == 2
        cloud.ahead = 2 * FORGET_AFTER
        cloud.cycle()
        assert cloud.series(EXISTS)["a", "golden"] == 1


def test_response_older_than_the_listing_removes_no_image() -> None:
    with discovered_cloud(golden("a", 1), entries=[GOLDEN]) as cloud:
        cloud.cycle()
        cloud.service.faults.set("hang", on="a")
        cloud.service.log.clear()
        thread = threading.Thread(target=cloud.cycle)
        thread.start()
        wait_until(lambda: cloud.service.log.in_flight == 1)
        cloud.service.images.change("a", name="x")
        cloud.refresh()
        cloud.service.faults.clear()
        thread.join(GENEROUS)
        assert cloud.series(EXISTS) == {("a", "golden"): 1}
        cloud.cycle()
        assert cloud.series(EXISTS) == {}


FAULTS = {
    "an error": ("status", {"code": 500}),
    "no response": ("reset", {}),
    "no list": ("status", {"code": 200}),
    "no v2": ("status", {"code": 300}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_failed_discovery_changes_nothing_and_is_logged_once(
    fault: str, release: Release, caplog: pytest.LogCaptureFixture
) -> None:
    name, options = FAULTS[fault]
    with discovered_cloud(
        golden("a", 1), SimulatedImage("b"), entries=[GOLDEN], listed=["b"], release=release
    ) as cloud:
        cloud.cycle()
        before = cloud.store.cloud(CLOUD)
        cloud.service.images.change("a", name="x")
        cloud.service.faults.set(name, on="list", **options)
        with caplog.at_level(logging.INFO, "exporter"):
            cloud.refresh()
            cloud.refresh()
            assert cloud.watched == {"b": "b", "a": "golden"}
            assert cloud.listing_failure
            failed = cloud.discovery.failure
            assert cloud.store.cloud(CLOUD) == replace(before, discovery_failure=failed)
            cloud.service.faults.clear()
            cloud.refresh()
        assert not cloud.listing_failure
        assert cloud.store.cloud(CLOUD).discovery_failure is None
        assert [record.message for record in caplog.records] == [
            "discovery failed",
            "discovery recovered",
            "image no longer matches",
        ]


def test_another_cause_of_a_failed_discovery_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The reason stays: first the connection fails after the request, then before it."""
    with discovered_cloud(golden("a", 1), entries=[GOLDEN]) as cloud:
        cloud.service.faults.set("reset", on="list")
        for _ in range(2):
            cloud.refresh()
        cloud.service.stop()
        for _ in range(2):
            cloud.refresh()
    logged = [record.fields for record in caplog.records if record.message == "discovery failed"]  # type: ignore[attr-defined]  # ours
    assert [fields["reason"] for fields in logged] == ["connection"] * 2
    assert logged[0]["detail"] != logged[1]["detail"]


def test_incomplete_listing_changes_nothing(release: Release) -> None:
    with discovered_cloud(
        *(golden(str(day), day) for day in range(1, 8)),
        entries=[DiscoveryRule(name="g*")],
        release=release,
    ) as cloud:
        cloud.service.api.page_limit = 3
        cloud.cycle()
        assert len(cloud.watched) == 7
        cloud.service.images.delete("7")
        cloud.service.faults.set("latency", on="list", times=2)
        cloud.service.faults.set("status", code=503)
        cloud.service.log.clear()
        cloud.refresh()
        assert [record.fault for record in cloud.service.log.records] == [
            "latency",
            "latency",
            *["status"] * (1 + MAX_RETRIES),
        ]
        assert len(cloud.watched) == 7
        assert cloud.listing_failure == "server_error"
        cloud.service.faults.clear()
        cloud.cycle()
        assert len(cloud.watched) == 7


def test_every_cycle_lists_images_until_a_listing_succeeded(release: Release) -> None:
    with discovered_cloud(golden("a", 1), entries=[GOLDEN], release=release) as cloud:
        cloud.service.faults.set("status", code=503)
        cloud.cycle()
        assert cloud.series("openstack_image_api_up") == {(): 0}
        assert (
            cloud.series("openstack_image_exporter_discovery_last_success_timestamp_seconds") == {}
        )
        assert unresolved(cloud.store.cloud(CLOUD)) == ("golden",)
        cloud.service.faults.clear()
        cloud.cycle()
        assert cloud.series(EXISTS) == {("a", "golden"): 1}
        cloud.service.log.clear()
        cloud.cycle()
        assert cloud.service.log.count(path="limit=1000&member") == 0


def test_api_is_up_without_a_single_image(release: Release) -> None:
    with discovered_cloud(SimulatedImage("a"), entries=[GOLDEN], release=release) as cloud:
        cloud.cycle()
        assert cloud.series("openstack_image_api_up") == {(): 1}
        assert cloud.series("openstack_image_exporter_targets") == {(): 0}


def test_no_listing_while_the_breaker_is_open_or_during_retry_after(release: Release) -> None:
    with discovered_cloud(golden("a", 1), entries=[GOLDEN], release=release) as cloud:
        cloud.cycle()
        cloud.service.log.clear()
        cloud.store.update_cloud(CLOUD, lambda state: replace(state, breaker_open=True))
        cloud.refresh()
        assert cloud.service.log.requests == 0
        cloud.store.update_cloud(CLOUD, lambda state: replace(state, breaker_open=False))
        cloud.service.faults.set("status", code=429, headers={"Retry-After": "60"})
        cloud.refresh()
        cloud.refresh()
        cloud.cycle()
        assert cloud.service.log.requests == 1
        assert cloud.store.observation(TargetKey(CLOUD, "a")).failure is not None


def test_listings_do_not_overlap() -> None:
    with discovered_cloud(golden("a", 1), entries=[GOLDEN]) as cloud:
        cloud.service.faults.set("hang")
        window = Deadline(steady() + GENEROUS, steady() + GENEROUS)
        thread = threading.Thread(target=cloud.discovery.refresh, args=(window,))
        thread.start()
        wait_until(lambda: cloud.service.log.in_flight == 1)
        cloud.discovery.refresh(window)
        assert cloud.service.log.requests == 1
        cloud.service.faults.clear()
        thread.join(GENEROUS)
        assert cloud.discovery.is_listed


def test_listing_interrupted_by_stop_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with discovered_cloud(golden("a", 1), entries=[GOLDEN]) as cloud:
        cloud.service.faults.set("hang")
        thread = threading.Thread(target=cloud.cycle)
        thread.start()
        wait_until(lambda: cloud.service.log.in_flight == 1)
        cloud.poller.stop()
        thread.join(GENEROUS)
        assert not thread.is_alive()
        cloud.refresh()
    assert caplog.records == []


def test_many_discovered_images_are_few_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    images = [golden(str(number), 1) for number in range(50)]
    with (
        discovered_cloud(*images, entries=[DiscoveryRule(name="golden*")]) as cloud,
        caplog.at_level(logging.INFO, "exporter"),
    ):
        cloud.refresh()
        assert len(cloud.watched) == 50
    messages = [record.message for record in caplog.records]
    assert messages == [
        *["image discovered"] * MAX_LOG_LINES,
        "further discovery changes suppressed",
    ]
    assert caplog.records[-1].fields == {"cloud": CLOUD, "suppressed": 30}  # type: ignore[attr-defined]  # ours


@pytest.mark.parametrize(
    ("owner", "discovered"), [(None, "community"), ("p1", "public"), ("p2", "community")]
)
def test_community_images_of_other_projects_are_discovered(
    owner: str | None, discovered: str, api: RequestedVersion, release: Release
) -> None:
    images = [
        golden("public", 1, owner="p1", visibility="public"),
        golden("community", 2, owner="p2", visibility="community"),
        golden("private", 3, owner="p2"),
    ]
    rule = DiscoveryRule(name="golden-*", owner=owner, alias="golden")
    with discovered_cloud(*images, entries=[rule], api=api, release=release) as cloud:
        cloud.cycle()
        assert cloud.series(EXISTS) == {(discovered, "golden"): 1}
        assert not cloud.listing_failure


def test_upgrade_or_downgrade_of_the_service_changes_nothing() -> None:
    images = [golden("a", 1), golden("b", 2, owner="other", visibility="community")]
    with discovered_cloud(
        *images, entries=[DiscoveryRule(name="golden-*")], release=Release.GLANCE_33
    ) as cloud:
        for release in (Release.GLANCE_33, Release.GLANCE_15, Release.GLANCE_33):
            cloud.service.api.release = release
            cloud.refresh()
            cloud.cycle()
            assert not cloud.listing_failure
            assert cloud.series(EXISTS) == {("a", "a"): 1, ("b", "b"): 1}


def test_hidden_images_and_those_of_other_owners_are_not_discovered() -> None:
    images = [
        golden("a", 1, owner="p1", visibility="public"),
        golden("b", 2, owner="p2", visibility="community"),
        golden("c", 3, owner="p1", visibility="public", hidden=True),
    ]
    with discovered_cloud(
        *images, entries=[DiscoveryRule(name="golden-*", owner="p1", alias="golden")]
    ) as cloud:
        cloud.cycle()
        assert cloud.watched == {"a": "golden"}
        cloud.service.images.change("a", hidden=True)
        cloud.refresh()
        cloud.cycle()
        assert cloud.watched == {}
        assert cloud.series("openstack_image_resolved_info") == {}
        assert unresolved(cloud.store.cloud(CLOUD)) == ("golden",)
