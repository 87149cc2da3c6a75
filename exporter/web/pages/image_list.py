"""The images that match a query, and a summary of each cloud, read from the store."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from types import MappingProxyType

from exporter.model.cloud import CloudState, cloud_problems
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.sharding import UNSHARDED, Shard
from exporter.model.status import PROBLEMS, STATES, ImageStatus, image_status
from exporter.store import Store
from exporter.web.pages.query import Query


@dataclass(frozen=True, slots=True)
class CloudSummary:
    """A cloud at one moment.

    Attributes:
        state: The cloud's state.
        images: Number of watched images.
        images_with_problems: Number of watched images that have at least one problem.
        discovered_images: Number of watched images that were discovered, not configured.
        problems: Problems of the cloud itself, keys of ``CLOUD_PROBLEMS``, worst first.
    """

    state: CloudState
    images: int
    images_with_problems: int
    discovered_images: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageList:
    """The result of a query at one moment.

    Attributes:
        now: The moment.
        query: The query.
        rows: The images on the requested page.
        matching: Number of images that match the query, on all pages.
        total: Number of watched images. The next four counts are also for all watched images.
        images_with_problems: Number of images that have at least one problem.
        pending: Number of images that were not polled yet.
        state_counts: Number of images in each state, in the order of ``STATES``, without zeros.
        problem_counts: Number of images with each problem, worst problem first, without zeros.
        clouds: All clouds; those with problems come first.
        shard: The shard that this exporter watches; images of other shards are not counted.
    """

    now: Instant
    query: Query
    rows: Sequence[ImageStatus]
    matching: int
    total: int
    images_with_problems: int
    pending: int
    state_counts: Mapping[str, int]
    problem_counts: Mapping[str, int]
    clouds: Sequence[CloudSummary]
    shard: Shard

    @property
    def pages(self) -> int:
        """Return the number of pages, at least one."""
        return max(1, ceil(self.matching / self.query.limit))

    @property
    def clouds_with_problems(self) -> int:
        """Return the number of clouds that have a problem of their own."""
        return sum(bool(cloud.problems) for cloud in self.clouds)


def query_images(store: Store, query: Query, now: Instant, shard: Shard = UNSHARDED) -> ImageList:
    """Run a query on the store; a page after the last one is empty."""
    with store.transaction_lock:
        # Under the lock, both lists belong to the same configuration even during a reload.
        observed, clouds = store.observations(), store.clouds()
    statuses = [image_status(target, observation, now) for target, observation in observed]
    matching = [status for status in statuses if _matches(status, query)]
    start = (query.page - 1) * query.limit
    counts = Counter(problem for status in statuses for problem in status.problems)
    states = Counter(status.state for status in statuses)
    return ImageList(
        now=now,
        query=query,
        rows=_sorted(matching, query)[start : start + query.limit],
        matching=len(matching),
        total=len(statuses),
        images_with_problems=sum(bool(status.problems) for status in statuses),
        pending=states["pending"],
        state_counts={state: states[state] for state in STATES if states[state]},
        problem_counts={problem: counts[problem] for problem in PROBLEMS if counts[problem]},
        clouds=_summaries(clouds, statuses, now),
        shard=shard,
    )


def display_name(status: ImageStatus) -> str:
    """Return the alias of the image, else its name, else its ID."""
    target, image = status.target, status.observation.image
    if target.alias != target.image_id or image is None:
        return target.alias
    return image.name or target.alias


def _summaries(
    clouds: Iterable[CloudState], statuses: Iterable[ImageStatus], now: Instant
) -> list[CloudSummary]:
    """Summarize the clouds: those with problems first, otherwise in their order."""
    images: Counter[str] = Counter()
    images_with_problems: Counter[str] = Counter()
    discovered_images: Counter[str] = Counter()
    for status in statuses:
        cloud = status.target.cloud
        images[cloud] += 1
        images_with_problems[cloud] += bool(status.problems)
        discovered_images[cloud] += status.target.source == "discovered"
    summaries = [
        CloudSummary(
            state=state,
            images=images[state.name],
            images_with_problems=images_with_problems[state.name],
            discovered_images=discovered_images[state.name],
            problems=cloud_problems(state, now.wall),
        )
        for state in clouds
    ]
    return sorted(summaries, key=lambda summary: not summary.problems)


def _matches(status: ImageStatus, query: Query) -> bool:
    return (
        (not query.cloud or query.cloud == status.target.cloud)
        and (not query.state or query.state == status.state)
        and _has_problem(status, query.problem)
        and _contains(status, query.q)
    )


def _has_problem(status: ImageStatus, problem: str) -> bool:
    match problem:
        case "":
            return True
        case "any":
            return bool(status.problems)
        case "none":
            return not status.problems
        case _:
            return problem in status.problems


def _contains(status: ImageStatus, search: str) -> bool:
    """Return true if every word is in the alias, ID, name or cloud, ignoring case."""
    if not search:
        return True
    target, image = status.target, status.observation.image
    name = image.name if image else None
    text = "\n".join((target.alias, target.image_id, name or "", target.cloud)).casefold()
    return all(word in text for word in search.casefold().split())


SortKey = Callable[[ImageStatus], str | float | tuple[str | float, ...] | None]
"""Returns the value to sort by; ``None`` if unknown, which comes last in either order."""


def _by_state(status: ImageStatus) -> tuple[str | float, ...]:
    """Sort by the worst problem. Of images with the same problem, the most recent comes first."""
    since = status.observation.state_since
    newest_first = -since.monotonic if status.problems and since else 0.0
    return (status.rank, newest_first)


def _by_size(status: ImageStatus) -> float | None:
    image = status.observation.image
    return None if image is None else image.size_bytes


def _by_time(instant_of: Callable[[Observation], Instant | None]) -> SortKey:
    """Return a key that sorts the latest first, as in a log."""

    def key(status: ImageStatus) -> float | None:
        instant = instant_of(status.observation)
        return None if instant is None else -instant.monotonic

    return key


SORT_KEYS: Mapping[str, SortKey] = MappingProxyType(
    {
        "state": _by_state,
        "since": _by_time(lambda observation: observation.state_since),
        "image": lambda status: display_name(status).casefold(),
        "cloud": lambda status: status.target.cloud.casefold(),
        "size": _by_size,
        "changed": _by_time(lambda observation: observation.changed_at),
        "polled": _by_time(lambda observation: observation.polled_at),
    }
)
"""Sort keys by the value of the parameter ``sort``. Images with equal keys are sorted by name."""


def _sorted(statuses: Iterable[ImageStatus], query: Query) -> list[ImageStatus]:
    key = SORT_KEYS[query.sort]
    with_key: list[ImageStatus] = []
    without_key: list[ImageStatus] = []
    for status in sorted(statuses, key=lambda row: (display_name(row).casefold(), row.target.key)):
        if key(status) is None:
            without_key.append(status)
        else:
            with_key.append(status)
    with_key.sort(key=key, reverse=query.order == "desc")  # type: ignore[arg-type]  # not None here
    return with_key + without_key
