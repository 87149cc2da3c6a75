"""The metrics as bytes."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics_format

Render = Callable[[bool], bytes]
"""All metrics, as OpenMetrics 1.0.0 when called with True, else in the text format 0.0.4."""


def render_of(registry: CollectorRegistry) -> Render:
    """A function that collects and renders what is in the registry at each call."""

    def render(openmetrics: bool) -> bytes:
        if openmetrics:
            # It has no annotations.
            return bytes(openmetrics_format.generate_latest(registry))  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    return render
