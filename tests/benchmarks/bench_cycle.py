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
    """Prints duration, rate and memory of a first cycle, each in a process of its own."""
    rows = []
    base = 0.0
    for count in COUNTS:
        with serving(count) as url:
            figures = _in_a_process(url, count)
        base = base or figures["before"]
        per_image = (figures["after"] - figures["before"]) / count
        rows.append(
            (
                f"{count:,}",
                f"{figures['seconds']:.2f} s",
                f"{count / figures['seconds']:.0f}/s",
                f"{figures['processor'] / count * 1e6:.0f} µs",
                f"{figures['before'] / MIB:.0f} MiB",
                f"{figures['after'] / MIB:.0f} MiB",
                f"{per_image / 1024:.1f} KiB",
                f"{figures['connections']:.0f}",
            )
        )
    table(
        "A first cycle against a service without latency, concurrency 16",
        (
            "images",
            "time",
            "polls",
            "processor",
            "resident before",
            "peak",
            "per image",
            "connections",
        ),
        rows,
    )


def test_cycle_with_latency() -> None:
    """Prints how a cycle over 10,000 images at 20 ms of latency ends: in time, and with what."""
    count = 10_000
    with serving(count, latency=0.02) as url:
        figures = _in_a_process(url, count)
    rows = [
        (
            f"{count:,}",
            f"{figures['seconds']:.1f} s",
            f"{figures['failures']:.0f}",
            f"{figures['needed']:.0f}",
            f"{figures['connections']:.0f}",
        )
    ]
    table(
        "A first cycle at 20 ms of latency, interval 60 s, concurrency 16",
        ("images", "time", "failures", "concurrency needed", "connections"),
        rows,
    )


def _in_a_process(url: str, count: int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.bench_cycle", url, str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _resident() -> tuple[float, float]:
    """Resident size now and at its peak, in bytes."""
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return tuple(float(lines[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM"))  # type: ignore[return-value]


def main(url: str, count: int) -> None:
    """Measures one first cycle and prints the figures."""
    before, _ = _resident()
    with built(url, count) as parts:
        (poller,) = parts.pollers
        wall, processor = time.perf_counter(), time.process_time()
        poller.run_cycle()
        state = parts.store.cloud("bench")
        _, peak = _resident()
        print(  # noqa: T201  # that is how the parent learns of it
            json.dumps(
                {
                    "before": before,
                    "after": peak,
                    "seconds": time.perf_counter() - wall,
                    "processor": time.process_time() - processor,
                    "connections": poller.client.connections,
                    "failures": sum(state.failures.values()),
                    "needed": state.concurrency_needed or 0,
                }
            )
        )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
