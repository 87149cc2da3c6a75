"""Settings that tests read from a file, flags and variables."""

from collections.abc import Callable

from exporter.config import Invocation, ResolvedCloud, resolved_clouds

MINIMAL = "clouds: [{name: a, images: [b]}]\n"
Read = Callable[..., Invocation]


def clouds_of(content: str, read: Read) -> tuple[ResolvedCloud, ...]:
    """Return the resolved clouds of a file."""
    return resolved_clouds(read(content).settings)
