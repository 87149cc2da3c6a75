"""A poller for benchmarks, built as the daemon builds it."""

from collections.abc import Iterator
from contextlib import contextmanager

from exporter.app import Application, build_application
from exporter.config import ResolvedCloud, ResolvedImage
from exporter.model.sharding import UNSHARDED, Shard
from tests.benchmarks.images import image_ids

INTERVAL = 60.0


def bench_cloud(url: str, count: int, **changes: object) -> ResolvedCloud:
    """Return a cloud with ``count`` images at a fixed endpoint, with the default settings."""
    values: dict[str, object] = {
        "name": "bench",
        "cloud": None,
        "region": None,
        "image_service_name": None,
        "interface": None,
        "api": "v1",
        "endpoint": url,
        "token": None,
        "token_file": None,
        "os_client_config": None,
        "images": tuple(ResolvedImage(image_id, image_id) for image_id in image_ids(count)),
        "properties": (),
        "interval": INTERVAL,
        "timeout": 10.0,
        "concurrency": 16,
        "rate_limit": None,
        "max_stale": 900.0,
        "discover": (),
        "discovery_interval": 300.0,
        "forget_after": 86400.0,
        "label_value_limit": 512,
    }
    return ResolvedCloud(**(values | changes))  # type: ignore[arg-type]  # its fields


@contextmanager
def running_application(
    url: str, count: int, shard: Shard = UNSHARDED, /, **changes: object
) -> Iterator[Application]:
    """Build the application for such a cloud, or for a shard of it."""
    application = build_application([bench_cloud(url, count, **changes)], shard=shard)
    try:
        yield application
    finally:
        application.close()
