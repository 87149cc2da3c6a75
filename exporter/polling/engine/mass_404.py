"""Mass 404: all existing images of a cloud turn 404 in one cycle, as after a lost role or project.

No image is then reported as gone until the next cycle confirms it.
"""

from exporter.polling.engine.types import CycleHistory

MIN_MASS_404 = 2
"""Smallest number of existing images for which a 404 of all of them is suspicious."""

MAX_MASS_PROBES = 6
"""Probes that look for an existing image while all of them may be gone, per cycle."""


class Mass404:
    """The images that existed before this cycle, and their results in it: 404, found or failed."""

    def __init__(self, history: CycleHistory) -> None:
        self._existing = history.existing
        self._was_suspected = history.mass_404_suspected
        self._missing: set[str] = set()
        self._failed: set[str] = set()
        self._proven: set[str] = set()
        self._existing_found = False

    def on_404(self, image_id: str) -> None:
        """Record that the poll of an image was 404."""
        if image_id in self._existing:
            self._missing.add(image_id)

    def on_found(self, image_id: str) -> None:
        """Record that a request found an image."""
        self._existing_found = self._existing_found or image_id in self._existing

    def on_failed(self, image_id: str) -> None:
        """Record that the poll of an image failed, which proves nothing about the image."""
        if image_id in self._existing and image_id not in self._missing:
            self._failed.add(image_id)

    def on_proven(self, image_id: str) -> None:
        """Record that an image is proved to be gone."""
        self._proven.add(image_id)

    @property
    def is_existing_found(self) -> bool:
        """Return True if an image that existed before was found in this cycle."""
        return self._existing_found

    @property
    def has_disappeared(self) -> bool:
        """Return True if all existing images are gone and a second cycle has confirmed it."""
        return self._was_suspected and bool(self._existing) and self._existing <= self._proven

    @property
    def is_suspected(self) -> bool:
        """Return True if this cycle saw a mass 404 that the next cycle has to confirm."""
        return self.is_seen and not self.has_disappeared

    @property
    def is_new(self) -> bool:
        """Return True if this cycle is the first to suspect it, so its evidence does not count."""
        return self.is_suspected and not self._was_suspected

    @property
    def is_seen(self) -> bool:
        """Return True if several existing images are 404 in this cycle and none is found."""
        return len(self._missing) >= MIN_MASS_404 and not self._existing_found

    @property
    def is_possible(self) -> bool:
        """Return True while all existing images may be 404, unless the last cycle suspected that.

        It is ruled out once an existing image is found, or once every existing image has been
        requested and fewer than two are 404.
        """
        if len(self._existing) < MIN_MASS_404 or self._was_suspected or self._existing_found:
            return False
        is_undecided = len(self._missing) + len(self._failed) < len(self._existing)
        return self.is_seen or is_undecided
