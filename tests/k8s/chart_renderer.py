"""Render the chart with Helm's engine: requests in, files out, as lines of JSON.

Runs in the environment of `make k8s-env`, apart from pytest, which forks: Helm's engine is a
library in Go, whose threads do not survive a fork.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import helm_python


def results(path: str, release: str) -> Iterator[dict[str, Any]]:
    """Yield what ``helm lint`` reports, and then the files or the error of each request."""
    yield helm_python.lint(path, strict=True)
    with helm_python.Chart.load(path) as chart:
        for line in sys.stdin:
            try:
                request = json.loads(line)
                yield {
                    "files": chart.render(
                        request["values"], name=release, namespace=request["namespace"]
                    )
                }
            except helm_python.HelmError as error:
                yield {"error": str(error)}


if __name__ == "__main__":
    for result in results(*sys.argv[1:]):
        sys.stdout.write(f"{json.dumps(result)}\n")
        sys.stdout.flush()
