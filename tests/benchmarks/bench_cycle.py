"""How long cycles take and how much memory they need, by number of images."""

import json
import subprocess
import sys
import time

from tests.benchmarks.polling import built
from tests.benchmarks.report import table
from tests.benchmarks.server import serving

COUNTS = (100, 1_000, 10_000, 100_000)
MIB = 2**20


def test_cycles_by_number_of_images() -> None:
    """Prints duration, rate and memory of a first cycle, each in a process of its own.

    Memory per image is what the peak of each is above the first one's, which has all threads and
    connections already.
    """
    rows = []
    base = 0.0
    for count in COUNTS:
        with serving(count) as url:
            figures = _in_a_process(url, count)
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
    table(
        "A first cycle without latency, concurrency 16",
        ("images", "time", "polls", "processor", "peak resident", "per image", "connections"),
        rows,
    )


def test_cycles_with_latency() -> None:
    """Prints how cycles over 10,000 images at 20 ms of latency end: in time, and with what."""
    count = 10_000
    rows = []
    with serving(count, latency=0.02) as url:
        for cycle, warm_up in (("first", 0), ("later", 1)):
            figures = _in_a_process(url, count, warm_up)
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
    table(
        f"Cycles over {count:,} images at 20 ms of latency, interval 60 s, concurrency 16",
        ("cycle", "time", "processor", "failures", "concurrency needed", "connections"),
        rows,
    )


def _in_a_process(url: str, count: int, warm_up: int = 0) -> dict[str, float]:
    arguments = [url, str(count), str(warm_up)]
    command = [sys.executable, "-m", "tests.benchmarks.bench_cycle", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def peak() -> float:
    """The largest resident size so far, in bytes.

    Not ``getrusage``'s, which begins with that of the process that started this one.
    """
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return float(lines["VmHWM"].split()[0]) * 1024


def main(url: str, count: int, warm_up: int) -> None:
    """Measures one cycle, after so many others, and prints the figures."""
    with built(url, count) as parts:
        (poller,) = parts.pollers
        for _ in range(warm_up):
            poller.run_cycle()
        wall, processor = time.perf_counter(), time.process_time()
        poller.run_cycle()
        state = parts.store.cloud("bench")
        print(  # noqa: T201  # that is how the parent learns of it
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
