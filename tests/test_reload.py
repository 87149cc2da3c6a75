"""Reload of the settings: the state that remains, and what is added, replaced and removed."""

import logging
import re
import threading
from pathlib import Path
from typing import cast

import pytest

from exporter.app import CloudRuntime
from exporter.config import Cloud, Settings, resolved_clouds
from exporter.polling.poller import Poller
from exporter.reload import INTERNAL_ERROR, diff
from exporter.simulator import SimulatedImageService
from exporter.simulator.keystone import SimulatedKeystone
from tests.reloading import LAB, ReloadableExporter, cloud, exporting, run_concurrently
from tests.support.clouds_yaml import write_clouds_yaml
from tests.support.examples import repetitions
from tests.support.program import ABSENT, GOLDEN, UBUNTU, Metrics, simulated
from tests.support.wait import wait_until

STATUS_CHANGES = "openstack_image_status_changes_total"
EXISTS = "openstack_image_exists"
POLLS = "openstack_image_exporter_polls_total"
REQUESTS = "openstack_image_exporter_requests_total"
SUCCESSFUL = "openstack_image_exporter_config_last_reload_successful"
SUCCESS_AT = "openstack_image_exporter_config_last_reload_success_timestamp_seconds"

pytestmark = pytest.mark.usefixtures("clean_configuration")


def count_a_status_change(exporter: ReloadableExporter, service: SimulatedImageService) -> None:
    """Let two cycles count a change of the golden image's status."""
    exporter.wait_for_cycle()
    service.images.change(GOLDEN, status="deactivated")
    exporter.run_cycle_now()
    wait_until(lambda: exporter.metrics().value(STATUS_CHANGES, image=GOLDEN) == 1)


def test_remaining_image_keeps_its_counters_and_removed_image_has_no_series(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    service.images.put(simulated(ABSENT))
    with exporting(
        tmp_path, cloud(service.url, GOLDEN, UBUNTU), interval="2s", timeout="1s"
    ) as exporter:
        count_a_status_change(exporter, service)
        poller = exporter.application.pollers[0]
        before = exporter.observation(GOLDEN)
        image = {"id": GOLDEN, "alias": "golden", "expect": {"protected": True}}
        assert exporter.reload(cloud(service.url, image, ABSENT), interval="2s", timeout="1s") == ()
        assert exporter.application.pollers == (poller,)
        exporter.wait_for_poll(ABSENT)
        after = exporter.observation(GOLDEN)
        assert (after.change_counts, after.change_baseline) == (
            before.change_counts,
            before.change_baseline,
        )
        text = exporter.text()
        assert UBUNTU not in text
        metrics = Metrics(text)
        assert metrics.value(STATUS_CHANGES, image="golden") == 1
        assert metrics.value(STATUS_CHANGES, image_id=ABSENT) == 0
        assert metrics.value("openstack_image_expectation_met", image="golden") == 0
        assert metrics.value("openstack_image_exporter_targets") == 2
        service.images.change(GOLDEN, status="active")
        wait_until(lambda: exporter.metrics().value(STATUS_CHANGES, image="golden") == 2)


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_new_images_are_polled_immediately_between_and_during_cycles(
    tmp_path: Path, service: SimulatedImageService, api: str
) -> None:
    for number in range(8):
        service.images.put(simulated(f"new-{number}"))
    with exporting(tmp_path, cloud(service.url, GOLDEN, UBUNTU, api=api)) as exporter:
        exporter.wait_for_cycle()
        images = [GOLDEN, UBUNTU]
        # The first reload starts a cycle (they are hourly); the others come during that cycle.
        for new in (["new-0"], ["new-1"], [f"new-{number}" for number in range(2, 8)]):
            images += new
            assert exporter.reload(cloud(service.url, *images, api=api)) == ()
            exporter.wait_for_poll(*new)
            assert [exporter.observation(image_id).exists for image_id in new] == [True] * len(new)
        assert exporter.application.store.cloud(LAB).cycles_skipped == 0


def test_image_that_is_removed_and_added_again_starts_without_history(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    with exporting(tmp_path, cloud(service.url, GOLDEN, UBUNTU)) as exporter:
        count_a_status_change(exporter, service)
        assert exporter.reload(cloud(service.url, UBUNTU)) == ()
        assert exporter.reload(cloud(service.url, UBUNTU, GOLDEN)) == ()
        exporter.wait_for_poll(GOLDEN)
        assert exporter.metrics().value(STATUS_CHANGES, image=GOLDEN) == 0


@pytest.mark.parametrize("field", ["endpoint", "concurrency", "interval", "api", "token"])
def test_reconfigured_cloud_is_polled_immediately_and_keeps_its_history(
    tmp_path: Path, service: SimulatedImageService, field: str
) -> None:
    with (
        SimulatedImageService([simulated(GOLDEN), simulated(UBUNTU)]) as other,
        exporting(tmp_path, cloud(service.url, GOLDEN, UBUNTU, api="v1")) as exporter,
    ):
        count_a_status_change(exporter, service)
        other.images.change(GOLDEN, status="deactivated")
        changed = {
            "endpoint": other.url,
            "concurrency": 3,
            "interval": "2h",
            "api": "v2",
            "token": "secret",
        }[field]
        polls = exporter.metrics().value(POLLS)
        poller = exporter.application.pollers[0]
        entry = {**cloud(service.url, GOLDEN, UBUNTU, api="v1"), field: changed}
        assert exporter.reload(entry) == ()
        assert exporter.application.pollers[0] is not poller
        metrics = exporter.metrics()
        assert metrics.value(STATUS_CHANGES, image=GOLDEN) == 1
        assert metrics.values(EXISTS) == [1, 1]
        assert (metrics.value(POLLS) or 0) >= (polls or 0)
        wait_until(lambda: exporter.metrics().value(POLLS) == (polls or 0) + 2)
        polled_service = other if field == "endpoint" else service
        last = polled_service.log.records[-1].request
        assert last.headers.get("x-auth-token") == ("secret" if field == "token" else None)
        assert exporter.metrics().value(STATUS_CHANGES, image=GOLDEN) == 1
        wait_until(lambda: service.log.connections_open <= (field != "endpoint"))


def test_removed_cloud_has_no_series_and_added_cloud_starts_at_0(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    one, two, three = (
        cloud(service.url, GOLDEN, name=name, api="v1") for name in ("one", "two", "three")
    )
    with exporting(tmp_path, one, two) as exporter:
        exporter.wait_for_cycle("one")
        exporter.wait_for_cycle("two")
        service.faults.set("hang")
        assert exporter.reload(three, two) == ()
        text = exporter.text()
        assert 'cloud="one"' not in text
        metrics = Metrics(text)
        assert metrics.value(POLLS, cloud="three") == 0
        assert metrics.value(REQUESTS, cloud="three", method="HEAD", code="200") == 0
        assert metrics.value(REQUESTS, cloud="two", method="HEAD", code="200") == 1
        assert re.findall(rf'^{POLLS}{{cloud="(\w+)"', text, re.MULTILINE) == ["three", "two"]
        assert re.findall(rf'^{EXISTS}{{cloud="(\w+)"', text, re.MULTILINE) == ["two"]
        service.faults.clear()
        exporter.wait_for_cycle("three")


def test_invalid_settings_are_logged_and_change_nothing(
    tmp_path: Path, service: SimulatedImageService, caplog: pytest.LogCaptureFixture
) -> None:
    with exporting(tmp_path, cloud(service.url, GOLDEN)) as exporter:
        exporter.wait_for_cycle()
        poller, used_at = exporter.application.pollers[0], exporter.metrics().value(SUCCESS_AT)
        bad = {
            "interval": exporter.reload(cloud(service.url, UBUNTU), interval="soon", nonsense=1),
            "bundle": exporter.reload(cloud(service.url, UBUNTU, token_file="missing")),
        }
        file = tmp_path / "exporter.yml"
        file.write_text("clouds: [")
        bad["yaml"] = exporter.reloader.reload("test")
        file.unlink()
        bad["missing"] = exporter.reloader.reload("test")
        assert {key: len(lines) for key, lines in bad.items()} == {
            "interval": 2,
            "bundle": 1,
            "yaml": 1,
            "missing": 1,
        }
        assert bad["interval"][0] == (
            f"{file}: interval: 'soon' is not a duration; accepted: 30s, 1m30s, 15m, 90d"
        )
        assert bad["bundle"][0].startswith(f"cloud 'lab': token file {tmp_path / 'missing'} cannot")
        logged = [
            record.__dict__["fields"]["error"]
            for record in caplog.records
            if record.levelno == logging.ERROR
        ]
        assert logged == [line for lines in bad.values() for line in lines]
        metrics = exporter.metrics()
        assert (metrics.value(SUCCESSFUL), metrics.value(SUCCESS_AT)) == (0, used_at)
        assert metrics.values(EXISTS) == [1]
        assert exporter.application.pollers == (poller,)
        assert exporter.reloaded == []

        assert exporter.reload(cloud(service.url, GOLDEN)) == ()
        metrics = exporter.metrics()
        assert metrics.value(SUCCESSFUL) == 1
        assert (metrics.value(SUCCESS_AT) or 0) > (used_at or 0)
        assert exporter.application.pollers == (poller,)
        assert exporter.reloaded == [exporter.load_settings()]


def test_unexpected_exception_is_logged_and_changes_nothing(
    tmp_path: Path, service: SimulatedImageService, caplog: pytest.LogCaptureFixture
) -> None:
    with exporting(tmp_path, cloud(service.url, GOLDEN)) as exporter:

        def fail() -> Settings:
            raise ZeroDivisionError

        exporter.reloader.load_settings = fail
        assert exporter.reloader.reload("test") == (INTERNAL_ERROR,)
        assert exporter.metrics().value(SUCCESSFUL) == 0
        assert any(record.exc_info for record in caplog.records)


def test_settings_that_require_a_restart_are_logged(
    tmp_path: Path, service: SimulatedImageService, caplog: pytest.LogCaptureFixture
) -> None:
    """The other settings of the file take effect."""
    with exporting(tmp_path, cloud(service.url, GOLDEN)) as exporter:
        web = {"listen_address": "127.0.0.1:1", "enable_lifecycle": True}
        assert exporter.reload(cloud(service.url, GOLDEN, UBUNTU), web=web) == ()
        exporter.wait_for_poll(UBUNTU)
        keys = [
            record.__dict__["fields"].get("key")
            for record in caplog.records
            if record.levelno == logging.WARNING
        ]
        assert keys == ["web.listen_address", "web.enable_lifecycle"]


def test_response_to_a_replaced_poller_changes_nothing(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    with (
        SimulatedImageService([simulated(GOLDEN), simulated(UBUNTU)]) as other,
        exporting(tmp_path, cloud(service.url, GOLDEN, api="v1")) as exporter,
    ):
        exporter.wait_for_cycle()
        poller = exporter.application.pollers[0]
        service.faults.set("hang")
        images = [GOLDEN, UBUNTU]
        assert exporter.reload(cloud(service.url, *images, api="v1")) == ()
        wait_until(lambda: service.log.in_flight > 0)
        before = exporter.metrics().values(REQUESTS, method="HEAD")
        assert exporter.reload(cloud(other.url, *images, api="v1")) == ()
        wait_until(lambda: exporter.metrics().value(POLLS) == 3)
        wait_until(lambda: service.log.in_flight == 0)
        metrics = exporter.metrics()
        assert metrics.values("openstack_image_poll_success") == [1, 1]
        assert metrics.values(REQUESTS, code="error") == [0, 0]
        assert sum(metrics.values(REQUESTS, method="HEAD")) == sum(before) + 2
        polled = exporter.application.store.cloud(LAB)
        poller.run_cycle()
        assert exporter.application.store.cloud(LAB) == polled


def test_poller_of_a_removed_cloud_logs_no_error(
    tmp_path: Path, service: SimulatedImageService, caplog: pytest.LogCaptureFixture
) -> None:
    """Its cloud disappears from the store in the middle of a cycle."""
    one, two = (cloud(service.url, GOLDEN, name=name, api="v1") for name in ("one", "two"))
    service.faults.set("latency", seconds=0.02)
    with exporting(tmp_path, one) as exporter:
        for _ in range(15):
            for entry in (two, one):
                assert exporter.reload(entry) == ()
                exporter.text()
        exporter.wait_for_poll(GOLDEN, cloud="one")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.slow
def test_no_scrape_sees_half_of_a_reload(tmp_path: Path, service: SimulatedImageService) -> None:
    files = {
        name: [
            cloud(service.url, *(f"{name}-{number}" for number in range(20)), name=f"{name}{place}")
            for place in range(3)
        ]
        for name in ("old", "new")
    }
    scrapes: list[frozenset[str]] = []
    stop = threading.Event()
    with exporting(tmp_path, *files["old"]) as exporter:

        def scrape() -> None:
            while not stop.is_set():
                text = exporter.text()
                names = frozenset(re.findall(r'cloud="(\w+)"', text))
                images = len(re.findall(r"^openstack_image_poll_success{", text, re.MULTILINE))
                scrapes.append(names | {str(images)})

        def reload() -> None:
            for _ in range(repetitions(25)):
                for clouds in (files["new"], files["old"]):
                    assert exporter.reload(*clouds) == ()
                    count = len(scrapes)
                    wait_until(lambda: len(scrapes) > count + 2)  # noqa: B023  # called at once
            stop.set()

        run_concurrently(scrape, scrape, reload)
    assert set(scrapes) == {frozenset({f"{name}0", f"{name}1", f"{name}2", "60"}) for name in files}


def test_concurrent_reloads_run_one_after_the_other(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    with exporting(tmp_path, cloud(service.url, GOLDEN)) as exporter:
        exporter.write(cloud(service.url, UBUNTU, concurrency=2))
        refused: list[str] = []
        run_concurrently(*[lambda: refused.extend(exporter.reloader.reload("test"))] * 8)
        assert refused == []
        assert len(exporter.reloaded) == 8
        exporter.wait_for_poll(UBUNTU)
        assert len(exporter.application.store.targets()) == 1


def test_reload_during_shutdown_changes_nothing(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    with exporting(tmp_path, cloud(service.url, GOLDEN)) as exporter:
        exporter.reloader.close()
        assert exporter.reload(cloud(service.url, UBUNTU)) == ("the exporter is stopping",)
        assert [key.image_id for key in exporter.application.store.targets()] == [GOLDEN]


def test_retry_after_outlasts_a_reload_unless_the_endpoint_changes(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    with (
        SimulatedImageService([simulated(GOLDEN)]) as other,
        exporting(tmp_path, cloud(service.url, GOLDEN, api="v1")) as exporter,
    ):
        exporter.wait_for_cycle()
        service.faults.set("status", code=429, headers=[("Retry-After", "200")])
        exporter.run_cycle_now()
        wait_until(lambda: exporter.application.pollers[0].wait_until > 0)
        requests_before = service.log.requests
        assert exporter.reload(cloud(service.url, GOLDEN, api="v1", concurrency=2)) == ()
        wait_until(lambda: exporter.application.pollers[0].wait_until > 0)
        assert service.log.requests == requests_before
        assert exporter.reload(cloud(other.url, GOLDEN, api="v1", concurrency=2)) == ()
        wait_until(lambda: other.log.requests > 0)


def test_discovered_images_keep_their_history_when_rules_or_images_change(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    service.images.put(simulated("one", name="golden-1"))
    service.images.put(simulated("two", name="golden-2", created_at="2026-11-24T00:00:00.000000"))
    entry = {"name": "golden-*", "most_recent": True, "alias": "golden"}
    changes = "openstack_image_resolved_changes_total"

    def lab(*discover: dict[str, object], images: list[str]) -> dict[str, object]:
        return {**cloud(service.url, api="v2"), "images": images, "discover": list(discover)}

    with exporting(tmp_path, lab(entry, images=[GOLDEN])) as exporter:
        exporter.wait_for_cycle()
        exporter.wait_for_poll("two")
        poller = exporter.application.pollers[0]
        listed = exporter.application.store.cloud(LAB).discovered_at

        # The discovery is unchanged: it continues without listing again.
        assert exporter.reload(lab(entry, images=[GOLDEN, UBUNTU])) == ()
        exporter.wait_for_poll(UBUNTU)
        assert exporter.application.pollers[0] is poller
        assert exporter.application.store.cloud(LAB).discovered_at == listed
        assert exporter.metrics().value(EXISTS, image="golden") == 1

        service.images.change("two", status="deactivated")
        # A new rule: discovered images are still watched, and changes of their status count.
        assert exporter.reload(lab(entry, {"name": "cirros"}, images=[UBUNTU])) == ()
        assert exporter.metrics().value(EXISTS, image="golden") == 1
        wait_until(lambda: exporter.metrics().value(EXISTS, image_id=GOLDEN) == 1)
        wait_until(lambda: exporter.metrics().value(STATUS_CHANGES, image="golden") == 1)
        assert exporter.metrics().value(changes, image="golden") == 0

        # A discovered image becomes a configured one: it is still the same image.
        assert exporter.reload(lab(entry, {"name": "cirros"}, images=[UBUNTU, "two"])) == ()
        metrics = exporter.metrics()
        assert metrics.value(STATUS_CHANGES, image_id="two") == 1
        assert metrics.value("openstack_image_target_info", image_id="two", source="configured")

        # Without rules no image is discovered.
        assert exporter.reload(cloud(service.url, UBUNTU, api="v2")) == ()
        metrics = exporter.metrics()
        assert len(metrics.values("openstack_image_target_info")) == 1
        assert metrics.values(changes) == []


def test_changed_password_in_clouds_yaml_is_used_after_a_reload(
    tmp_path: Path, service: SimulatedImageService, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SimulatedKeystone() as keystone:
        keystone.users = {"demo": "second"}
        keystone.offer_image(f"{service.url}/v2")
        auth = {
            "auth_url": keystone.auth_url,
            "username": "demo",
            "password": "first",
            "user_domain_name": "Default",
            "project_name": "demo",
            "project_domain_name": "Default",
        }
        write_clouds_yaml(monkeypatch, tmp_path, {"entry": {"auth": auth}})
        lab = {"name": LAB, "cloud": "entry", "images": [GOLDEN]}
        failures = "openstack_image_exporter_authentication_failures_total"
        with exporting(tmp_path, lab) as exporter:
            exporter.wait_for_cycle()
            poller = exporter.application.pollers[0]
            failed = exporter.metrics().value(failures)
            assert failed
            assert exporter.reload(lab) == ()
            assert exporter.application.pollers == (poller,)
            write_clouds_yaml(
                monkeypatch, tmp_path, {"entry": {"auth": {**auth, "password": "second"}}}
            )
            assert exporter.reload(lab) == ()
            assert exporter.application.pollers[0] is not poller
            wait_until(lambda: exporter.metrics().value(EXISTS) == 1)
            assert (exporter.metrics().value(failures) or 0) >= failed


def runtime(name: str, identity: bytes) -> CloudRuntime:
    """Return a cloud whose poller is a placeholder, which ``diff`` must not use."""
    (config,) = resolved_clouds(Settings(clouds=(Cloud(name=name),)))
    return CloudRuntime(config, identity, cast(Poller, object()))


def test_diff_names_added_replaced_unchanged_and_removed_clouds() -> None:
    running = {name: runtime(name, name.encode()) for name in ("same", "changed", "removed")}
    new = [runtime("added", b"added"), runtime("changed", b"other"), runtime("same", b"same")]
    changes = diff(running, new)
    assert list(changes.clouds) == ["added", "changed", "same"]
    assert (changes.added, changes.replaced) == (("added",), ("changed",))
    assert (changes.unchanged, changes.removed) == (("same",), ("removed",))
    assert changes.clouds["same"].poller is running["same"].poller
    assert changes.clouds["same"].config is new[2].config
    assert changes.clouds["changed"] is new[1]
    obsolete = [running["removed"], running["changed"], new[2]]
    assert list(changes.obsolete_pollers) == [cloud.poller for cloud in obsolete]


def test_diff_of_the_same_configuration_replaces_nothing() -> None:
    running = {name: runtime(name, name.encode()) for name in ("one", "two")}
    changes = diff(running, [runtime(name, name.encode()) for name in running])
    assert changes.unchanged == ("one", "two")
    assert [cloud.poller for cloud in changes.clouds.values()] == [
        cloud.poller for cloud in running.values()
    ]


def test_web_reload_after_a_reload_in_progress_reads_the_new_file(tmp_path: Path) -> None:
    """The settings may change while the reload of the web configuration waits for the lock."""
    files = {name: tmp_path / f"{name}.yml" for name in ("deny", "sameorigin")}
    for name, file in files.items():
        file.write_text(f"http_server_config: {{headers: {{X-Frame-Options: {name}}}}}\n")
    lab = cloud("http://127.0.0.1:9", GOLDEN)
    with exporting(tmp_path, lab, web={"config": {"file": str(files["deny"])}}) as exporter:
        reloader = exporter.reloader
        exporter.write(lab, web={"config": {"file": str(files["sameorigin"])}})
        new_settings = exporter.load_settings()

        class Lock:
            def __enter__(self) -> None:
                reloader.settings = new_settings

            def __exit__(self, *_: object) -> None:
                pass

        reloader._reload_lock = Lock()  # type: ignore[assignment]  # it is only entered
        assert reloader.reload_web_config() == ()
        assert dict(reloader.security.config.headers) == {"X-Frame-Options": "sameorigin"}
