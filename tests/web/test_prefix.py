"""Pages below a prefix."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.web.prefix import Prefixed
from tests.web.conftest import running


async def name(request: Request) -> Response:
    """Which page it is."""
    return PlainTextResponse(request.scope["path"])


APP = Starlette(routes=[Route("/", name), Route("/metrics", name)])


@pytest.mark.parametrize(
    ("path", "status", "said"),
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
def test_pages_are_below_the_prefix(path: str, status: int, said: str | None) -> None:
    """And nowhere else; the prefix itself leads to the first of them, relative to where one is."""
    with running(Prefixed(APP, "/a/b")) as server:
        answer = server.ask(path)
        assert answer.status == status
        if said is not None:
            assert said == (answer.headers["location"] if status == 302 else answer.body.decode())
