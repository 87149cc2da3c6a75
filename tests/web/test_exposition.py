"""A registry in both formats."""

from prometheus_client import CollectorRegistry, Gauge

from exporter.web.exposition import render_of


def test_the_text_format_is_rendered_from_the_registry() -> None:
    """Called with False, the renderer gives the text format of what is there at that moment."""
    registry = CollectorRegistry()
    render = render_of(registry)
    Gauge("answer", "An answer.", registry=registry).set(42)
    assert render(False) == b"# HELP answer An answer.\n# TYPE answer gauge\nanswer 42.0\n"


def test_openmetrics_is_rendered_from_the_registry() -> None:
    """Called with True, it gives OpenMetrics, which ends in its end mark."""
    registry = CollectorRegistry()
    Gauge("answer", "An answer.", registry=registry).set(42)
    expected = b"# HELP answer An answer.\n# TYPE answer gauge\nanswer 42.0\n# EOF\n"
    assert render_of(registry)(True) == expected
