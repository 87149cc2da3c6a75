from dataclasses import replace
from typing import Any

import pytest

from exporter.model.image import Image
from exporter.model.observation import NEVER_POLLED
from exporter.model.outcome import Found
from exporter.model.target import Target
from exporter.store import Store
from exporter.web.pages.image_list import ImageList, display_name, query_images
from exporter.web.pages.query import Query
from tests.model.samples import MAX_STALE
from tests.web.cast import FIRST, LIVES, NAMES, NOW, cast, crowd

CAST = cast()
CROWD = crowd(1234)


def listed(**asked: Any) -> ImageList:
    """What a query of the cast comes to."""
    return query_images(CAST, Query(**asked), NOW)


def ids(**asked: Any) -> list[str]:
    """The images that a query of the cast comes to, by the last word of their IDs."""
    return [row.target.image_id.removeprefix("id-of-") for row in listed(**asked).rows]


def test_without_a_query_all_are_listed_worst_first() -> None:
    """What is gone comes first, the newest of it before the rest, and what is well comes last."""
    assert ids() == [
        "deleted",
        "gone",
        "odd",
        "saving",
        "deactivated",
        "unexpected",
        "refused",
        "stale",
        "hostile",
        "controls",
        "reversed",
        "long",
        "rtl",
        "failing",
        "new",
        "bare",
        "fine",
        "wanted",
    ]


def test_the_counts_are_of_all_that_is_watched() -> None:
    """Whatever the query leaves out, it is said how many there are and have which problem."""
    few = listed(q="gone")
    assert (few.matching, few.total, few.images_with_problems, few.pending) == (1, 18, 14, 1)
    assert few.problem_counts == {
        "gone": 2,
        "not_active": 3,
        "unexpected": 1,
        "unknown": 2,
        "failing": 8,
    }
    assert list(few.problem_counts) == ["gone", "not_active", "unexpected", "unknown", "failing"]


def test_a_cloud_in_trouble_comes_first() -> None:
    """Each cloud has its images counted; those without trouble keep their order."""
    second, first = listed(cloud="first").clouds
    assert (
        first.state.name,
        first.images,
        first.images_with_problems,
        first.discovered_images,
    ) == (
        "first",
        13,
        9,
        0,
    )
    assert (second.images, second.images_with_problems, second.discovered_images) == (5, 5, 5)
    assert (first.problems, len(second.problems)) == ((), 5)
    assert listed().clouds_with_problems == 1


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"cloud": "second"}, set(NAMES)),
        ({"cloud": "nowhere"}, set()),
        ({"state": "deactivated"}, {"deactivated", "wanted"}),
        ({"state": "other"}, {"odd"}),
        ({"state": "pending"}, {"new"}),
        ({"problem": "none"}, {"new", "bare", "fine", "wanted"}),
        ({"problem": "any", "cloud": "second"}, set(NAMES)),
        ({"problem": "failing", "cloud": "first"}, {"failing", "stale", "refused"}),
        ({"problem": "gone", "state": "gone"}, {"gone"}),
        (
            {"q": "GOLDEN", "problem": "any"},
            {"odd", "saving", "deactivated", "unexpected", "failing"},
        ),
        ({"q": "id-of-stale"}, {"stale"}),
        ({"q": "first of-new"}, {"new"}),
        ({"q": "second of-new"}, set()),
        ({"q": "<script>"}, {"hostile"}),
        ({"q": "צילום"}, {"rtl"}),
        ({"q": "gnp.exe"}, {"reversed"}),
        ({"q": "  "}, {*LIVES, *NAMES}),
    ],
)
def test_only_what_is_asked_for_is_listed(asked: dict[str, str], found: set[str]) -> None:
    """All that is asked for must hold; each word is looked for in alias, name, ID and cloud."""
    assert set(ids(**asked)) == found


@pytest.mark.parametrize(
    ("sort", "moment"),
    [("since", "state_since"), ("changed", "changed_at"), ("polled", "polled_at")],
)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_what_is_dated_is_sorted_by_its_age(sort: str, moment: str, order: str) -> None:
    """The latest comes first, or last, and what has no date after all that has."""
    moments = [getattr(row.observation, moment) for row in listed(sort=sort, order=order).rows]
    known = [each for each in moments if each is not None]
    assert 4 <= len(known) < 18
    assert known == sorted(known, reverse=order == "asc")
    assert moments == known + [None] * (18 - len(known))


def test_images_are_sorted_by_cloud() -> None:
    """By the cloud's name, and within a cloud by what the images are called."""
    clouds = [row.target.cloud for row in listed(sort="cloud").rows]
    assert clouds == ["first"] * 13 + ["second"] * 5
    assert ids(sort="cloud", cloud="first") == sorted(LIVES)


def test_images_are_sorted_by_what_they_are_called() -> None:
    """By alias, else name, else ID, without regard to case."""
    names = [display_name(row).casefold() for row in listed(sort="image").rows]
    assert names == sorted(names)
    assert [
        display_name(row).casefold() for row in listed(sort="image", order="desc").rows
    ] == names[::-1]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_what_is_not_known_comes_last(order: str) -> None:
    """Images without a size are at the end of the list by size, whichever way it goes."""
    sizes = [
        None if row.observation.image is None else row.observation.image.size_bytes
        for row in listed(sort="size", order=order).rows
    ]
    known = [size for size in sizes if size is not None]
    assert known == sorted(known, reverse=order == "desc")
    assert sizes == known + [None] * 6


def test_a_listing_has_one_page_of_many() -> None:
    """Pages follow one another without a gap or an overlap, and one past the last is empty."""
    pages = [
        query_images(CROWD, Query(page=page, limit=500, sort="image"), NOW) for page in (1, 2, 3, 4)
    ]
    assert [len(page.rows) for page in pages] == [500, 500, 234, 0]
    assert {page.pages for page in pages} == {3}
    names = [row.target.alias for page in pages for row in page.rows]
    assert names == [f"image-{number:05d}" for number in range(1234)]


def test_nothing_is_one_empty_page() -> None:
    """Without a match there is a page all the same."""
    empty = query_images(Store(), Query(), NOW)
    assert (empty.pages, empty.matching, empty.total, list(empty.rows)) == (1, 0, 0, [])
    assert listed(q="nothing like that").pages == 1


def test_values_past_their_time_are_not_listed() -> None:
    """What a poll has told is not shown any longer than it is in the metrics."""
    (row,) = listed(q="id-of-stale").rows
    assert (row.state, row.observation.image) == ("unknown", None)


@pytest.mark.parametrize(
    ("alias", "image", "name"),
    [
        ("golden", Image("v1", "an-id", "active", name="other"), "golden"),
        ("an-id", Image("v1", "an-id", "active", name="other"), "other"),
        ("an-id", Image("v1", "an-id", "active", name=""), "an-id"),
        ("an-id", None, "an-id"),
    ],
)
def test_an_image_is_called_by_the_best_name_it_has(
    alias: str, image: Image | None, name: str
) -> None:
    """By its alias, else by the name that the service gives, else by its ID."""
    store = Store()
    target = Target("lab", "an-id", alias)
    store.add_cloud(replace(FIRST, name="lab"), [target])
    if image is not None:
        store.observe(target.key, NEVER_POLLED.with_outcome(Found(image), NOW, MAX_STALE))
    (row,) = query_images(store, Query(), NOW).rows
    assert display_name(row) == name
