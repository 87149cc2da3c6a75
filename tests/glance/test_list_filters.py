from dataclasses import replace

import pytest

from exporter.glance.list_filters import LIST_FILTERS, choose_filters, refused_visibility
from exporter.simulator import Release
from exporter.transport.http1 import Response, parse_head
from tests.support.recordings import Recording, recordings

REFUSED: dict[Release, dict[str, str]] = {
    Release.GLANCE_15: {
        "list-visibility-all": "all",
        "list-visibility-all-member-all": "all",
        "in-three-visibility-all": "all",
    },
    Release.GLANCE_33: {},
}
"""The recordings of lists that were refused for their visibility."""

CURRENT, BEFORE_ALL, BEFORE_COMMUNITY = LIST_FILTERS


def response(recording: Recording) -> Response:
    return replace(parse_head(recording.head), body=recording.body)


REFUSAL = response(recordings(Release.GLANCE_15)["list-visibility-all"])


def test_only_glance_15_refuses_visibility_all(release: Release) -> None:
    refused = {
        name: value
        for name, recording in recordings(release).items()
        if (value := refused_visibility(response(recording)))
    }
    assert refused == REFUSED[release]


@pytest.mark.parametrize("code", [200, 403, 404, 500])
def test_only_400_refuses_a_visibility(code: int) -> None:
    assert refused_visibility(replace(REFUSAL, code=code)) is None


def test_style_sheet_of_an_error_page_refuses_nothing() -> None:
    """A gateway's 400 may say ``visibility: hidden``."""
    assert refused_visibility(replace(REFUSAL, body=b"<p style='visibility: all'>")) is None


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


@pytest.mark.parametrize("value", [b"public", b"other", b"all" + b"x" * 1000])
def test_value_that_no_list_sends_is_not_refused(value: bytes) -> None:
    """Otherwise a faulty service could fill the memory, or change the filters."""
    body = b"Invalid visibility value: " + value
    assert refused_visibility(replace(REFUSAL, body=body)) is None
