"""The path of the metrics, which can be chosen."""

import pytest
from starlette.routing import Mount, Route

from exporter.config import types
from exporter.metrics.body import Body
from exporter.web.app import create_app
from exporter.web.handlers import Handlers
from exporter.web.pages.image_list import query_images
from tests.web.conftest import run_server
from tests.web.example_images import NOW, example_store

STORE = example_store()


def handlers(metrics_path: str) -> Handlers:
    """Return handlers of an exporter with a single sample."""
    return Handlers(
        render_metrics=lambda **_: Body.of((b"up 1\n",)),
        query_images=lambda query: query_images(STORE, query, NOW),
        find_image=lambda **_: None,
        check_health=lambda: None,
        check_readiness=lambda: None,
        metrics_path=metrics_path,
    )


@pytest.mark.parametrize("prefix", ["", "/images"])
def test_metrics_are_at_the_chosen_path_only_and_the_page_has_a_link_to_it(prefix: str) -> None:
    with run_server(create_app(handlers("/telemetry/openstack"), prefix)) as server:
        assert server.request(f"{prefix}/telemetry/openstack").body == b"up 1\n"
        assert server.request(f"{prefix}/metrics").status == 404
        assert '<a href="telemetry/openstack">' in server.request(f"{prefix}/").body.decode()
        for path in ("/-/healthy", "/-/ready", "/config", "/api/images", "/page.js"):
            assert server.request(prefix + path).status == 200


def test_settings_refuse_the_path_of_every_other_page() -> None:
    """A page that is added must be added to ``PAGES`` as well."""
    chosen = "/telemetry"
    routes = create_app(handlers(chosen)).routes
    paths = {route.path for route in routes if isinstance(route, Route | Mount)}
    assert len(paths) == len(routes)
    assert {path.split("/")[1] for path in paths - {"/", chosen}} == set(types.PAGES)
