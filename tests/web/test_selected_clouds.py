"""``/metrics?cloud=NAME``, requested over real connections."""

import gzip
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from exporter.metrics.cloud_collector import CloudCollector
from exporter.metrics.exposition import Exposition
from exporter.model.cloud import CloudState
from exporter.model.target import Target
from exporter.store import Store
from tests.support.clock import FakeClock
from tests.web.conftest import ServerThread, run_server
from tests.web.example_app import app

TARGET_INFO = "openstack_image_target_info{"


@pytest.fixture(scope="module")
def server() -> Iterator[ServerThread]:
    """Serve the metrics of three clouds with an image each."""
    store = Store()
    for name in ("eu", "us & ca", "é"):
        store.add_cloud(CloudState(name, 60.0), [Target(name, "one", "one")])
    registry = CollectorRegistry()
    registry.register(CloudCollector(store))
    with run_server(app(metrics=Exposition(store, registry, FakeClock()).body)) as running:
        yield running


@pytest.mark.parametrize(
    ("query", "clouds"),
    [
        ("", ["eu", "us & ca", "é"]),
        ("?cloud=eu", ["eu"]),
        ("?cloud=us+%26%20ca", ["us & ca"]),
        ("?cloud=%C3%A9&cloud=eu&cloud=eu", ["eu", "é"]),
        ("?name[]=up&cloud=eu", ["eu"]),
    ],
)
def test_parameters_select_clouds(server: ServerThread, query: str, clouds: list[str]) -> None:
    response = server.request(f"/metrics{query}")
    assert response.status == 200
    lines = [line for line in response.body.decode().splitlines() if TARGET_INFO in line]
    assert [line.split('"')[1] for line in lines] == clouds
    compressed = server.request(f"/metrics{query}", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(compressed.body) == response.body
    for headers in ({}, {"Accept-Encoding": "gzip"}):
        got, head = (
            server.request(f"/metrics{query}", method, headers) for method in ("GET", "HEAD")
        )
        assert head.body == b""
        assert head.headers["content-length"] == str(len(got.body))


@pytest.mark.parametrize("query", ["cloud=", "cloud=EU", "cloud=eu&cloud=nowhere", "cloud=%00"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_unknown_cloud_is_a_bad_request(server: ServerThread, query: str, method: str) -> None:
    response = server.request(f"/metrics?{query}", method)
    assert response.status == 400
    if method == "GET":
        assert response.body.decode().endswith("; accepted: eu, us & ca, é\n")
        assert response.body.decode().startswith("unknown cloud '")
        assert response.body.count(b"\n") == 1
