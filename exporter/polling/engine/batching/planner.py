"""Batches: lists that poll many images at once, and the requests that follow when a list fails.

A list may fail because it is too long, because of one of its images, because the server does not
support such lists, or because the whole API fails. ``BatchPlanner`` finds out with few requests:

- ``ONE_BY_ONE``: request each image by itself. Used for few images, or if lists are unsupported.
- ``PROBE``: request a list of a single image first, and defer the others until its reply. Used
  until a list has worked in this cycle, because the server may not support lists.
- ``HALVES``: request two lists of half the images each. Used once a list of any length has worked.

Example: 16 images, of which the server accepts at most 4 in a list. Lists are requested for 16
images (refused), 1 (the probe, which works), 7 and 8 (the 15 deferred images; refused), and 3, 4, 4
and 4 images. A server that rejects every list gets one for 16 images and the probe; after that each
image is requested by itself, including the images of the cycle's other batches.

If a list fails in a way that could concern the whole API, such as with 403 or without a response,
the requests are sent one after the other, and the images that are not requested yet wait:

- the probe, except after a 401: every 401 makes the client renew the token,
- if the probe works, the other images again, then half of them, a quarter, and so on, until a list
  works; the others follow in lists of that length,
- if it fails as well, one image by itself. If that is found, the server refuses lists, and all
  images are requested one by one. If not, the API does not respond, and the polls fail.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from enum import Enum, auto

from exporter.model.outcome import Failed, Found, ImageResult, NotFound
from exporter.model.target import Target
from exporter.polling.engine.batching.failures import (
    LASTING,
    STRATEGIES,
    BatchFailure,
    Fallback,
    is_unanswered,
)
from exporter.polling.engine.batching.requests import (
    MIN_LIST_SIZE,
    api_check,
    deferred_lists,
    halves,
    id_bytes,
    in_lists_of,
    one_by_one,
    probe,
)
from exporter.polling.engine.types import (
    NO_EXPERIENCE,
    Group,
    ListExperience,
    PollRequest,
    RequestKind,
)

MAX_PAGES = 20
"""Limit of further pages of a batch. A batch fits on one page, but a faulty server may add more."""

MAX_IMAGE_CHECKS = 3
"""Images to request by themselves after a denied list; some of them may be gone."""

PROBE_FAILURES_BEFORE_FALLBACK = 2
"""Single-image lists that must fail before lists are given up; one may be the image's fault."""


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
        experience: What the lists of this cycle have shown for later cycles.
    """

    def __init__(
        self,
        groups: Iterable[Group],
        listed_before: Collection[str] = (),
        before: ListExperience = NO_EXPERIENCE,
    ) -> None:
        self._working: set[bool] = set()
        self._probe_failures: Counter[bool] = Counter()
        self._max_targets = 1
        self._max_id_bytes = 0
        self._unlisted: list[Target] = []
        self.listed: dict[str, bool] = {}
        self._left_out: dict[str, bool] = {}
        self._worked_before = bool(listed_before)
        self._before = before
        self._image_checks: Counter[bool] = Counter()
        self._found_by_check: set[bool] = set()
        self._denied: set[bool] = set()
        self.experience = ListExperience()
        self.add(groups)

    def add(self, groups: Iterable[Group]) -> None:
        """Remember the largest group as the size that fits into one list."""
        for group in groups:
            self._max_targets = max(self._max_targets, len(group))
            self._max_id_bytes = max(self._max_id_bytes, id_bytes(group))

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

    def replacement(self, request: PollRequest) -> list[PollRequest]:
        """Return the requests to send instead of a list that this cycle has shown to be useless."""
        if request.kind is not RequestKind.BATCH:
            return []
        if self.unsupported(request.second_list):
            return one_by_one(request.targets_to_fail)
        limit = self.experience.max_id_bytes
        length = id_bytes(request.targets)
        if limit is None or length <= limit or request.failure is not None or request.page:
            return []
        size = len(request.targets) * limit // length
        if size <= MIN_LIST_SIZE:
            return []
        return in_lists_of(size, request.targets, request.second_list, None)

    def after_page(
        self, request: PollRequest, remaining: tuple[Target, ...], next_path: str | None
    ) -> list[PollRequest]:
        """Return the requests after a page of a list that lacked the ``remaining`` targets."""
        self._working.add(request.second_list)
        if request.page is None:
            self.experience = self.experience.with_list(id_bytes(request.targets))
        remaining_ids = {target.image_id for target in remaining}
        for target in request.targets:
            if target.image_id not in remaining_ids:
                self.listed[target.image_id] = request.second_list
            elif next_path is None:
                self._left_out[target.image_id] = request.second_list
        requests = deferred_lists(request)
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

    def retries(self, failure: BatchFailure, request: PollRequest) -> bool:
        """Return True if a failed list is sent again before anything else.

        Without a response, a list of one image is a better second attempt, unless lists have worked
        until now.
        """
        if failure is BatchFailure.NO_RESPONSE:
            is_planned = request.failure is None or request.attempt > 0
            return is_planned and (self._worked_before or bool(self._working))
        return STRATEGIES[failure].retry

    def after_failure(
        self,
        failure: BatchFailure,
        request: PollRequest,
        remaining: tuple[Target, ...],
        failed: Failed,
    ) -> list[PollRequest]:
        """Return the requests after a failed list; empty if the polls of its images fail."""
        if request.page is None:
            is_lasting = failure in LASTING or request.failure is not None
            self.experience = self.experience.with_failed_list(
                id_bytes(request.targets), is_lasting=is_lasting, before=self._before
            )
        match STRATEGIES[failure].fallback:
            case Fallback.SPLIT:
                return self.after_refusal(request, remaining, failed)
            case Fallback.CHECK_API:
                return [api_check(request, remaining, failed)]
            case Fallback.NARROW:
                return self._narrower(request, remaining, failed)
            case Fallback.FAIL:
                return []

    def after_image_check(self, request: PollRequest, result: ImageResult) -> list[PollRequest]:
        """Return the requests after an image that was requested because a list had failed.

        The images that are deferred wait for it. An empty result means that their polls fail.
        """
        second, failed = request.second_list, request.failure or Failed("internal")
        if isinstance(result, Found):
            self._found_by_check.add(second)
            if is_unanswered(failed):
                # The API may have been down until now: request a list once more.
                return [probe(request.deferred, second, failed)]
            return self._without_lists(request.deferred, second, failed)
        is_about_image = isinstance(result, NotFound) or result.reason in {
            "malformed",
            "server_error",
        }
        if is_about_image and self._image_checks[second] < MAX_IMAGE_CHECKS:
            return self._image_check(request.deferred, second, failed)
        self._denied.add(second)
        return []

    def after_refusal(
        self, request: PollRequest, remaining: tuple[Target, ...], failed: Failed
    ) -> list[PollRequest]:
        """Return the requests after a list that failed for its length or for one of its images."""
        if len(request.targets) > 1:
            return [
                *self.shorter_lists(remaining, request.second_list, failed),
                *self.shorter_lists(request.deferred, request.second_list, failed),
            ]
        if request.second_list not in self._working:
            # A 4xx rejects the request's form, so every other list request would be rejected too.
            is_form_rejected = failed.reason == "rejected"
            self._probe_failures[request.second_list] += (
                PROBE_FAILURES_BEFORE_FALLBACK if is_form_rejected else 1
            )
            if self.unsupported(request.second_list):
                self.experience = self.experience.with_refusal(failed)
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
                return halves(targets, second, failed)
            case _Split.PROBE:
                return [probe(targets, second, failed)]

    def _split(self, targets: tuple[Target, ...], second: bool) -> _Split:
        if len(targets) <= MIN_LIST_SIZE or self.unsupported(second):
            return _Split.ONE_BY_ONE
        return _Split.HALVES if second in self._working else _Split.PROBE

    def _narrower(
        self, request: PollRequest, remaining: tuple[Target, ...], failed: Failed
    ) -> list[PollRequest]:
        """Return a shorter list, or one image, that shows whether the list alone failed."""
        second, targets = request.second_list, (*remaining, *request.deferred)
        if self.unsupported(second):
            return one_by_one(targets)
        if second in self._working:
            return _shorter(request, remaining, failed)
        if second in self._denied:
            return []
        if len(request.targets) > 1 and failed.reason != "unauthorized":
            return [probe(targets, second, failed)]
        if second in self._found_by_check:
            return self._without_lists(targets, second, failed)
        return self._image_check(targets, second, failed)

    def _image_check(
        self, targets: tuple[Target, ...], second: bool, failed: Failed
    ) -> list[PollRequest]:
        """Return a request for the first target that defers the others."""
        if not targets:
            return []
        self._image_checks[second] += 1
        first, *others = targets
        return [
            PollRequest(
                RequestKind.POLL,
                (first,),
                failure=failed,
                second_list=second,
                deferred=tuple(others),
            )
        ]

    def _without_lists(
        self, targets: tuple[Target, ...], second: bool, failed: Failed
    ) -> list[PollRequest]:
        """Return the requests for targets now that lists have turned out to be refused."""
        self._probe_failures[second] = PROBE_FAILURES_BEFORE_FALLBACK
        if not second:
            self.experience = self.experience.with_refusal(failed)
        return one_by_one(targets)

    def _packed(self, targets: Iterable[Target]) -> list[Group]:
        """Return the targets in groups that are no larger than the largest planned ones."""
        groups: list[Group] = []
        group: Group = ()
        for target in targets:
            larger = (*group, target)
            fits = len(larger) <= self._max_targets and id_bytes(larger) <= self._max_id_bytes
            if group and not fits:
                groups.append(group)
                larger = (target,)
            group = larger
        return [*groups, group] if group else groups


def _shorter(
    request: PollRequest, remaining: tuple[Target, ...], failed: Failed
) -> list[PollRequest]:
    """Return lists of half the images, after a list failed that was longer than one that worked."""
    second = request.second_list
    if is_unanswered(failed):
        half = max(len(request.targets) // 2, MIN_LIST_SIZE)
        shorter, *others = in_lists_of(half, (*remaining, *request.deferred), second, failed)
        if shorter.kind is RequestKind.BATCH:
            deferred = (*remaining, *request.deferred)[half:]
            return [shorter._replace(deferred=deferred)]
        return [shorter, *others]
    return [*halves(remaining, second, failed), *halves(request.deferred, second, failed)]
