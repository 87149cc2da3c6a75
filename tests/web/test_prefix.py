import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.web.app import with_prefix
from tests.web.conftest import run_server


async def root(_: Request) -> Response:
    """Respond with the path of the route."""
    return PlainTextResponse("/")


async def metrics(_: Request) -> Response:
    """Respond with the path of the route."""
    return PlainTextResponse("/metrics")


APP = Starlette(routes=with_prefix([Route("/", root), Route("/metrics", metrics)], "/a/b"))


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("/a/b/", 200, "/"),
        ("/a/b/metrics", 200, "/metrics"),
        ("/a/b/metrics?a=b", 200, "/metrics"),
        ("/a/b", 302, "b/"),
        ("/", 302, "a/b/"),
        ("/metrics", 404, None),
        ("/a/bb/metrics", 404, None),
        ("/a/b/a/b/metrics", 404, None),
        ("/a/b/nothing", 404, None),
    ],
)
def test_routes_are_below_the_prefix_only(path: str, status: int, expected: str | None) -> None:
    """Redirects to the first page are relative to the path of the request."""
    with run_server(APP) as server:
        response = server.request(path)
        assert response.status == status
        if expected is not None:
            is_redirect = status == 302
            actual = response.headers["location"] if is_redirect else response.body.decode()
            assert actual == expected
