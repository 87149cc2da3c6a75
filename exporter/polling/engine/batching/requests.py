"""Requests for the images of a batch: shorter lists, or each image by itself."""

from collections.abc import Iterable, Sequence

from exporter.model.outcome import Failed
from exporter.model.target import Target
from exporter.polling.engine.batching.failures import is_unanswered
from exporter.polling.engine.pacing import MAX_RETRIES
from exporter.polling.engine.types import PollRequest, RequestKind

MIN_LIST_SIZE = 2
"""Up to this many images are requested one by one: a shorter list would save no request."""


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


def probe(targets: Sequence[Target], second: bool, failed: Failed) -> PollRequest:
    """Return a list of the first target that defers the others."""
    first, *others = targets
    return PollRequest(
        RequestKind.BATCH, (first,), failure=failed, second_list=second, deferred=tuple(others)
    )


def deferred_lists(request: PollRequest) -> list[PollRequest]:
    """Return the lists of the targets that waited for a list that works."""
    targets, second, failed = request.deferred, request.second_list, request.failure
    if not is_unanswered(failed):
        return halves(targets, second, failed)
    size = len(request.targets)
    # After a list of a single image, the failure may be over.
    return in_lists_of(size if size > 1 else len(targets), targets, second, failed)


def in_lists_of(
    size: int, targets: tuple[Target, ...], second: bool, failed: Failed | None
) -> list[PollRequest]:
    """Return lists of this size; short lists are requested one by one."""
    requests: list[PollRequest] = []
    for start in range(0, len(targets), max(size, 1)):
        part = targets[start : start + size]
        if len(part) <= MIN_LIST_SIZE:
            requests += one_by_one(part)
        else:
            requests.append(
                PollRequest(RequestKind.BATCH, part, failure=failed, second_list=second)
            )
    return requests


def halves(targets: tuple[Target, ...], second: bool, failed: Failed | None) -> list[PollRequest]:
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


def id_bytes(group: Iterable[Target]) -> int:
    """Return the bytes that the IDs of a group take in a request line, with a comma each."""
    return sum(len(target.image_id) + 1 for target in group)
