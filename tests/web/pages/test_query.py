from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.image import STATUSES
from exporter.model.status import PROBLEMS
from exporter.web.pages.image_list import SORT_KEYS
from exporter.web.pages.query import (
    MAX_REPORTED,
    REFRESH_INTERVALS,
    PageQuery,
    Query,
    QueryError,
)


def test_absent_and_empty_parameters_have_their_defaults() -> None:
    assert Query.parse([]) == Query.parse([("q", ""), ("limit", ""), ("state", "")]) == Query()
    assert (Query().sort, Query().order, Query().page, Query().limit) == ("state", "asc", 1, 100)


def accepted_words(name: str) -> list[str]:
    """Return the words in the description of a parameter."""
    return PageQuery.accepted_values(name).removeprefix("one of ").split(", ")


@pytest.mark.parametrize("name", ["state", "problem", "sort", "order", "refresh"])
def test_every_documented_value_is_accepted(name: str) -> None:
    for word in accepted_words(name):
        assert str(getattr(PageQuery.parse([(name, word)]), name)) == word


def test_every_state_problem_sort_key_and_interval_is_documented() -> None:
    assert set(STATUSES) < set(accepted_words("state"))
    assert set(PROBLEMS) < set(accepted_words("problem"))
    assert set(SORT_KEYS) == set(accepted_words("sort"))
    assert set(map(str, REFRESH_INTERVALS)) == set(accepted_words("refresh"))


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
        ("offset", "1", f"the parameters {NAMES}"),
        ("refresh", "30", f"the parameters {NAMES}"),
        ("", "x", f"the parameters {NAMES}"),
        ("empty", "", f"the parameters {NAMES}"),
    ],
)
def test_invalid_parameter_is_refused_with_the_accepted_values(
    name: str, value: str, accepted: str
) -> None:
    with pytest.raises(QueryError) as error:
        Query.parse([(name, value)])
    assert error.value.parameters == ((name, value, accepted),)
    assert str(error.value) == f"{name} is not accepted; accepted: {accepted}"


def test_repeated_parameter_is_refused_unless_empty() -> None:
    assert Query.parse([("q", "a"), ("q", "")]).q == "a"
    with pytest.raises(QueryError) as error:
        Query.parse([("q", "a"), ("q", "b")])
    assert error.value.parameters == (("q", "b", "one value"),)


def test_all_invalid_parameters_are_reported_at_once() -> None:
    with pytest.raises(QueryError) as error:
        Query.parse([("limit", "x"), ("order", "x"), ("q", "a"), ("q", "b"), ("nope", "1")])
    assert {name for name, _, _ in error.value.parameters} == {"limit", "order", "q", "nope"}


def test_error_of_thousands_of_invalid_parameters_is_short() -> None:
    parameters = [("q", "a")] * 3000 + [(f"nope-{number}", "") for number in range(3000)]
    with pytest.raises(QueryError) as error:
        Query.parse(parameters)
    assert len(error.value.parameters) == 5999
    assert len(error.value.reported) == MAX_REPORTED
    assert len(str(error.value)) < 3000


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
def test_link_parses_to_the_same_query(query: PageQuery) -> None:
    link = query.link()
    assert link.startswith("?")
    assert PageQuery.parse(parse_qsl(link[1:], keep_blank_values=True)) == query
    api_link = query.for_api().link()
    api_query = Query.parse(parse_qsl(api_link[1:], keep_blank_values=True))
    assert api_query.model_dump() == query.model_dump(exclude={"refresh"})


def test_link_applies_changes_and_omits_defaults() -> None:
    assert Query().link() == "?"
    assert Query(q="a b", page=3).link(page=1) == "?q=a+b"
