"""A poller to be measured, built as the daemon builds it."""

from collections.abc import Iterator
from contextlib import contextmanager

from exporter.app import Application, build_application
from exporter.config import ResolvedCloud, ResolvedImage
from exporter.model.sharding import UNSHARDED, Shard
from tests.benchmarks.images import image_ids

INTERVAL = 60.0


def plan(url: str, count: int, **changes: object) -> ResolvedCloud:
    """One cloud with so many images at a fixed endpoint, by the default settings."""
    values: dict[str, object] = {
        "name": "bench",
        "cloud": None,
        "region": None,
        "interface": None,
        "api": "v1",
        "endpoint": url,
        "token": None,
        "token_file": None,
        "images": tuple(ResolvedImage(each, each) for each in image_ids(count)),
        "properties": (),
        "interval": INTERVAL,
        "timeout": 10.0,
        "concurrency": 16,
        "rate_limit": None,
        "max_stale": 900.0,
        "discover": (),
        "discovery_interval": 300.0,
        "forget_after": 86400.0,
    }
    return ResolvedCloud(**(values | changes))  # type: ignore[arg-type]  # its fields


@contextmanager
def built(
    url: str, count: int, shard: Shard = UNSHARDED, /, **changes: object
) -> Iterator[Application]:
    """The parts for that cloud, or for a shard of it."""
    parts = build_application([plan(url, count, **changes)], shard=shard)
    try:
        yield parts
    finally:
        parts.close()
