from dataclasses import replace
from pathlib import Path

import pytest

from exporter.glance.list_filters import LIST_FILTERS, choose_filters, refused_visibility
from exporter.transport.http1 import parse_head
from exporter.transport.response import Response

RECORDINGS = Path(__file__).parents[1] / "recordings"
CURRENT, BEFORE_ALL, BEFORE_COMMUNITY = LIST_FILTERS


def recorded(name: str) -> Response:
    """Return a recorded response."""
    head, _, body = (RECORDINGS / f"{name}.http").read_bytes().partition(b"\r\n\r\n")
    return replace(parse_head(head + b"\r\n\r\n"), body=body)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("glance15-v2/list-visibility-all", "all"),
        ("glance15-v2/list-visibility-all-member-all", "all"),
        ("glance15-v2/in-three-visibility-all", "all"),
        ("glance15-v2/list-visibility-community", None),
        ("glance15-v2/get-unknown", None),
        ("v2/in-bad-quote", None),
        ("v2/list-limit-word", None),
        ("v2/in-115-ids", None),
        ("v2/in-all-kinds-visibility-all", None),
    ],
)
def test_refused_visibility_is_that_of_the_recording(name: str, value: str | None) -> None:
    assert refused_visibility(recorded(name)) == value


@pytest.mark.parametrize("code", [200, 403, 404, 500])
def test_only_400_refuses_a_visibility(code: int) -> None:
    response = replace(recorded("glance15-v2/list-visibility-all"), code=code)
    assert refused_visibility(response) is None


def test_style_sheet_of_an_error_page_refuses_nothing() -> None:
    """A gateway's 400 may say ``visibility: hidden``."""
    response = recorded("glance15-v2/list-visibility-all")
    assert refused_visibility(replace(response, body=b"<p style='visibility: all'>")) is None


@pytest.mark.parametrize(
    ("refused", "filters"),
    [
        ((), CURRENT),
        (("all",), BEFORE_ALL),
        (("all", "community"), BEFORE_COMMUNITY),
        (("public", "anything"), CURRENT),
        (("all", "community", "public", "anything"), BEFORE_COMMUNITY),
    ],
)
def test_filters_have_no_refused_visibility(refused: tuple[str, ...], filters: object) -> None:
    assert choose_filters(refused) is filters


def test_filters_name_the_visibilities_they_have() -> None:
    for filters in LIST_FILTERS:
        parameters = {
            parameter
            for text in (filters.first_list, filters.second_list, *filters.listings)
            for parameter in text.split("&")
        }
        assert parameters - {"", "os_hidden=true"} == {
            f"visibility={value}" for value in filters.visibilities
        }
