"""All scenarios. Importing this package registers them."""

from tests.e2e_alerts.scenarios import continuous, disagreement, interruptions

__all__ = ["continuous", "disagreement", "interruptions"]
