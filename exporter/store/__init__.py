"""The state that polling and the web share: the latest observations, and the changes before."""

from exporter.store.change_history import ChangeEvent
from exporter.store.store import Changes, Store

__all__ = ["ChangeEvent", "Changes", "Store"]
