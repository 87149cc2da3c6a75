"""A small application behind the security middleware."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.web.security.middleware import SecurityMiddleware, SecurityState
from exporter.web_security import load_security
from tests.support.web_config import WebConfigFolder
from tests.web.conftest import ServerThread, run_server


async def hello(_: Request) -> Response:
    """Respond with a short body."""
    return PlainTextResponse("hello")


async def strict(_: Request) -> Response:
    """Respond with a content security policy of its own."""
    return PlainTextResponse("strict", headers={"Content-Security-Policy": "sandbox"})


APP = Starlette(routes=[Route("/", hello), Route("/strict", strict), Route("/-/healthy", hello)])


@pytest.fixture
def folder(tmp_path: Path) -> WebConfigFolder:
    """A folder with certificates."""
    return WebConfigFolder(tmp_path)


@contextmanager
def serving(security: SecurityState) -> Iterator[ServerThread]:
    """Serve behind the middleware."""
    with run_server(SecurityMiddleware(APP, security), security) as server:
        yield server


@contextmanager
def serving_with(folder: WebConfigFolder, text: str) -> Iterator[ServerThread]:
    """Serve with this web configuration."""
    with serving(SecurityState(load_security(folder.write(text)).config)) as server:
        yield server
