"""The state that polling and the web share: the latest observations, and the changes before."""

from exporter.store.store import Changes, Store

__all__ = ["Changes", "Store"]
