"""How images are asked for together within one cycle, and what is asked where a list fails."""

from collections import Counter
from collections.abc import Iterable

from exporter.model.outcome import Failed
from exporter.model.target import Target
from exporter.polling.engine.types import Group, PollRequest, RequestKind

MAX_PAGES = 20
"""Pages of one batch, which has room for all its images on one: a server may never end."""

MIN_LIST_SIZE = 2
"""So many images are asked for one by one: no list would tell more with fewer requests."""

PROBE_FAILURES_BEFORE_FALLBACK = 2
"""Lists of one image that fail before no list is asked for: one may fail for its image's sake."""


class BatchPlanner:
    """What is asked next about images that a list was asked for; it remembers what lists do.

    Before a list that was refused is asked for in halves, a list of one image, the scout, goes
    ahead, while the others wait as its ``rest``: a server that refuses that too refuses every list,
    however short, and each image is asked for by itself. Lists of hidden images are known apart:
    old servers have no such thing.
    """

    def __init__(self, groups: Iterable[Group]) -> None:
        self._working: set[bool] = set()
        self._refusals: Counter[bool] = Counter()
        self._most, self._room = 1, 0
        self._unlisted: list[Target] = []
        self.add(groups)

    def add(self, groups: Iterable[Group]) -> None:
        """Takes in further groups: how large they are tells what fits into a list."""
        for group in groups:
            self._most = max(self._most, len(group))
            self._room = max(self._room, _letters(group))

    @property
    def has_unlisted(self) -> bool:
        """Whether images wait for the lists of hidden ones."""
        return bool(self._unlisted)

    def take_unlisted(self) -> list[Target]:
        """Those images, which wait no more."""
        taken, self._unlisted = self._unlisted, []
        return taken

    def hidden_lists(self) -> list[PollRequest]:
        """The lists of hidden images for those that wait: as few as they fit into."""
        packed: list[list[Target]] = []
        for target in self.take_unlisted():
            last = packed[-1] if packed else []
            if not last or len(last) >= self._most or _letters((*last, target)) > self._room:
                packed.append(last := [])
            last.append(target)
        return [
            ask
            for group in packed
            for ask in (
                one_by_one(group)
                if len(group) < MIN_LIST_SIZE
                else [PollRequest(RequestKind.BATCH, tuple(group), hidden=True)]
            )
        ]

    def useless(self, hidden: bool) -> bool:
        """Whether the server gives no such lists in this cycle."""
        return max(self._refusals[False], self._refusals[hidden]) >= PROBE_FAILURES_BEFORE_FALLBACK

    def after_page(
        self, ask: PollRequest, left: tuple[Target, ...], next_path: str | None
    ) -> list[PollRequest]:
        """What follows a page that was listed and has none of those ``left``."""
        self._working.add(ask.hidden)
        asks = _halves(ask.deferred, ask.hidden, None)
        if len(left) < MIN_LIST_SIZE:
            return asks + one_by_one(left)
        if next_path not in {None, ask.page} and ask.page_number < MAX_PAGES:
            pages = ask.page_number + 1
            return [
                *asks,
                PollRequest(
                    RequestKind.BATCH, left, hidden=ask.hidden, page=next_path, page_number=pages
                ),
            ]
        if ask.hidden:
            # No list gives them: only asking for each tells whether it is gone.
            return asks + one_by_one(left)
        # What other lists leave out is asked for together with it.
        self._unlisted += left
        return asks

    def after_refusal(
        self, ask: PollRequest, left: tuple[Target, ...], failed: Failed
    ) -> list[PollRequest]:
        """What follows a list that was refused, maybe for its length or for one of its images."""
        if len(ask.targets) > 1:
            return self.fewer(left, ask.hidden, failed)
        if ask.hidden not in self._working:
            # A request that is refused as such is so for its form, which all lists share.
            self._refusals[ask.hidden] += (
                PROBE_FAILURES_BEFORE_FALLBACK if failed.reason == "rejected" else 1
            )
        return one_by_one(left) + self.fewer(ask.deferred, ask.hidden, failed)

    def fewer(self, targets: tuple[Target, ...], hidden: bool, failed: Failed) -> list[PollRequest]:
        """How the images of a list that ``failed`` are asked for by shorter ones."""
        if self.useless(hidden) or len(targets) <= MIN_LIST_SIZE:
            return one_by_one(targets)
        if hidden in self._working:
            return _halves(targets, hidden, failed)
        scout, *rest = targets
        return [
            PollRequest(
                RequestKind.BATCH, (scout,), failure=failed, hidden=hidden, deferred=tuple(rest)
            )
        ]


def _letters(group: Iterable[Target]) -> int:
    """What the group's IDs, with a comma each, take of a request line."""
    return sum(len(target.image_id) + 1 for target in group)


def one_by_one(targets: Iterable[Target]) -> list[PollRequest]:
    """Each image by itself."""
    return [PollRequest(RequestKind.POLL, (target,)) for target in targets]


def _halves(targets: tuple[Target, ...], hidden: bool, failed: Failed | None) -> list[PollRequest]:
    half = len(targets) // 2
    return [
        ask
        for part in (targets[:half], targets[half:])
        for ask in (
            one_by_one(part)
            if len(part) <= MIN_LIST_SIZE
            else [PollRequest(RequestKind.BATCH, part, failure=failed, hidden=hidden)]
        )
    ]
