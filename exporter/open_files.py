"""The limit of open files: raised if possible, and shared by polling and the served pages."""

import logging
import resource
from collections.abc import Sequence
from dataclasses import replace

from exporter.config import ResolvedCloud
from exporter.web.server.connection_limit import (
    MAX_CONNECTIONS,
    REFUSED_CONNECTIONS,
    max_connections,
)

log = logging.getLogger(__name__)

FILES_OF_PROCESS = 50
"""Open files that are no connections: standard streams, listening sockets, event loop, modules."""
FILES_PER_CLOUD = 3
"""Open files of a cloud in addition to one per concurrent request: sign-in, look-up, CA bundle."""


def raise_limit() -> None:
    """Raise the soft limit of open files to the hard limit, as programs written in Go do.

    The soft limit is low for programs that use select(), which the exporter does not.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:
        # Some systems have a limit of the kernel below an unlimited hard limit.
        log.debug("limit of open files not raised", extra={"fields": {"error": error}})


def fit_concurrency(clouds: Sequence[ResolvedCloud]) -> tuple[ResolvedCloud, ...]:
    """Lower the concurrency of clouds so that their connections leave enough files for scrapes.

    Otherwise polls would fail for lack of files, which would look like an API that is down. Each
    cloud keeps at least one request at a time, also if even that does not fit.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    available = limit - FILES_OF_PROCESS - max_connections() - REFUSED_CONNECTIONS
    highest = max((cloud.concurrency for cloud in clouds), default=1)
    concurrency = highest
    while concurrency > 1 and _polling_files(clouds, concurrency) > available:
        concurrency -= 1
    needed = _polling_files(clouds, highest)
    if needed > available and limit != resource.RLIM_INFINITY:
        fields = {
            "limit": limit,
            "needed": FILES_OF_PROCESS + MAX_CONNECTIONS + REFUSED_CONNECTIONS + needed,
            "concurrency": concurrency,
        }
        log.warning(
            "polling with a lower concurrency, because too few open files are allowed: raise the "
            "hard limit (ulimit -n, LimitNOFILE= of systemd, the container runtime)",
            extra={"fields": fields},
        )
        return tuple(
            replace(cloud, concurrency=min(cloud.concurrency, concurrency)) for cloud in clouds
        )
    return tuple(clouds)


def _polling_files(clouds: Sequence[ResolvedCloud], concurrency: int) -> int:
    """Return the most files that polling opens with at most this concurrency per cloud."""
    return sum(min(cloud.concurrency, concurrency) + FILES_PER_CLOUD for cloud in clouds)
