"""Cost of the metrics of an image: its series, and the bytes of a scrape."""

import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from exporter.metrics.image_metrics import IMAGE_FAMILIES
from exporter.metrics.render_cache import RenderCache
from exporter.model.cloud import CloudState
from exporter.model.observation import NEVER_POLLED
from exporter.model.outcome import Found
from exporter.model.target import Target
from exporter.store import Store
from tests.benchmarks.images import image_ids, realistic
from tests.support.images import START

COUNT = 500
STATUS = "openstack_image_status"


class Cost(NamedTuple):
    """Series and bytes per image, on average."""

    series: float
    plain: float
    compressed: float

    def __add__(self, other: "Cost") -> "Cost":  # type: ignore[override]  # not a concatenation
        return Cost(*(one + another for one, another in zip(self, other, strict=True)))

    def minus(self, other: "Cost") -> "Cost":
        """Return the difference."""
        return Cost(*(one - another for one, another in zip(self, other, strict=True)))


def family_costs(*, has_aliases: bool = False) -> Mapping[str, Cost]:
    """Return the cost of each family for images with a property and an expectation.

    They are compressed by zlib, whose results are the same on every processor.
    """
    store = Store()
    ids = image_ids(COUNT)
    targets = [
        Target(
            "mycloud",
            image_id,
            f"golden-{number:05}" if has_aliases else image_id,
            expect=(("status", ("active",)),),
            property_names=frozenset({"os_distro"}),
        )
        for number, image_id in enumerate(ids)
    ]
    store.add_cloud(CloudState("mycloud", 60.0), targets)
    for number, target in enumerate(targets):
        image = realistic(target.image_id, number)
        store.observe(target.key, NEVER_POLLED.with_outcome(Found(image), START, 1e6))
    cache = RenderCache(store)
    cache.set_targets(store.targets())
    groups = cache.dirty_groups()
    cache.render(groups, START)
    return {
        family.name: sum((_cost(group.texts[index].plain) for group in groups), start=Cost(0, 0, 0))
        for index, family in enumerate(IMAGE_FAMILIES)
    }


def _cost(text: bytes) -> Cost:
    sizes = (text.count(b"\n"), len(text), len(zlib.compress(text, 6)) if text else 0)
    return Cost(*(size / COUNT for size in sizes))


def rows() -> Iterator[tuple[str, Cost]]:
    """Yield the cost of each family with series, then that of all in several cases."""
    by_id, by_alias = family_costs(), family_costs(has_aliases=True)
    for name, cost in by_id.items():
        if cost.series:
            yield f"`{name}`", cost
    for heading, costs in (("all", by_id), ("all, with aliases", by_alias)):
        total = sum(costs.values(), start=Cost(0, 0, 0))
        yield heading, total
        yield f"{heading}, without `{STATUS}`", total.minus(costs[STATUS])
