"""The web application with the example images."""

import gzip
from functools import partial

from starlette.types import ASGIApp

from exporter.metrics.body import Body
from exporter.web.app import create_app
from exporter.web.handlers import (
    FindImage,
    Handlers,
    HealthCheck,
    QueryImages,
    Reload,
    RenderMetrics,
)
from exporter.web.pages.image_details import find_image
from exporter.web.pages.image_list import ImageList, query_images
from exporter.web.pages.query import Query
from tests.web.example_images import ACCESSES, NOW, example_store

BODIES = {False: b"text 1\n" * 1000, True: b"openmetrics 1\n" * 1000 + b"# EOF\n"}
STORE = example_store()


def succeed() -> None:
    """Return no reason to fail."""


def render_metrics(*, openmetrics: bool, compressed: bool, **_: object) -> Body:
    """Return a body in three pieces."""
    plain = BODIES[openmetrics]
    content = gzip.compress(plain, mtime=0) if compressed else plain
    return Body.of((content[:10], content[10:1000], content[1000:]))


def query_example_images(query: Query) -> ImageList:
    """Run a query on the example images."""
    return query_images(STORE, query, NOW)


find_example_image = partial(find_image, STORE, now=NOW, accesses=ACCESSES)


def app(
    metrics: RenderMetrics = render_metrics,
    healthy: HealthCheck = succeed,
    ready: HealthCheck = succeed,
    images: QueryImages = query_example_images,
    find: FindImage = find_example_image,
    reload: Reload | None = None,
) -> ASGIApp:
    """Return an application with the functions that a test replaces."""
    handlers = Handlers(
        render_metrics=metrics,
        query_images=images,
        find_image=find,
        check_health=healthy,
        check_readiness=ready,
        reload=reload,
    )
    return create_app(handlers)
