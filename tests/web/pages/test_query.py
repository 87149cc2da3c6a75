from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.image import STATUSES
from exporter.model.status import PROBLEMS
from exporter.web.pages.image_list import SORT_KEYS
from exporter.web.pages.query import REFRESH_INTERVALS, PageQuery, Query, QueryError


def test_nothing_asked_for_is_the_first_hundred_worst_first() -> None:
    """Parameters that are not there, or empty as a form sends them, have their defaults."""
    assert Query.parse([]) == Query.parse([("q", ""), ("limit", ""), ("state", "")]) == Query()
    assert (Query().sort, Query().order, Query().page, Query().limit) == ("state", "asc", 1, 100)


def words(name: str) -> list[str]:
    """The words that a parameter is said to accept."""
    return PageQuery.accepted_values(name).removeprefix("one of ").split(", ")


@pytest.mark.parametrize("name", ["state", "problem", "sort", "order", "refresh"])
def test_every_word_that_is_said_to_be_accepted_is(name: str) -> None:
    """What the text for people lists is what may be given."""
    for word in words(name):
        assert str(getattr(PageQuery.parse([(name, word)]), name)) == word


def test_what_is_listed_is_all_there_is() -> None:
    """Every status, problem and order that there is may be asked for."""
    assert set(STATUSES) < set(words("state"))
    assert set(PROBLEMS) < set(words("problem"))
    assert set(SORT_KEYS) == set(words("sort"))
    assert set(map(str, REFRESH_INTERVALS)) == set(words("refresh"))


NAMES = "q, cloud, state, problem, sort, order, page, limit"


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("q", "x" * 256, "up to 255 characters"),
        ("cloud", "x" * 256, "up to 255 characters"),
        (
            "state",
            "Active",
            "one of gone, unknown, pending, other, queued, saving, uploading, importing, active, "
            "deactivated, killed, deleted, pending_delete",
        ),
        ("problem", "bad", "one of any, none, gone, not_active, unexpected, unknown, failing"),
        ("sort", "name", "one of state, since, image, cloud, size, changed, polled"),
        ("order", "up", "one of asc, desc"),
        ("page", "0", "a whole number from 1 to 1000000000"),
        ("page", "1e3", "a whole number from 1 to 1000000000"),
        ("limit", "0", "a whole number from 1 to 1000"),
        ("limit", "1001", "a whole number from 1 to 1000"),
        ("limit", "ten", "a whole number from 1 to 1000"),
        ("limit", "-1", "a whole number from 1 to 1000"),
        ("limit", "9" * 5000, "a whole number from 1 to 1000"),
        ("offset", "1", f"one of {NAMES} in its place"),
        ("refresh", "30", f"one of {NAMES} in its place"),
        ("", "x", f"one of {NAMES} in its place"),
        ("empty", "", f"one of {NAMES} in its place"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, value: str, accepted: str) -> None:
    """The error names the parameter, the value and what is accepted."""
    with pytest.raises(QueryError) as refused:
        Query.parse([(name, value)])
    assert refused.value.parameters == ((name, value, accepted),)
    assert str(refused.value) == f"{name} is not accepted: give {accepted}"


def test_a_parameter_counts_once() -> None:
    """One that is given twice is refused, but for empty ones, which are not given."""
    assert Query.parse([("q", "a"), ("q", "")]).q == "a"
    with pytest.raises(QueryError) as refused:
        Query.parse([("q", "a"), ("q", "b")])
    assert refused.value.parameters == (("q", "b", "one value"),)


def test_every_mistake_is_told_at_once() -> None:
    """Several parameters that make no sense are all named."""
    with pytest.raises(QueryError) as refused:
        Query.parse([("limit", "x"), ("order", "x"), ("q", "a"), ("q", "b"), ("nope", "1")])
    assert {name for name, _, _ in refused.value.parameters} == {"limit", "order", "q", "nope"}


@given(
    st.builds(
        PageQuery,
        q=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        cloud=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        state=st.sampled_from(("", *STATUSES)),
        problem=st.sampled_from(("", "any", "none", *PROBLEMS)),
        page=st.integers(1, 10**9),
        limit=st.integers(1, 1000),
        refresh=st.sampled_from(list(REFRESH_INTERVALS)),
    )
)
def test_a_link_leads_back_to_its_query(query: PageQuery) -> None:
    """A link holds all that is not as by default, in a form that is read as the same again."""
    link = query.link()
    assert link.startswith("?")
    assert PageQuery.parse(parse_qsl(link[1:], keep_blank_values=True)) == query
    assert query.for_api().link() == query.link(refresh=30)


def test_a_link_may_differ() -> None:
    """A link says only what is not so by default, with the changes asked for."""
    assert Query().link() == "?"
    assert Query(q="a b", page=3).link(page=1) == "?q=a+b"
