"""All scenarios. Importing this package registers them."""

from tests.e2e_alerts.scenarios import continuous, disagreement, interruptions, partial_api

__all__ = ["continuous", "disagreement", "interruptions", "partial_api"]
