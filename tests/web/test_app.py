"""The routes, asked over real connections."""

import base64
import gzip
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from starlette.types import ASGIApp

from exporter.metrics.exposition import Body
from exporter.web.app import create_app
from exporter.web.handlers import Handlers, Probe, QueryImages, Reload, RenderMetrics
from exporter.web.negotiation import OPENMETRICS, TEXT
from exporter.web.pages.image_list import ImageList, query_images
from exporter.web.pages.page import SCRIPT
from exporter.web.pages.query import Query
from tests.web.conftest import BOUND, Running, running
from tests.web.example_images import NOW, example_store

Serve = Callable[[ASGIApp], Running]
BODIES = {False: b"text 1\n" * 1000, True: b"openmetrics 1\n" * 1000 + b"# EOF\n"}
QUICKLY = 2.0
"""Seconds within which a server that is told to end must have ended."""
STORE = example_store()


def well() -> None:
    """Nothing to say against it."""


def body(plain: bytes, compressed: bool) -> Body:
    """A body in three pieces."""
    whole = gzip.compress(plain, mtime=0) if compressed else plain
    pieces = whole[:10], whole[10:1000], whole[1000:]
    return Body(pieces, len(whole))


def render_metrics(*, openmetrics: bool, compressed: bool) -> Body:
    """The body of a format and an encoding."""
    return body(BODIES[openmetrics], compressed)


def images(query: Query) -> ImageList:
    """What the query comes to."""
    return query_images(STORE, query, NOW)


def app(
    metrics: RenderMetrics = render_metrics,
    healthy: Probe = well,
    ready: Probe = well,
    images: QueryImages = images,
    reload: Reload | None = None,
) -> ASGIApp:
    """The application with functions that a test chooses."""
    handlers = Handlers(
        render_metrics=metrics,
        query_images=images,
        check_health=healthy,
        check_readiness=ready,
        reload=reload,
    )
    return create_app(handlers)


@pytest.fixture(scope="module")
def standing() -> Iterator[Running]:
    """A server for the tests that need nothing of their own."""
    with running(app()) as server:
        yield server


@pytest.mark.parametrize(
    ("accept", "content_type", "body"),
    [
        ("text/plain", TEXT, BODIES[False]),
        ("application/openmetrics-text", OPENMETRICS, BODIES[True]),
        ("application/json", TEXT, BODIES[False]),
    ],
)
def test_metrics_come_in_the_format_asked_for(
    standing: Running, accept: str, content_type: str, body: bytes
) -> None:
    """The Accept header chooses the format, which Content-Type names."""
    answer = standing.ask("/metrics?name[]=up", headers={"Accept": accept})
    assert (answer.status, answer.body) == (200, body)
    assert answer.headers["content-type"] == content_type
    assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    "accept_encoding", ["", "identity", "identity;q=1, gzip;q=0", "gzip;q=0", "br, zstd"]
)
def test_metrics_come_plain_when_gzip_is_not_taken(standing: Running, accept_encoding: str) -> None:
    """Who does not take gzip is not sent it."""
    answer = standing.ask("/metrics", headers={"Accept-Encoding": accept_encoding})
    assert (answer.status, answer.body) == (200, BODIES[False])
    assert "content-encoding" not in answer.headers


def test_metrics_come_compressed_when_asked(standing: Running) -> None:
    """With Accept-Encoding gzip, /metrics is compressed, and the same bytes each time."""
    first, second = (standing.ask("/metrics", headers={"Accept-Encoding": "gzip"}) for _ in "12")
    assert first.headers["content-encoding"] == "gzip"
    assert gzip.decompress(first.body) == BODIES[False]
    assert first.body == second.body


def test_accept_in_several_lines_is_one_header(standing: Running) -> None:
    """An Accept header that stands twice is read as a whole."""
    request = (
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: text/plain;q=0.1\r\n"
        b"Accept: application/openmetrics-text\r\nConnection: close\r\n\r\n"
    )
    with standing.connect(request) as connection, connection.makefile("rb") as answer:
        assert OPENMETRICS.encode() in answer.read()


@pytest.mark.parametrize(
    "path", ["/", "/page.js", "/api/images", "/metrics", "/-/healthy", "/-/ready", "/nowhere"]
)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_head_is_get_without_the_body(standing: Running, path: str, encoding: str) -> None:
    """HEAD gives status and headers of GET, the length of its body too, and no body."""
    got, head = (
        standing.ask(path, method, {"Accept-Encoding": encoding}) for method in ("GET", "HEAD")
    )
    without_date = [
        {name: value for name, value in each.headers.items() if name != "date"}
        for each in (got, head)
    ]
    assert (head.status, without_date[1]) == (got.status, without_date[0])
    assert head.body == b""
    assert head.headers["content-length"] == str(len(got.body))
    assert head.headers["server"] == "openstack-image-exporter"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize(
    "path", ["/", "/page.js", "/api/images", "/metrics", "/-/healthy", "/-/ready"]
)
def test_other_methods_are_refused(standing: Running, method: str, path: str) -> None:
    """Other methods get 405 as plain text, and what is allowed."""
    answer = standing.ask(path, method)
    assert (answer.status, answer.body) == (405, b"Method Not Allowed\n")
    assert answer.headers["allow"] == "GET, HEAD"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "path", ["/metrics/", "/favicon.ico", "//", "/docs", "/%2e%2e/", "/-/", "/api/", "/page.css"]
)
def test_other_paths_are_not_found(standing: Running, path: str) -> None:
    """Other paths get 404 as plain text, without a redirect."""
    answer = standing.ask(path)
    assert (answer.status, answer.body) == (404, b"Not Found\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(("path", "words"), [("/-/healthy", "Healthy"), ("/-/ready", "Ready")])
def test_health_and_readiness_say_why_not(serve: Serve, path: str, words: str) -> None:
    """200 and a word when all is well, else 503 and the reason."""
    reasons: list[str | None] = [None, "no cycle for 200 s"]

    def next_reason() -> str | None:
        return reasons.pop(0)

    server = serve(app(healthy=next_reason, ready=next_reason))
    good, bad = server.ask(path), server.ask(path)
    assert (good.status, good.body) == (200, f"{words}\n".encode())
    assert (bad.status, bad.body) == (503, b"no cycle for 200 s\n")


def test_the_page_is_locked_down(standing: Running) -> None:
    """The page allows its own style by hash, its own script, and nothing else."""
    answer = standing.ask("/")
    page = answer.body.decode()
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "id-of-gone" in page
    (style,) = re.findall(r"<style>(.*)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert answer.headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; script-src 'self'; "
        "connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"


def test_the_script_is_served(standing: Running) -> None:
    """What the page loads is there, as a script."""
    answer = standing.ask("/page.js")
    assert (answer.status, answer.body.decode()) == (200, SCRIPT)
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_is_of_what_is_asked_for(standing: Running) -> None:
    """The query chooses the images, and a page after the last one is the last."""
    page = standing.ask("/?q=id-of-g&limit=25&refresh=0").body.decode()
    assert "id-of-gone" in page
    assert "id-of-fine" not in page
    last = standing.ask("/?limit=7&page=99&sort=image")
    assert (last.status, b"15 to 18 of 18" in last.body) == (200, True)


@pytest.mark.parametrize("path", ["/", "/api/images", "/api/images?limit=no"])
def test_the_page_and_the_api_come_compressed_when_asked(standing: Running, path: str) -> None:
    """The same content, in a fraction of the bytes; who does not take gzip is not sent it."""
    plain = standing.ask(path)
    slim = standing.ask(path, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert slim.headers["content-encoding"] == "gzip"
    assert {answer.headers["vary"] for answer in (plain, slim)} == {"Accept-Encoding"}
    assert slim.status == plain.status
    assert len(slim.body) < len(plain.body)
    assert gzip.decompress(slim.body) == plain.body


def test_a_page_that_makes_no_sense_is_shown_without_that(standing: Running) -> None:
    """What is wrong is named and left out, the rest is kept, and the status is 400."""
    answer = standing.ask("/?q=id-of-gone&limit=no&nope=1")
    page = answer.body.decode()
    assert answer.status == 400
    assert "<code>limit=no</code></bdi>: give a whole number from 1 to 1000" in page
    assert "<code>nope=1</code>" in page
    assert "id-of-fine" not in page


def test_the_api_answers_in_json(standing: Running) -> None:
    """What the page is asked for may be asked of the API too."""
    answer = standing.ask("/api/images?problem=gone&sort=image&limit=1&page=2")
    told = json.loads(answer.body)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (told["matching"], told["page"], told["pages"], told["limit"]) == (2, 2, 2, 1)
    assert [each["image"] for each in told["images"]] == ["gone"]
    assert json.loads(standing.ask("/api/images?page=99").body)["images"] == []


@pytest.mark.parametrize(
    ("query", "name", "value", "accepted"),
    [
        ("limit=0", "limit", "0", "a whole number from 1 to 1000"),
        ("limit=10&limit=20", "limit", "20", "one value"),
        ("order=%ff", "order", "\ufffd", "one of asc, desc"),
        (f"q={'x' * 256}", "q", "x" * 256, "up to 255 characters"),
    ],
)
def test_the_api_refuses_what_makes_no_sense(
    standing: Running, query: str, name: str, value: str, accepted: str
) -> None:
    """400 as JSON names the parameter and what is accepted."""
    answer = standing.ask(f"/api/images?{query}")
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.body) == {
        "error": f"{name} is not accepted: give {accepted}",
        "parameters": [{"name": name, "value": value, "accepted": accepted}],
    }


def test_a_renderer_that_fails_is_a_500_and_the_server_goes_on(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug while rendering is answered by 500, logged, and costs only that request."""

    def fail(**_: bool) -> Body:
        raise ValueError("a bug")

    server = serve(app(metrics=fail))
    assert server.ask("/metrics").status == 500
    assert server.ask("/-/healthy").status == 200
    assert "ValueError: a bug" in caplog.text


def test_a_slow_renderer_holds_up_only_metrics(serve: Serve) -> None:
    """While /metrics is being rendered, as often as there are threads, health is answered."""
    rendering = threading.Semaphore(0)
    finish = threading.Event()

    def slow(**_: bool) -> Body:
        rendering.release()
        finish.wait(BOUND)
        return Body((b"done 1\n",), 7)

    server = serve(app(metrics=slow))
    request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    waiting = [server.connect(request) for _ in range(4)]
    try:
        assert rendering.acquire(timeout=BOUND)
        assert rendering.acquire(timeout=BOUND)
        assert server.ask("/-/healthy").status == 200
        assert not rendering.acquire(blocking=False)
        finish.set()
        for connection in waiting:
            with connection.makefile("rb") as answer:
                assert answer.read().endswith(b"done 1\n")
    finally:
        finish.set()
        for connection in waiting:
            connection.close()


class Slow:
    """A renderer that a test lets go on."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.finish = threading.Event()
        self.count = 0

    def __call__(self, **_: bool) -> Body:
        """A short body, once it may be finished."""
        self.count += 1
        self.begun.release()
        self.finish.wait(BOUND)
        return Body((b"done 1\n",), 7)


def test_scrapes_do_not_wait_for_who_looks_at_images(serve: Serve) -> None:
    """However many pages and documents are being made."""
    begun, finish = threading.Semaphore(0), threading.Event()

    def slow(query: Query) -> ImageList:
        begun.release()
        finish.wait(2 * BOUND)
        return images(query)

    server = serve(app(images=slow))
    looks = [
        server.connect(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        for path in ("/", "/api/images") * 4
    ]
    try:
        assert begun.acquire(timeout=BOUND)
        assert server.ask("/metrics").status == 200
        finish.set()
        for connection in looks:
            with connection.makefile("rb") as answer:
                assert answer.read().startswith(b"HTTP/1.1 200 ")
    finally:
        finish.set()
        for connection in looks:
            connection.close()


SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def test_clients_that_leave_are_not_rendered_for(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Of those who left while all threads were at work nothing is left: no work, no log."""
    slow = Slow()
    server = serve(app(metrics=slow))
    with server.connect(SCRAPE), server.connect(SCRAPE):
        assert slow.begun.acquire(timeout=BOUND)
        assert slow.begun.acquire(timeout=BOUND)
        for _ in range(50):
            server.connect(SCRAPE).close()
        # Each of these is answered after the loop has seen those leave.
        for _ in range(2):
            assert server.ask("/-/healthy").status == 200
        slow.finish.set()
        assert server.ask("/metrics").body == b"done 1\n"
    assert slow.count == 3
    assert not caplog.records


def test_a_body_that_is_sent_along_is_not_looked_at(serve: Serve) -> None:
    """A request with a body is answered like one without."""
    request = (
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
    )
    with serve(app()).connect(request) as connection, connection.makefile("rb") as answer:
        assert answer.read().endswith(BODIES[False])


def test_a_slow_renderer_does_not_delay_the_end(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that is told to end while it renders ends, and has nothing to complain about."""
    slow = Slow()
    server = serve(app(metrics=slow))
    waiting = [server.connect(SCRAPE) for _ in range(4)]
    try:
        assert slow.begun.acquire(timeout=BOUND)
        began = time.monotonic()
        server.end()
        assert time.monotonic() - began < QUICKLY
        assert not caplog.records
    finally:
        slow.finish.set()
        for each in waiting:
            each.close()


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_reload_by_request(serve: Serve, method: str) -> None:
    """200 where the settings are in use, else 400 with a line for each mistake."""
    answers = [(), ("file: one mistake", "file: another")]
    running = serve(app(reload=lambda: answers.pop(0)))
    done, refused = (running.ask("/-/reload", method) for _ in range(2))
    assert (done.status, done.body) == (200, b"")
    assert (refused.status, refused.body) == (400, b"file: one mistake\nfile: another\n")


def test_a_reload_by_request_has_to_be_enabled(standing: Running) -> None:
    """It says by which flag; looking at the page reloads nothing in any case."""
    refused = standing.ask("/-/reload", "POST")
    assert refused.status == 403
    assert b"--web.enable-lifecycle" in refused.body
    assert standing.ask("/-/reload").status == 405


def test_a_reload_does_not_hold_up_scrapes(serve: Serve) -> None:
    """Reloads that take long leave both threads to those who scrape."""
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> tuple[str, ...]:
        begun.set()
        go_on.wait(BOUND)
        return ()

    running = serve(app(reload=slow))
    asked = [
        running.connect(b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        for _ in range(3)
    ]
    assert begun.wait(BOUND)
    assert running.ask("/metrics").status == 200
    go_on.set()
    for each in asked:
        assert each.recv(12) == b"HTTP/1.1 200"
        each.close()
