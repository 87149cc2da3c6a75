"""A simulated cloud whose images are polled by lists."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from exporter.model.outcome import ImageResult
from exporter.polling.engine.pacing import CyclePacing
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind
from tests.support.simulated_cycle import (
    LIST_OK,
    NOT_FOUND,
    PACING,
    FakeReply,
    Responder,
    SimulatedCycle,
    batch_page,
    failed,
    found,
    image_id_of,
    run_cycle,
    targets,
)

IDS = tuple(f"image-{number:02}" for number in range(16))
REFUSED = FakeReply(failed("rejected"), splittable=True)
UNREADABLE = FakeReply(failed("malformed"), splittable=True)
ONE_AT_A_TIME = replace(PACING, concurrency=1)


@dataclass(frozen=True)
class FakeCloud:
    """A simulated cloud: its images, and those that its lists lack.

    ``hidden`` images are only in second lists, and ``unlisted`` ones in none.
    """

    there: frozenset[str] = frozenset(IDS)
    hidden: frozenset[str] = frozenset()
    unlisted: frozenset[str] = frozenset()

    def __call__(self, request: PollRequest, _: float) -> FakeReply | ImageResult:
        """Return the reply to a request."""
        if request.kind is RequestKind.LIST:
            return LIST_OK
        if request.kind is not RequestKind.BATCH:
            image_id = image_id_of(request)
            return found(image_id) if image_id in self.there else NOT_FOUND
        ids = {target.image_id for target in request.targets} & self.there - self.unlisted
        ids = ids & self.hidden if request.second_list else ids - self.hidden
        return batch_page(*map(found, ids))


def requests_of(run: SimulatedCycle, kind: RequestKind) -> list[PollRequest]:
    """Return the requests of this kind, in order."""
    return [request for _, request in run.sent if request.kind is kind]


def list_sizes(run: SimulatedCycle) -> list[int]:
    """Return the number of images that each list request names."""
    return [len(request.targets) for request in requests_of(run, RequestKind.BATCH)]


def run_batches(
    respond: Responder,
    *,
    history: CycleHistory | None = None,
    pacing: CyclePacing = PACING,
    batches: Iterable[tuple[str, ...]] = (IDS,),
    random: float = 0.5,
) -> SimulatedCycle:
    """Run a cycle over the images, requested in these batches."""
    groups = [tuple(targets(*batch)) for batch in batches]
    ids = [target.image_id for group in groups for target in group]
    return run_cycle(ids, respond, history=history, pacing=pacing, groups=groups, random=random)


def with_list_reply(
    respond: Responder,
    *,
    lists: FakeReply,
    over: int = 0,
    about: str = "",
    second_list: bool | None = None,
) -> Responder:
    """Replace the reply to all lists, to lists of more than ``over`` images, or of one image."""

    def respond_to_lists(request: PollRequest, now: float) -> FakeReply | ImageResult:
        ids = {target.image_id for target in request.targets}
        is_replaced = (
            request.kind is RequestKind.BATCH
            and len(ids) > over
            and (not about or about in ids)
            and second_list in {None, request.second_list}
        )
        return lists if is_replaced else respond(request, now)

    return respond_to_lists
