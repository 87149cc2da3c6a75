"""When a 404 means that an image is gone.

A 404 says "not visible to these credentials", and a broken API says it of everything. So one
becomes ``Gone`` only by evidence gathered after it: the image is asked again on a fresh
connection and is 404 again, and after that the API is proved to be answering for these
credentials, by a living image or by its list. And where all images that were there turn 404 in
one cycle, which a lost role or project looks like, one more cycle has to say the same.
"""

import heapq
from math import inf

SEVERAL = 2
"""From how many images on it is suspicious that none is left."""


class GoneConfirmation:
    """The 404s of one cycle and what speaks for them; times are steady seconds.

    ``living`` are the IDs that were there before, ``suspected`` says that all of them turned 404
    in the cycle before as well.
    """

    def __init__(self, living: frozenset[str], *, suspected: bool) -> None:
        self._living = living
        self._suspected = suspected
        self._missing: set[str] = set()
        self._witnesses = set(living)
        self._confirmed: list[tuple[float, str]] = []
        self._failed: set[str] = set()
        self._proved_at = -inf
        self._lives = False

    @property
    def all_at_once(self) -> bool:
        """Whether it still may be that everything turned 404 at once, for the first time.

        An image whose poll fails says nothing about it: only one that is found does, or that all
        others have failed.
        """
        if len(self._living) < SEVERAL or self._suspected or self._lives:
            return False
        return self.all_missing or len(self._missing) + len(self._failed) < len(self._living)

    @property
    def all_missing(self) -> bool:
        """Whether several images that were there are 404 in this cycle, and none is found."""
        return len(self._missing) >= SEVERAL and not self._lives

    @property
    def undecided(self) -> bool:
        """Whether there is a confirmed 404 that is not gone yet."""
        return bool(self._confirmed)

    def missing(self, image_id: str) -> None:
        """The image was answered with 404."""
        if image_id in self._living:
            self._missing.add(image_id)
            self._witnesses.discard(image_id)

    def confirmed(self, image_id: str, at: float) -> None:
        """The image was answered with 404 again at ``at``, on a fresh connection."""
        heapq.heappush(self._confirmed, (at, image_id))

    def found(self, image_id: str, sent_at: float) -> None:
        """A question sent at ``sent_at`` was answered with the image: the API works."""
        self._proved_at = max(self._proved_at, sent_at)
        self._lives = self._lives or image_id in self._living

    def listed(self, sent_at: float) -> None:
        """A question sent at ``sent_at`` was answered with the list: the API works."""
        self._proved_at = max(self._proved_at, sent_at)

    def failed(self, image_id: str) -> None:
        """The image's poll failed, which tells nothing of it."""
        if image_id in self._living - self._missing:
            self._failed.add(image_id)

    def witness(self) -> str | None:
        """An image that was there and may be still: its answer tells most. Each comes up once."""
        return self._witnesses.pop() if self._witnesses else None

    def gone(self) -> list[str]:
        """The images now proved to be gone; each is given once."""
        if self.all_at_once:
            return []
        proved = []
        while self._confirmed and self._confirmed[0][0] <= self._proved_at:
            proved.append(heapq.heappop(self._confirmed)[1])
        return proved
