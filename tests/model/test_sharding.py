import random
import uuid
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.discovery import DiscoveryResult, DiscoveryRule, apply_rules
from exporter.model.image import Image
from exporter.model.sharding import UNSHARDED, Shard, owning_shard

CLOUD = "lab"
MANY = 10_000

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
TOTALS = st.integers(1, 12)
RULES = st.lists(
    st.builds(
        DiscoveryRule,
        name=st.sampled_from([None, "a*", "*"]),
        alias=st.sampled_from([None, "x", "y", "b"]),
    ),
    max_size=5,
)
IMAGES = st.lists(
    st.builds(
        Image,
        api=st.just("v2"),
        id=st.sampled_from("abcdefgh"),
        status=st.just("active"),
        name=st.sampled_from(["a", "ab", "b"]),
        created_at=st.integers(0, 3).map(float),
    ),
    max_size=8,
    unique_by=lambda image: image.id,
)


def random_ids(seed: int) -> list[str]:
    """Return image IDs as Glance makes them."""
    dice = random.Random(seed)
    return [str(uuid.UUID(int=dice.getrandbits(128), version=4)) for _ in range(MANY)]


SETS: dict[str, Callable[[], list[str]]] = {
    **{f"random {seed}": lambda seed=seed: random_ids(seed) for seed in range(4)},  # type: ignore[misc]  # of a default
    "in a row": lambda: [f"image-{number}" for number in range(MANY)],
    "alike up to the end": lambda: [str(uuid.UUID(int=number)) for number in range(MANY)],
    "alike from the start": lambda: [str(uuid.UUID(int=number << 64)) for number in range(MANY)],
}


@pytest.mark.parametrize("ids", SETS.values(), ids=SETS)
def test_shards_are_balanced_and_a_fourth_moves_few_images(ids: Callable[[], list[str]]) -> None:
    """Each of three shards owns a third of 10,000 images within 5 %."""
    images = ids()
    before = {
        image_id: [index for index in range(3) if Shard(index, 3).owns_image(CLOUD, image_id)]
        for image_id in images
    }
    assert {len(shards) for shards in before.values()} == {1}
    sizes = Counter(index for (index,) in before.values())
    assert all(abs(sizes[index] - MANY / 3) <= 0.05 * MANY / 3 for index in range(3))

    moved = [image_id for image_id in images if Shard(3, 4).owns_image(CLOUD, image_id)]
    stayed = [
        image_id for image_id in images if Shard(before[image_id][0], 4).owns_image(CLOUD, image_id)
    ]
    assert len(moved) + len(stayed) == MANY
    assert len(moved) <= 0.27 * MANY


@given(TEXT, TEXT, TOTALS)
def test_added_shard_is_the_only_one_that_gets_images(cloud: str, name: str, total: int) -> None:
    for owns in (Shard.owns_image, Shard.owns_alias):
        (before,) = [index for index in range(total) if owns(Shard(index, total), cloud, name)]
        (after,) = [
            index for index in range(total + 1) if owns(Shard(index, total + 1), cloud, name)
        ]
        assert after in {before, total}


def test_owning_shard_is_stable_across_versions() -> None:
    """During an update, shards of two versions run together and must agree."""
    names = ["3c3d1d01-b48a-4639-8a88-08be3b9b5d78", "golden", "", "日本語"]
    assert [owning_shard(name, 1) for name in names] == [0, 0, 0, 0]
    assert [owning_shard(name, 3) for name in names] == [2, 0, 0, 2]
    assert [owning_shard(name, 100) for name in names] == [9, 62, 27, 36]
    assert Shard(0, 3).owns_image("lab", "golden")
    assert Shard(0, 3).owns_alias("lab", "golden")


@given(IMAGES, RULES, st.sets(st.sampled_from("abcdefgh")), TOTALS)
def test_shards_together_own_the_whole_discovery_result(
    images: list[Image], rules: list[DiscoveryRule], configured: set[str], total: int
) -> None:
    whole = apply_rules(rules, images, configured)
    assert UNSHARDED.own_part(CLOUD, whole) == whole
    shards = [Shard(index, total) for index in range(total)]
    parts = [shard.own_part(CLOUD, whole) for shard in shards]
    labels = [item for part in parts for item in part.labels.items()]
    aliases = [item for part in parts for item in part.aliases.items()]
    assert sorted(labels) == sorted(whole.labels.items())
    assert sorted(aliases) == sorted(whole.aliases.items())
    assert all(part.rules.keys() == part.labels.keys() for part in parts)
    for shard, part in zip(shards, parts, strict=True):
        assert part.aliases.keys() <= set(shard.own_aliases(CLOUD, rules))
        for alias, image_id in part.aliases.items():
            if whole.labels.get(image_id) == alias:
                assert part.labels[image_id] == alias


@pytest.mark.parametrize("image_id", ["a", "b", "c", "golden"])
def test_alias_and_its_image_belong_to_the_same_shard(image_id: str) -> None:
    whole = DiscoveryResult({image_id: "golden", "other": "other"}, {"golden": image_id})
    for shard in (Shard(index, 5) for index in range(5)):
        watched = shard.own_part(CLOUD, whole).labels.keys()
        assert (image_id in watched) is shard.owns_alias(CLOUD, "golden")
        assert ("other" in watched) is shard.owns_image(CLOUD, "other")
