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
from tests.support.images import MAX_STALE
from tests.web.example_images import (
    FIRST_CLOUD,
    HOSTILE_NAMES,
    NOW,
    POLL_HISTORIES,
    example_store,
    large_store,
)

STORE = example_store()
LARGE_STORE = large_store(1234)


def run_query(**parameters: Any) -> ImageList:
    """Run a query on the example images."""
    return query_images(STORE, Query(**parameters), NOW)


def ids(**parameters: Any) -> list[str]:
    """Return the IDs of the example images that a query returns, without their prefix."""
    return [row.target.image_id.removeprefix("id-of-") for row in run_query(**parameters).rows]


def test_empty_query_returns_all_images_worst_first() -> None:
    """Images with the same problem are sorted by its age, most recent first."""
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


def test_counts_cover_all_images_whatever_the_query() -> None:
    result = run_query(q="gone")
    assert (result.matching, result.total) == (1, 18)
    assert (result.images_with_problems, result.pending) == (14, 1)
    assert result.problem_counts == {
        "gone": 2,
        "not_active": 3,
        "unexpected": 1,
        "unknown": 2,
        "failing": 8,
    }
    assert list(result.problem_counts) == ["gone", "not_active", "unexpected", "unknown", "failing"]


def test_clouds_with_problems_come_first() -> None:
    second, first = run_query(cloud="first").clouds
    assert (first.state.name, first.images) == ("first", 13)
    assert (first.images_with_problems, first.discovered_images) == (9, 0)
    assert (second.images, second.images_with_problems, second.discovered_images) == (5, 5, 5)
    assert (first.problems, len(second.problems)) == ((), 6)
    assert run_query().clouds_with_problems == 1


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"cloud": "second"}, set(HOSTILE_NAMES)),
        ({"cloud": "nowhere"}, set()),
        ({"state": "deactivated"}, {"deactivated", "wanted"}),
        ({"state": "other"}, {"odd"}),
        ({"state": "pending"}, {"new"}),
        ({"problem": "none"}, {"new", "bare", "fine", "wanted"}),
        ({"problem": "any", "cloud": "second"}, set(HOSTILE_NAMES)),
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
        ({"q": "  "}, {*POLL_HISTORIES, *HOSTILE_NAMES}),
    ],
)
def test_images_must_match_all_parameters(parameters: dict[str, str], expected: set[str]) -> None:
    """Each word of a search is looked up in alias, name, ID and cloud."""
    assert set(ids(**parameters)) == expected


@pytest.mark.parametrize(
    ("sort", "attribute"),
    [("since", "state_since"), ("changed", "changed_at"), ("polled", "polled_at")],
)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_times_are_sorted_latest_first_with_unknown_ones_last(
    sort: str, attribute: str, order: str
) -> None:
    instants = [
        getattr(row.observation, attribute) for row in run_query(sort=sort, order=order).rows
    ]
    known = [instant for instant in instants if instant is not None]
    assert 4 <= len(known) < 18
    assert known == sorted(known, reverse=order == "asc")
    assert instants == known + [None] * (18 - len(known))


def test_images_sorted_by_cloud_are_sorted_by_name_within_it() -> None:
    clouds = [row.target.cloud for row in run_query(sort="cloud").rows]
    assert clouds == ["first"] * 13 + ["second"] * 5
    assert ids(sort="cloud", cloud="first") == sorted(POLL_HISTORIES)


def test_names_are_sorted_ignoring_case() -> None:
    names = [display_name(row).casefold() for row in run_query(sort="image").rows]
    assert names == sorted(names)
    descending = run_query(sort="image", order="desc").rows
    assert [display_name(row).casefold() for row in descending] == names[::-1]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_unknown_sizes_come_last_in_either_order(order: str) -> None:
    sizes = [
        None if row.observation.image is None else row.observation.image.size_bytes
        for row in run_query(sort="size", order=order).rows
    ]
    known = [size for size in sizes if size is not None]
    assert known == sorted(known, reverse=order == "desc")
    assert sizes == known + [None] * 6


def test_pages_do_not_overlap_and_the_one_after_the_last_is_empty() -> None:
    pages = [
        query_images(LARGE_STORE, Query(page=page, limit=500, sort="image"), NOW)
        for page in (1, 2, 3, 4)
    ]
    assert [len(page.rows) for page in pages] == [500, 500, 234, 0]
    assert {page.pages for page in pages} == {3}
    names = [row.target.alias for page in pages for row in page.rows]
    assert names == [f"image-{number:05d}" for number in range(1234)]


def test_empty_result_has_one_page() -> None:
    empty = query_images(Store(), Query(), NOW)
    assert (empty.pages, empty.matching, empty.total, list(empty.rows)) == (1, 0, 0, [])
    assert run_query(q="nothing like that").pages == 1


def test_expired_values_are_not_listed() -> None:
    (row,) = run_query(q="id-of-stale").rows
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
def test_display_name_is_the_alias_else_the_name_else_the_id(
    alias: str, image: Image | None, name: str
) -> None:
    store = Store()
    target = Target("lab", "an-id", alias)
    store.add_cloud(replace(FIRST_CLOUD, name="lab"), [target])
    if image is not None:
        store.observe(target.key, NEVER_POLLED.with_outcome(Found(image), NOW, MAX_STALE))
    (row,) = query_images(store, Query(), NOW).rows
    assert display_name(row) == name
