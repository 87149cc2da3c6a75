"""The duration and memory of cycles, by number of images."""

import json
import subprocess
import sys
import time

from tests.benchmarks.polling import running_application
from tests.benchmarks.report import print_table
from tests.benchmarks.server import serving

COUNTS = (100, 1_000, 10_000, 100_000)
MIB = 2**20


def test_cycles_by_number_of_images() -> None:
    """Print duration, rate and memory of a first cycle, each in a process of its own.

    The memory per image is the difference to the peak of the smallest cycle, which already has
    all threads and connections.
    """
    rows = []
    base = 0.0
    for count in COUNTS:
        with serving(count) as url:
            figures = _measure_in_process(url, count)
        base = base or figures["peak"]
        more = count - COUNTS[0]
        rows.append(
            (
                f"{count:,}",
                f"{figures['seconds']:.2f} s",
                f"{count / figures['seconds']:.0f}/s",
                f"{figures['processor'] / count * 1e6:.0f} µs",
                f"{figures['peak'] / MIB:.0f} MiB",
                f"{(figures['peak'] - base) / more / 1024:.1f} KiB" if more else "(base)",
                f"{figures['connections']:.0f}",
            )
        )
    print_table(
        "A first cycle without latency, concurrency 16",
        ("images", "time", "polls", "processor", "peak resident", "per image", "connections"),
        rows,
    )


def test_cycles_with_latency() -> None:
    """Print the duration and the failures of cycles over 10,000 images at 20 ms of latency."""
    count = 10_000
    rows = []
    with serving(count, latency=0.02) as url:
        for cycle, warm_up in (("first", 0), ("later", 1)):
            figures = _measure_in_process(url, count, warm_up)
            rows.append(
                (
                    cycle,
                    f"{figures['seconds']:.1f} s",
                    f"{figures['processor'] / count * 1e6:.0f} µs",
                    f"{figures['failures']:.0f}",
                    f"{figures['needed']:.0f}",
                    f"{figures['connections']:.0f}",
                )
            )
    print_table(
        f"Cycles over {count:,} images at 20 ms of latency, interval 60 s, concurrency 16",
        ("cycle", "time", "processor", "failures", "concurrency needed", "connections"),
        rows,
    )


def _measure_in_process(url: str, count: int, warm_up: int = 0) -> dict[str, float]:
    arguments = [url, str(count), str(warm_up)]
    command = [sys.executable, "-m", "tests.benchmarks.bench_cycle", *arguments]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(result.stdout)
    return figures


def peak() -> float:
    """Return the peak resident size in bytes.

    ``getrusage`` is not used: its value starts with that of the parent process.
    """
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return float(lines["VmHWM"].split()[0]) * 1024


def main(url: str, count: int, warm_up: int) -> None:
    """Measure one cycle after ``warm_up`` others, and print the figures."""
    with running_application(url, count) as application:
        (poller,) = application.pollers
        for _ in range(warm_up):
            poller.run_cycle()
        wall, processor = time.perf_counter(), time.process_time()
        poller.run_cycle()
        state = application.store.cloud("bench")
        print(  # noqa: T201  # read by the parent process
            json.dumps(
                {
                    "peak": peak(),
                    "seconds": time.perf_counter() - wall,
                    "processor": time.process_time() - processor,
                    "connections": poller.client.sender.connections,
                    "failures": sum(state.failures.values()),
                    "needed": state.concurrency_needed or 0,
                }
            )
        )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
