"""How images are asked for together within one cycle, and what is asked where a list fails."""

from collections import Counter
from collections.abc import Iterable

from exporter.image.outcome import Failed
from exporter.image.target import Target
from exporter.polling.question import Ask, Kind

MAX_PAGES = 20
"""Pages of one batch, which has room for all its images on one: a server may never end."""

FEW = 2
"""So many images are asked for one by one: no list would tell more with fewer requests."""

SCOUTS = 2
"""Lists of one image that fail before no list is asked for: one may fail for its image's sake."""


class Batches:
    """What is asked next about images that a list was asked for; it remembers what lists do.

    Before a list that was refused is asked for in halves, a list of one image, the scout, goes
    ahead, while the others wait as its ``rest``: a server that refuses that too refuses every list,
    however short, and each image is asked for by itself. Lists of hidden images are known apart:
    old servers have no such thing.
    """

    def __init__(self) -> None:
        self._working: set[bool] = set()
        self._refusals: Counter[bool] = Counter()

    def useless(self, hidden: bool) -> bool:
        """Whether the server gives no such lists in this cycle."""
        return max(self._refusals[False], self._refusals[hidden]) >= SCOUTS

    def after_page(self, ask: Ask, left: tuple[Target, ...], next_path: str | None) -> list[Ask]:
        """What follows a page that was listed and has none of those ``left``."""
        self._working.add(ask.hidden)
        asks = _halves(ask.rest, ask.hidden, None)
        if len(left) < FEW:
            return asks + alone(left)
        if next_path not in {None, ask.page} and ask.pages < MAX_PAGES:
            pages = ask.pages + 1
            return [*asks, Ask(Kind.BATCH, left, hidden=ask.hidden, page=next_path, pages=pages)]
        if ask.hidden:
            # No list gives them: only asking for each tells whether it is gone.
            return asks + alone(left)
        return [*asks, Ask(Kind.BATCH, left, hidden=True)]

    def after_refusal(self, ask: Ask, left: tuple[Target, ...], failed: Failed) -> list[Ask]:
        """What follows a list that was refused, maybe for its length or for one of its images."""
        if len(ask.targets) > 1:
            return self.fewer(left, ask.hidden, failed)
        if ask.hidden not in self._working:
            # A request that is refused as such is so for its form, which all lists share.
            self._refusals[ask.hidden] += SCOUTS if failed.reason == "rejected" else 1
        return alone(left) + self.fewer(ask.rest, ask.hidden, failed)

    def fewer(self, targets: tuple[Target, ...], hidden: bool, failed: Failed) -> list[Ask]:
        """How the images of a list that ``failed`` are asked for by shorter ones."""
        if self.useless(hidden) or len(targets) <= FEW:
            return alone(targets)
        if hidden in self._working:
            return _halves(targets, hidden, failed)
        scout, *rest = targets
        return [Ask(Kind.BATCH, (scout,), failure=failed, hidden=hidden, rest=tuple(rest))]


def alone(targets: Iterable[Target]) -> list[Ask]:
    """Each image by itself."""
    return [Ask(Kind.POLL, (target,)) for target in targets]


def _halves(targets: tuple[Target, ...], hidden: bool, failed: Failed | None) -> list[Ask]:
    half = len(targets) // 2
    return [
        ask
        for part in (targets[:half], targets[half:])
        for ask in (
            alone(part)
            if len(part) <= FEW
            else [Ask(Kind.BATCH, part, failure=failed, hidden=hidden)]
        )
    ]
