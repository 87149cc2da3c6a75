"""Clouds that serve API v1 in part, or not at all, beside a working v2."""

from collections.abc import Iterator

import pytest

from exporter.auth.static_token import StaticTokenAuthenticator
from exporter.glance.second_version import MAX_FAILED_TRIES
from exporter.simulator import SimulatedImageService
from exporter.transport.tls_files import ClientTls
from tests.support.polled_cloud import PolledCloud, image_service, polled_cloud

IDS = ["a", "b", "c"]
REFUSAL_CODES = [300, 400, 401, 403, 404, 405, 410, 501]


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """Run a service with both versions and three images."""
    with image_service(IDS) as running:
        yield running


def paths(service: SimulatedImageService, method: str | None = None) -> list[str]:
    """Return the paths of the requests since the log was cleared."""
    records = service.log.records
    return [record.path for record in records if method in {None, record.request.method}]


def by_v1(service: SimulatedImageService) -> list[str]:
    """Return those of them that are of v1."""
    return [path for path in paths(service) if path.startswith("/v1")]


def by_v2(service: SimulatedImageService) -> list[str]:
    """Return those of them that are of v2."""
    return [path for path in paths(service) if path.startswith("/v2")]


def details(lab: PolledCloud) -> dict[str, str]:
    """Return the detail of the failure of each image."""
    failures = {image_id: lab.observation(image_id).failure for image_id in lab.exists()}
    return {image_id: failed.detail if failed else "" for image_id, failed in failures.items()}


def contradictions(lab: PolledCloud) -> int:
    """Return the number of contradictions that were counted."""
    return lab.state.contradictions


# v1 is only in the version document


@pytest.mark.parametrize("code", REFUSAL_CODES)
def test_v1_that_is_only_in_the_document_is_left_in_the_second_cycle(
    service: SimulatedImageService, code: int
) -> None:
    service.faults.set("status", on="v1", code=code)
    with polled_cloud(service.url, IDS, api="auto") as lab:
        lab.cycle()
        lab.cycle()
        assert lab.exists() == dict.fromkeys(IDS, True)
        assert (lab.poller.client.version, lab.state.api_version) == ("v2", "v2")
        reason = f"HTTP {code}" if code != 401 else "sign-in: "
        assert str(lab.state.capabilities).startswith(f"v1: refused ({reason}")
        service.log.clear()
        lab.cycle()
    assert by_v1(service) == []
    assert contradictions(lab) == 0


def test_v1_that_is_a_login_page_is_left(service: SimulatedImageService) -> None:
    service.faults.set("other_body", on="v1", body=b"<html>")
    with polled_cloud(service.url, IDS, api="auto") as lab:
        lab.cycle()
        lab.cycle()
        assert lab.exists() == dict.fromkeys(IDS, True)
        assert lab.poller.client.version == "v2"


def test_v1_is_left_for_a_v2_without_lists(service: SimulatedImageService) -> None:
    """v2's list is refused as well, but an image is found."""
    service.faults.set("status", on="v1", code=404)
    service.faults.set("status", on="v2/list", code=403)
    with polled_cloud(service.url, ["a"], api="auto") as lab:
        lab.cycle()
        lab.cycle()
        assert (lab.exists(), lab.poller.client.version) == ({"a": True}, "v2")


@pytest.mark.parametrize("code", [403, 404, 503])
def test_v1_is_kept_while_v2_does_not_respond_either(
    service: SimulatedImageService, code: int
) -> None:
    service.faults.set("status", on="v1", code=404)
    service.faults.set("status", on="v2", code=code)
    with polled_cloud(service.url, IDS, api="auto") as lab:
        for _ in range(3):
            lab.cycle()
        assert lab.exists() == dict.fromkeys(IDS, None)
        assert lab.poller.client.version == "v1"
        service.faults.clear()
        lab.cycle()
        assert lab.exists() == dict.fromkeys(IDS, True)


def test_v1_with_a_list_is_kept_for_images_that_do_not_exist(
    service: SimulatedImageService,
) -> None:
    with polled_cloud(service.url, ["x", "y"], api="auto") as lab:
        for _ in range(3):
            lab.cycle()
        assert lab.exists() == {"x": False, "y": False}
        assert lab.poller.client.version == "v1"


@pytest.mark.parametrize("code", [300, 400, 403, 404, 405, 410, 501])
def test_configured_v1_is_never_left_and_the_failure_names_v2(
    service: SimulatedImageService, code: int
) -> None:
    service.faults.set("status", on="v1", code=code)
    with polled_cloud(service.url, IDS, api="v1") as lab:
        for _ in range(3):
            lab.cycle()
            for image_id in IDS:
                assert details(lab)[image_id].endswith(
                    f"HTTP {code}; api: v1 is set, but the service offers v2"
                )
        assert lab.exists() == dict.fromkeys(IDS, None)
    assert by_v2(service) == []
    assert paths(service).count("/") == 1


def test_configured_v1_of_clouds_yaml_is_named_by_its_key(service: SimulatedImageService) -> None:
    service.faults.set("status", on="v1", code=410)
    signin = StaticTokenAuthenticator(service.url, None, ClientTls(), "v1")
    with polled_cloud(service.url, ["a"], api="v1", signin=signin) as lab:
        lab.cycle()
        assert details(lab)["a"] == (
            "HTTP 410; image_api_version: 1 is set, but the service offers v2"
        )


def test_failure_does_not_name_a_version_that_is_not_offered(
    service: SimulatedImageService,
) -> None:
    service.faults.set("status", code=410)
    with polled_cloud(service.url, ["a"], api="v1") as lab:
        lab.cycle()
        assert details(lab) == {"a": "HTTP 410"}


@pytest.mark.parametrize(
    ("fault", "code"), [("v1/b", 403), ("v1", 503)], ids=["one image", "outage"]
)
def test_failure_that_is_no_refusal_of_v1_names_no_other_version(
    service: SimulatedImageService, fault: str, code: int
) -> None:
    with polled_cloud(service.url, IDS, api="v1") as lab:
        lab.cycle()
        service.faults.set("status", on=fault, code=code)
        lab.cycle()
        assert "v2" not in details(lab)["b"]
    assert "/" not in paths(service)


def test_refused_token_names_no_other_version(service: SimulatedImageService) -> None:
    """The other version would refuse it as well."""
    service.faults.set("status", on="v1", code=401)
    with polled_cloud(service.url, ["a"], api="v1") as lab:
        lab.cycle()
        assert "v2" not in details(lab)["a"]


@pytest.mark.parametrize("code", REFUSAL_CODES)
def test_v1_that_disappears_at_run_time_makes_no_image_gone(
    service: SimulatedImageService, code: int
) -> None:
    with polled_cloud(service.url, IDS, api="auto") as lab:
        lab.cycle()
        service.faults.set("status", on="v1", code=code)
        for _ in range(3):
            lab.cycle()
            assert lab.exists() == dict.fromkeys(IDS, True)
        assert lab.poller.client.version == "v2"
        assert lab.reasons() == dict.fromkeys(IDS, "")
        assert contradictions(lab) == 0
        service.images.delete("b")
        lab.cycle()
        assert lab.exists() == {"a": True, "b": False, "c": True}


def test_version_is_exported_before_the_images_that_it_finds(
    service: SimulatedImageService,
) -> None:
    service.faults.set("status", on="v1", code=404)
    versions: list[str | None] = []
    with polled_cloud(service.url, IDS, api="auto") as lab:
        lab.cycle()
        lab.poller.run_cycle(lambda _: versions.append(lab.state.api_version))
    assert versions == ["v2"] * len(IDS)


def test_v1_is_not_tried_again_because_v2_refused_one_request(
    service: SimulatedImageService,
) -> None:
    service.faults.set("status", on="v1", code=404)
    with polled_cloud(service.url, ["a"], api="auto") as lab:
        for _ in range(2):
            lab.cycle()
        service.faults.set("status", on="v2", code=410, times=1)
        lab.cycle()
        service.log.clear()
        lab.cycle()
        assert (lab.exists(), lab.poller.client.version) == ({"a": True}, "v2")
    assert by_v1(service) == []


# v1 serves images without a list


@pytest.mark.parametrize("code", [401, 403, 404, 405])
def test_lone_image_is_gone_by_v2_where_v1_serves_no_list(
    service: SimulatedImageService, code: int
) -> None:
    service.faults.set("status", on="v1/list", code=code)
    with polled_cloud(service.url, ["a"], api="auto") as lab:
        lab.cycle()
        assert (lab.exists(), lab.poller.client.version) == ({"a": True}, "v1")
        service.images.delete("a")
        lab.cycle()
        assert lab.exists() == {"a": False}
        assert lab.state.api_up
        assert str(lab.state.capabilities).endswith("), confirming deletions by v2")
        lab.cycle()
        assert (lab.exists(), lab.state.api_up) == ({"a": False}, True)


def test_all_images_are_gone_by_v2_after_two_cycles_where_v1_serves_no_list(
    service: SimulatedImageService,
) -> None:
    service.faults.set("status", on="v1/list", code=404)
    with polled_cloud(service.url, IDS, api="auto") as lab:
        lab.cycle()
        for image_id in IDS:
            service.images.delete(image_id)
        lab.cycle()
        assert lab.exists() == dict.fromkeys(IDS, True)
        for _ in range(2):
            lab.cycle()
        assert lab.exists() == dict.fromkeys(IDS, False)


def test_list_in_detail_is_the_control_where_v1_serves_only_that(
    service: SimulatedImageService,
) -> None:
    service.faults.set("status", on="v1/list", code=404)
    service.faults.set("latency", on="v1/detail")
    with polled_cloud(service.url, ["a"], api="auto") as lab:
        lab.cycle()
        service.images.delete("a")
        lab.cycle()
        lab.cycle()
        assert (lab.exists(), lab.poller.client.version) == ({"a": False}, "v1")
    assert by_v2(service) == []


def test_v2s_list_alone_does_not_confirm_a_404_of_v1(service: SimulatedImageService) -> None:
    """v2 refuses the image itself, so that nothing proves it to be gone."""
    service.faults.set("status", on="v1/list", code=404)
    with polled_cloud(service.url, ["a"], api="auto") as lab:
        lab.cycle()
        service.faults.set("status", on="v1/a", code=404)
        service.faults.set("status", on="v2/a", code=403)
        for _ in range(3):
            lab.cycle()
            assert lab.exists() == {"a": True}


def test_refused_lists_of_v1_are_requested_once() -> None:
    with image_service(["a"]) as service, polled_cloud(service.url, ["a"], api="auto") as lab:
        service.faults.set("status", on="v1/list", code=404)
        lab.cycle()
        service.images.delete("a")
        lab.cycle()
        assert lab.exists() == {"a": False}
    assert by_v1(service).count("/v1/images?limit=5") == 1


def test_image_is_found_by_a_v2_that_serves_no_list_either(
    service: SimulatedImageService,
) -> None:
    service.faults.set("status", on="v1/list", code=404)
    service.faults.set("status", on="v2/list", code=403)
    with polled_cloud(service.url, ["a"], api="auto") as lab:
        lab.cycle()
        service.faults.set("status", on="v1/a", code=404)
        lab.cycle()
        assert (lab.exists(), lab.reasons()) == ({"a": True}, {"a": ""})


def test_image_that_only_v2_has_exists_and_is_polled_by_v2(
    service: SimulatedImageService,
) -> None:
    service.faults.set("status", on="v1/list", code=404)
    with polled_cloud(service.url, ["a"], api="auto") as lab:
        lab.cycle()
        service.faults.set("status", on="v1/a", code=404)
        lab.cycle()
        assert (lab.exists(), lab.reasons()) == ({"a": True}, {"a": ""})
        lab.cycle()
        service.log.clear()
        lab.cycle()
        assert lab.exists() == {"a": True}
        assert contradictions(lab) == 0
    assert paths(service) == ["/v2/images/a"]


def test_empty_list_of_v2_is_a_control() -> None:
    with image_service(["a"]) as lonely, polled_cloud(lonely.url, ["a"], api="auto") as lab:
        lonely.faults.set("status", on="v1/list", code=403)
        lab.cycle()
        lonely.images.delete("a")
        lab.cycle()
        assert lab.exists() == {"a": False}


# One image that v1 cannot deliver


@pytest.mark.parametrize("code", [400, 431, 500, 502])
def test_image_that_v1_cannot_deliver_is_polled_by_v2(
    service: SimulatedImageService, code: int
) -> None:
    with polled_cloud(service.url, IDS, api="auto") as lab:
        lab.cycle()
        service.faults.set("status", on="v1/b", code=code)
        lab.cycle()
        assert lab.reasons() == dict.fromkeys(IDS, "")
        assert lab.state.capabilities == "v1: images that it cannot deliver, polled by v2: 1"
        service.log.clear()
        lab.cycle()
        assert lab.reasons() == dict.fromkeys(IDS, "")
        assert sorted(paths(service)) == ["/v1/images/a", "/v1/images/c", "/v2/images/b"]
        service.images.delete("b")
        lab.cycle()
        assert lab.exists() == {"a": True, "b": True, "c": True}
        service.faults.clear()
        lab.cycle()
        assert lab.exists() == {"a": True, "b": False, "c": True}


def test_image_that_v1_delivers_now_and_then_is_always_found(
    service: SimulatedImageService,
) -> None:
    service.faults.set("status", on="v1/b", code=502, share=0.5)
    with polled_cloud(service.url, IDS, api="auto") as lab:
        for _ in range(6):
            lab.cycle()
            assert lab.reasons() == dict.fromkeys(IDS, "")


def test_forty_images_that_v1_cannot_deliver_do_not_open_the_breaker() -> None:
    large = [f"large-{number}" for number in range(40)]
    with image_service([*large, "a"]) as service:
        for image_id in large:
            service.faults.set("status", on=f"v1/{image_id}", code=502)
        with polled_cloud(service.url, [*large, "a"], api="auto") as lab:
            lab.cycle()
            assert not lab.state.breaker_open
            assert lab.reasons() == dict.fromkeys([*large, "a"], "")
            service.log.clear()
            lab.cycle()
        assert service.log.requests == 41


def test_outage_of_both_versions_costs_few_further_requests() -> None:
    ids = [f"image-{number}" for number in range(8)]
    with (
        image_service(ids) as service,
        polled_cloud(service.url, ids, api="auto", concurrency=1) as lab,
    ):
        lab.cycle()
        service.log.clear()
        service.faults.set("status", code=502)
        lab.cycle()
        assert "" not in lab.reasons().values()
        assert len(paths(service, "GET")) <= MAX_FAILED_TRIES


def test_failure_by_both_versions_names_both(service: SimulatedImageService) -> None:
    service.faults.set("status", on="v1/b", code=502)
    service.faults.set("status", on="v2/b", code=403)
    with polled_cloud(service.url, IDS, api="auto") as lab:
        lab.cycle()
        failed = lab.observation("b").failure
    assert failed is not None
    assert (failed.reason, failed.detail) == ("server_error", "HTTP 502; by v2: HTTP 403")


def test_404_of_v2_says_nothing_about_an_image_that_v1_cannot_deliver(
    service: SimulatedImageService,
) -> None:
    with polled_cloud(service.url, IDS, api="auto") as lab:
        lab.cycle()
        service.faults.set("status", on="v1/b", code=502)
        lab.cycle()
        service.faults.set("status", on="v2/b", code=404)
        for _ in range(2):
            lab.cycle()
            assert lab.exists() == dict.fromkeys(IDS, True)
            assert lab.reasons()["b"] == "server_error"
