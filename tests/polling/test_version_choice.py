"""Choice of the API version by ``auto``."""

import pytest

from exporter.clock import now
from exporter.simulator import Release, SimulatedImage
from tests.polling.v2_services import FEW, serving
from tests.support.polled_cloud import PolledCloud, polled_cloud
from tests.support.reference_collector import StoreCollector


def version_comparable_samples(lab: PolledCloud) -> dict[str, float]:
    """Return the versions on /metrics."""
    return {
        sample.labels["version"]: sample.value
        for family in StoreCollector(lab.store, now).collect()
        for sample in family.samples
        if sample.name == "openstack_image_exporter_api_version_info"
    }


@pytest.mark.parametrize("prefix", ["", "/image"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_auto_uses_the_offered_version_and_prefers_v1(
    prefix: str, version: str, release: Release
) -> None:
    with serving(path_prefix=prefix, release=release) as service:
        service.api.v1_enabled = version == "v1"
        with polled_cloud(service.url + prefix, FEW, api="auto") as lab:
            for _ in range(3):
                lab.cycle()
                assert set(lab.reasons().values()) == {""}
                assert version_comparable_samples(lab) == {version: 1.0}
        assert sum("/images" not in record.path for record in service.log.records) == 1


@pytest.mark.parametrize("v1_enabled", [True, False])
def test_auto_uses_v2_if_only_its_list_is_readable(v1_enabled: bool) -> None:
    with serving() as service:
        service.api.v1_enabled = v1_enabled
        service.faults.set("other_body", times=2)
        with polled_cloud(service.url, FEW, api="auto") as lab:
            lab.cycle()
            assert set(lab.reasons().values()) == {""}
            assert version_comparable_samples(lab) == {"v2": 1.0}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_auto_chooses_a_version_once_the_service_responds(version: str) -> None:
    with serving() as service:
        service.api.v1_enabled = version == "v1"
        service.stop()
        with polled_cloud(service.url, FEW, api="auto") as lab:
            lab.cycle()
            assert "connection" in lab.reasons().values()
            assert version_comparable_samples(lab) == {}
            service.start()
            lab.cycle()
            assert set(lab.reasons().values()) == {""}
            assert version_comparable_samples(lab) == {version: 1.0}


def test_v1_switched_off_at_runtime_changes_to_v2() -> None:
    images = {
        image_id: SimulatedImage(image_id, name=f"  padded {image_id} ", visibility="community")
        for image_id in FEW
    }
    with (
        serving(images) as service,
        polled_cloud(service.url, FEW, api="auto") as lab,
    ):
        service.api.v1_enabled = True
        lab.cycle()
        before = {image_id: lab.observation(image_id).change_counts for image_id in FEW}
        service.api.v1_enabled = False
        lab.cycle()
        assert set(lab.reasons().values()) == {"api_version"}
        assert lab.exists() == dict.fromkeys(FEW, True)
        lab.cycle()
        assert set(lab.reasons().values()) == {""}
        assert version_comparable_samples(lab) == {"v2": 1.0}
        assert {image_id: lab.observation(image_id).change_counts for image_id in FEW} == before
        service.images.change(FEW[0], name="another", visibility="public")
        lab.cycle()
        counts = lab.observation(FEW[0]).change_counts
        assert (counts.name, counts.visibility, counts.public, counts.content) == (1, 1, 1, 0)


def test_change_during_a_change_of_version_is_counted() -> None:
    with serving() as service, polled_cloud(service.url, FEW, api="auto") as lab:
        service.api.v1_enabled = True
        lab.cycle()
        service.api.v1_enabled = False
        service.images.change(FEW[0], visibility="public", protected=True)
        lab.cycle()
        lab.cycle()
        counts = lab.observation(FEW[0]).change_counts
        assert (counts.public, counts.protected, counts.name, counts.content) == (1, 1, 0, 0)


def test_retry_after_of_the_version_document_is_obeyed() -> None:
    with serving() as service, polled_cloud(service.url, FEW, api="auto") as lab:
        service.faults.set("status", code=503, headers={"Retry-After": "100"})
        for _ in range(2):
            lab.cycle()
            assert set(lab.reasons().values()) == {"not_polled"}
        assert service.log.requests == 1
        assert lab.state.rate_limit_wait == pytest.approx(100, abs=1)
