"""Batches: lists that poll many images at once, and the requests that follow when a list fails.

A list may fail because it is too long, because of one of its images, or because the server does not
support such lists. ``BatchPlanner`` finds out with few requests, by one of three strategies:

- ``ONE_BY_ONE``: request each image by itself. Used for few images, or if lists are unsupported.
- ``PROBE``: request a list of a single image first, and defer the others until its reply. Used
  until a list has worked in this cycle, because the server may not support lists.
- ``HALVES``: request two lists of half the images each. Used once a list of any length has worked.

Example: 16 images, of which the server accepts at most 4 in a list. Lists are requested for 16
images (refused), 1 (the probe, which works), 7 and 8 (the 15 deferred images; refused), and 3, 4, 4
and 4 images. A server that rejects every list gets one for 16 images and the probe; after that each
image is requested by itself, including the images of the cycle's other batches.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import NamedTuple

from exporter.model.outcome import Failed
from exporter.model.target import Target
from exporter.polling.engine.pacing import MAX_RETRIES
from exporter.polling.engine.types import Group, PollRequest, RequestKind

MAX_PAGES = 20
"""Limit of further pages of a batch. A batch fits on one page, but a faulty server may add more."""

MIN_LIST_SIZE = 2
"""Up to this many images are requested one by one: a shorter list would save no request."""

PROBE_FAILURES_BEFORE_FALLBACK = 2
"""Single-image lists that must fail before lists are given up; one may be the image's fault."""


class BatchFailure(Enum):
    """Kinds of failed lists that need different reactions."""

    REFUSED = auto()
    """The server refused the list or sent one that cannot be read; a shorter one may work."""

    SERVER_ERROR = auto()
    """A 5xx, while another request of this cycle succeeded: one image may cause it."""

    UNCLEAR_SERVER_ERROR = auto()
    """A 5xx, and no request of this cycle succeeded: the whole API may be down."""

    OTHER = auto()
    """No response, no access, or an open circuit breaker: a shorter list would fail too."""


class Fallback(Enum):
    """Reaction to a list that failed and is not sent again."""

    SPLIT = auto()
    """Request the images by shorter lists, or one by one."""

    CHECK_API = auto()
    """Request the list of all images; split if that succeeds, else fail."""

    FAIL = auto()
    """Fail the polls of all images of the list."""


class FailureStrategy(NamedTuple):
    """Reaction to a failed list: send it again if possible, then fall back."""

    retry: bool
    fallback: Fallback


STRATEGIES: Mapping[BatchFailure, FailureStrategy] = {
    BatchFailure.REFUSED: FailureStrategy(retry=False, fallback=Fallback.SPLIT),
    BatchFailure.SERVER_ERROR: FailureStrategy(retry=False, fallback=Fallback.SPLIT),
    BatchFailure.UNCLEAR_SERVER_ERROR: FailureStrategy(retry=True, fallback=Fallback.CHECK_API),
    BatchFailure.OTHER: FailureStrategy(retry=True, fallback=Fallback.FAIL),
}
"""The reaction to each kind of failure."""


def classify(
    failed: Failed, *, splittable: bool, api_responds: bool, breaker_open: bool
) -> BatchFailure:
    """Return the kind of a failure. ``api_responds``: a request of this cycle succeeded."""
    if splittable:
        return BatchFailure.REFUSED
    if failed.reason != "server_error" or breaker_open:
        return BatchFailure.OTHER
    return BatchFailure.SERVER_ERROR if api_responds else BatchFailure.UNCLEAR_SERVER_ERROR


class _Split(Enum):
    """A way to request the images of a list that failed; see the module's docstring."""

    ONE_BY_ONE = auto()
    PROBE = auto()
    HALVES = auto()


class BatchPlanner:
    """Plans the requests that follow a list, by the experience with lists in one cycle.

    The second list of a batch has images that the first one leaves out, see ``ListFilters``. Second
    lists are tracked separately, because a server may support only first lists.

    Attributes:
        listed: The images that lists had, by ID; true if it was a second list.
    """

    def __init__(self, groups: Iterable[Group]) -> None:
        self._working: set[bool] = set()
        self._probe_failures: Counter[bool] = Counter()
        self._max_targets = 1
        self._max_id_bytes = 0
        self._unlisted: list[Target] = []
        self.listed: dict[str, bool] = {}
        self._left_out: dict[str, bool] = {}
        self.add(groups)

    def add(self, groups: Iterable[Group]) -> None:
        """Remember the largest group as the size that fits into one list."""
        for group in groups:
            self._max_targets = max(self._max_targets, len(group))
            self._max_id_bytes = max(self._max_id_bytes, _id_bytes(group))

    @property
    def has_unlisted(self) -> bool:
        """Return True if images were missing in a first list and wait for a second one."""
        return bool(self._unlisted)

    def take_unlisted(self) -> list[Target]:
        """Remove and return the images that wait for a second list."""
        unlisted, self._unlisted = self._unlisted, []
        return unlisted

    def second_lists(self) -> list[PollRequest]:
        """Return as few second lists as possible for all images that wait for one."""
        requests: list[PollRequest] = []
        for group in self._packed(self.take_unlisted()):
            if len(group) < MIN_LIST_SIZE:
                requests += one_by_one(group)
            else:
                requests.append(PollRequest(RequestKind.BATCH, group, second_list=True))
        return requests

    def was_left_out(self, image_id: str, listed_before: Mapping[str, bool]) -> bool:
        """Return True if the kind of list that had an image before has left it out now."""
        second_list = listed_before.get(image_id)
        return second_list is not None and self._left_out.get(image_id) is second_list

    def unsupported(self, second: bool) -> bool:
        """Return True if the probes of this cycle show that the server does not support lists."""
        failures = max(self._probe_failures[False], self._probe_failures[second])
        return failures >= PROBE_FAILURES_BEFORE_FALLBACK

    def after_page(
        self, request: PollRequest, remaining: tuple[Target, ...], next_path: str | None
    ) -> list[PollRequest]:
        """Return the requests after a page of a list that lacked the ``remaining`` targets."""
        self._working.add(request.second_list)
        remaining_ids = {target.image_id for target in remaining}
        for target in request.targets:
            if target.image_id not in remaining_ids:
                self.listed[target.image_id] = request.second_list
            elif next_path is None:
                self._left_out[target.image_id] = request.second_list
        requests = _halves(request.deferred, request.second_list, None)
        if len(remaining) < MIN_LIST_SIZE:
            return requests + one_by_one(remaining)
        if next_path not in {None, request.page} and request.page_number < MAX_PAGES:
            next_page = PollRequest(
                RequestKind.BATCH,
                remaining,
                second_list=request.second_list,
                page=next_path,
                page_number=request.page_number + 1,
            )
            return [*requests, next_page]
        if request.second_list:
            # No list has these images. Only a request for each of them shows whether it is gone.
            return requests + one_by_one(remaining)
        # Wait for the other lists, to request the images that all of them lack together.
        self._unlisted += remaining
        return requests

    def after_refusal(
        self, request: PollRequest, remaining: tuple[Target, ...], failed: Failed
    ) -> list[PollRequest]:
        """Return the requests after a list that failed for its length or for one of its images."""
        if len(request.targets) > 1:
            return self.shorter_lists(remaining, request.second_list, failed)
        if request.second_list not in self._working:
            # A 4xx rejects the request's form, so every other list request would be rejected too.
            is_form_rejected = failed.reason == "rejected"
            self._probe_failures[request.second_list] += (
                PROBE_FAILURES_BEFORE_FALLBACK if is_form_rejected else 1
            )
        return one_by_one(remaining) + self.shorter_lists(
            request.deferred, request.second_list, failed
        )

    def shorter_lists(
        self, targets: tuple[Target, ...], second: bool, failed: Failed
    ) -> list[PollRequest]:
        """Return the requests for the targets of a list that failed."""
        match self._split(targets, second):
            case _Split.ONE_BY_ONE:
                return one_by_one(targets)
            case _Split.HALVES:
                return _halves(targets, second, failed)
            case _Split.PROBE:
                return [_probe(targets, second, failed)]

    def _split(self, targets: tuple[Target, ...], second: bool) -> _Split:
        if len(targets) <= MIN_LIST_SIZE or self.unsupported(second):
            return _Split.ONE_BY_ONE
        return _Split.HALVES if second in self._working else _Split.PROBE

    def _packed(self, targets: Iterable[Target]) -> list[Group]:
        """Return the targets in groups that are no larger than the largest planned ones."""
        groups: list[Group] = []
        group: Group = ()
        for target in targets:
            larger = (*group, target)
            fits = len(larger) <= self._max_targets and _id_bytes(larger) <= self._max_id_bytes
            if group and not fits:
                groups.append(group)
                larger = (target,)
            group = larger
        return [*groups, group] if group else groups


def one_by_one(targets: Iterable[Target]) -> list[PollRequest]:
    """Return a request for each target."""
    return [PollRequest(RequestKind.POLL, (target,)) for target in targets]


def api_check(request: PollRequest, remaining: tuple[Target, ...], failed: Failed) -> PollRequest:
    """Return a request for the list of all images; the images of a failed list wait for it."""
    return PollRequest(
        RequestKind.LIST,
        attempt=MAX_RETRIES,
        failure=failed,
        second_list=request.second_list,
        deferred=(*remaining, *request.deferred),
    )


def _probe(targets: Sequence[Target], second: bool, failed: Failed) -> PollRequest:
    """Return a list of the first target that defers the others."""
    first, *others = targets
    return PollRequest(
        RequestKind.BATCH, (first,), failure=failed, second_list=second, deferred=tuple(others)
    )


def _halves(targets: tuple[Target, ...], second: bool, failed: Failed | None) -> list[PollRequest]:
    """Return a list for each half of the targets; request a short half one by one."""
    middle = len(targets) // 2
    requests: list[PollRequest] = []
    for half in (targets[:middle], targets[middle:]):
        if len(half) <= MIN_LIST_SIZE:
            requests += one_by_one(half)
        else:
            requests.append(
                PollRequest(RequestKind.BATCH, half, failure=failed, second_list=second)
            )
    return requests


def _id_bytes(group: Iterable[Target]) -> int:
    """Return the bytes that the IDs of a group take in a request line, with a comma each."""
    return sum(len(target.image_id) + 1 for target in group)
