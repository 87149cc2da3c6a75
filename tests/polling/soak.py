"""A process that polls for a long time without pauses, and reports its resources.

``python -m tests.polling.soak URL IMAGE_ID...`` reads numbers of cycles from standard input. After
each run of so many cycles it prints its resources as JSON. It ends at the end of its input.
"""

import ctypes
import gc
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, NamedTuple

from prometheus_client import generate_latest

from exporter.app import build_application
from exporter.config import ResolvedCloud, ResolvedImage
from exporter.polling.engine import pacing as pace
from tests.support.polled_cloud import threads
from tests.support.wait import wait_until

CLOUD = "soak"
CONCURRENCY = 4
TIMEOUT = 0.1
PAGE = os.sysconf("SC_PAGE_SIZE")


class HeldResources(NamedTuple):
    """Resources that the process holds between two cycles, and the results of its polls.

    ``resident`` is in bytes; ``strays`` are sockets that are not in the connection pool.
    """

    resident: int
    threads: int
    connections: int
    strays: int
    polls: int
    failures: int
    existing: int


class PollingProcess:
    """The parent's side of the process."""

    def __init__(self, control: IO[str], output: IO[str]) -> None:
        self._control, self._output = control, output

    def run(self, cycles: int) -> HeldResources:
        """Run so many cycles; return the resources of the process afterwards."""
        self._control.write(f"{cycles}\n")
        self._control.flush()
        return HeldResources(*json.loads(self._output.readline()))


@contextmanager
def polling_process(url: str, image_ids: Sequence[str]) -> Iterator[PollingProcess]:
    """Start a process that polls, and stop it at the end."""
    command = [sys.executable, "-m", "tests.polling.soak", url, *image_ids]
    # Coverage measurement needs memory for every thread that the process has ever had.
    environ = {key: value for key, value in os.environ.items() if "COVERAGE" not in key}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield PollingProcess(process.stdin, process.stdout)
        process.stdin.close()


def _plan(url: str, image_ids: Sequence[str]) -> ResolvedCloud:
    return ResolvedCloud(
        name=CLOUD,
        cloud=None,
        region=None,
        image_service_name=None,
        interface=None,
        api="v1",
        endpoint=url,
        token=None,
        token_file=None,
        os_client_config=None,
        images=tuple(ResolvedImage(image_id, image_id) for image_id in image_ids),
        properties=(),
        interval=60.0,
        timeout=TIMEOUT,
        concurrency=CONCURRENCY,
        rate_limit=None,
        max_stale=900.0,
        discover=(),
        discovery_interval=300.0,
        forget_after=86400.0,
        label_value_limit=512,
    )


def _resident() -> int:
    """Return the resident size in bytes, after releasing all memory that is free.

    Python collects garbage at its own times, and glibc keeps freed pages. Neither is a leak.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * PAGE


def _sockets() -> int:
    count = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
    return count


def main(url: str, image_ids: Sequence[str]) -> None:
    """Run as many cycles as each line of standard input requires, until it ends."""
    logging.getLogger().addHandler(logging.NullHandler())
    # Cycles end with the last response: polls are not spread over the interval, and no time is
    # spent waiting for stray bytes.
    pace.SPREAD_FRACTION = 1e-9
    pace.MAX_DRAIN_TIMEOUT = 0.0
    parts = build_application([_plan(url, image_ids)])
    (poller,) = parts.pollers
    poller.random = lambda: 0.0
    for line in sys.stdin:
        for _ in range(int(line)):
            poller.run_cycle()
            generate_latest(parts.exporter_metrics.registry)
        wait_until(lambda: not threads())
        state = parts.store.cloud(CLOUD)
        connections = poller.client.sender.connections
        resources = HeldResources(
            resident=_resident(),
            threads=threading.active_count(),
            connections=connections,
            strays=_sockets() - connections,
            polls=state.polls,
            failures=sum(state.failures.values()),
            existing=sum(bool(observation.exists) for _, observation in parts.store.observations()),
        )
        print(json.dumps(resources), flush=True)  # noqa: T201  # read by the parent process
    parts.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
