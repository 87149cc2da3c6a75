"""An answer that describes no image."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Malformed:
    """An answer that cannot be trusted; ``problems`` names every bad field."""

    problems: tuple[str, ...]

    def __str__(self) -> str:
        """All problems in one line."""
        return "; ".join(self.problems)
