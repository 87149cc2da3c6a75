"""Prometheus exporter for images of the OpenStack Image service."""

from pathlib import Path

__version__ = "0.1.0"

UNKNOWN_REVISION = "unknown"


def read_revision() -> str:
    """Return the git commit that the package was built from, which the build writes to a file."""
    try:
        text = Path(__file__).with_name("revision.txt").read_text("ascii")
    except (OSError, ValueError):
        return UNKNOWN_REVISION
    return text.strip()
