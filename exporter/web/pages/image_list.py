"""The images that a query asks for, and how all images and clouds stand: from memory."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from types import MappingProxyType

from exporter.model.cloud import CloudState, cloud_problems
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.sharding import WHOLE, Shard
from exporter.model.status import PROBLEMS, ImageStatus, image_status
from exporter.store import Store
from exporter.web.pages.query import Query


@dataclass(frozen=True, slots=True)
class CloudStanding:
    """A cloud at one moment: ``images`` of it are watched, ``discovered`` of them discovered.

    ``problems`` counts its images that have one, ``cloud_problems`` are keys of ``TROUBLES``.
    """

    state: CloudState
    images: int
    problems: int
    discovered: int
    cloud_problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """What a query comes to at one moment.

    ``rows`` are those of its page; ``matching`` is how many there are on all ``pages``, ``total``
    how many are watched. Of all these ``problems`` counts the images with each problem, worst
    first, ``troubled`` those that have at least one, ``pending`` those not polled yet. Images of
    other shards than ``shard`` are not watched here.
    """

    now: Instant
    query: Query
    rows: Sequence[ImageStatus]
    matching: int
    total: int
    troubled: int
    pending: int
    problems: Mapping[str, int]
    clouds: Sequence[CloudStanding]
    shard: Shard

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, ceil(self.matching / self.query.limit))

    @property
    def clouds_in_trouble(self) -> int:
        """How many clouds have a trouble."""
        return sum(bool(cloud.cloud_problems) for cloud in self.clouds)


Key = Callable[[ImageStatus], str | float | tuple[str | float, ...] | None]
"""What rows are sorted by; ``None`` where it is not known, and last then in either order."""


def _state(row: ImageStatus) -> tuple[str | float, ...]:
    """Worst first; of what has a problem, what has had it for the shortest time first."""
    newest = -row.seen.since.steady if row.problems and row.seen.since else 0.0
    return (row.rank, newest)


def _size(row: ImageStatus) -> float | None:
    return None if row.seen.image is None else row.seen.image.size_bytes


def _time(moment: Callable[[Observation], Instant | None]) -> Key:
    """The latest first, as in a log."""

    def key(row: ImageStatus) -> float | None:
        at = moment(row.seen)
        return None if at is None else -at.steady

    return key


SORTS: Mapping[str, Key] = MappingProxyType(
    {
        "state": _state,
        "since": _time(lambda seen: seen.since),
        "image": lambda row: called(row).casefold(),
        "cloud": lambda row: row.target.cloud.casefold(),
        "size": _size,
        "changed": _time(lambda seen: seen.changed_at),
        "polled": _time(lambda seen: seen.polled_at),
    }
)
"""What rows can be sorted by; equal ones are in the order of their names."""


def called(row: ImageStatus) -> str:
    """What a person calls the image: its alias, else its name, else its ID."""
    if row.target.alias != row.target.image_id or row.seen.image is None:
        return row.target.alias
    return row.seen.image.name or row.target.alias


def listing(store: Store, query: Query, now: Instant, shard: Shard = WHOLE) -> Listing:
    """What ``query`` comes to at ``now``; a page after the last one is empty."""
    with store.whole:
        # Of one and the same configuration, also where another comes into use just now.
        observed, clouds = store.seen(), store.clouds()
    everything = [image_status(target, seen, now) for target, seen in observed]
    matching = [row for row in everything if _matches(row, query)]
    first = (query.page - 1) * query.limit
    counts = Counter(problem for row in everything for problem in row.problems)
    return Listing(
        now=now,
        query=query,
        rows=_sorted(matching, query)[first : first + query.limit],
        matching=len(matching),
        total=len(everything),
        troubled=sum(bool(row.problems) for row in everything),
        pending=sum(row.state == "pending" for row in everything),
        problems={problem: counts[problem] for problem in PROBLEMS if counts[problem]},
        clouds=_clouds(clouds, everything, now),
        shard=shard,
    )


def _clouds(
    clouds: Iterable[CloudState], rows: Iterable[ImageStatus], now: Instant
) -> list[CloudStanding]:
    """The clouds in trouble first, else in their order."""
    images: Counter[str] = Counter()
    problems: Counter[str] = Counter()
    discovered: Counter[str] = Counter()
    for row in rows:
        images[row.target.cloud] += 1
        problems[row.target.cloud] += bool(row.problems)
        discovered[row.target.cloud] += row.target.source == "discovered"
    seen = [
        CloudStanding(
            each,
            images[each.name],
            problems[each.name],
            discovered[each.name],
            cloud_problems(each, now.wall),
        )
        for each in clouds
    ]
    return sorted(seen, key=lambda cloud: not cloud.cloud_problems)


def _matches(row: ImageStatus, query: Query) -> bool:
    target, problems = row.target, row.problems
    if query.cloud and target.cloud != query.cloud:
        return False
    if query.state and row.state != query.state:
        return False
    if query.problem and not {"any": bool(problems), "none": not problems}.get(
        query.problem, query.problem in problems
    ):
        return False
    if not query.q:
        return True
    name = row.seen.image.name if row.seen.image else None
    text = "\n".join((target.alias, target.image_id, name or "", target.cloud)).casefold()
    return all(word in text for word in query.q.casefold().split())


def _sorted(rows: Iterable[ImageStatus], query: Query) -> list[ImageStatus]:
    key = SORTS[query.sort]
    known: list[ImageStatus] = []
    unknown: list[ImageStatus] = []
    for row in sorted(rows, key=lambda row: (called(row).casefold(), row.target.key)):
        (unknown if key(row) is None else known).append(row)
    # The key is known of each of these.
    known.sort(key=key, reverse=query.order == "desc")  # type: ignore[arg-type]
    return known + unknown
