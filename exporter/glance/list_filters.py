"""Filters of v2 image lists: one set for each group of Glance releases.

Without a filter no list has images of every visibility, and old releases refuse some values of
``visibility``.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus

from exporter.transport.http1 import Response


@dataclass(frozen=True, slots=True)
class ListFilters:
    """Filters with which lists have as many images as possible.

    Attributes:
        visibilities: The values of ``visibility`` in these filters.
        first_list: Filters of a batch, which is a list of images by ID.
        second_list: Filters of a second batch, for the images that the first one leaves out.
        listings: Filters of the lists that together have all images that are not hidden.
    """

    visibilities: frozenset[str]
    first_list: str
    second_list: str
    listings: tuple[str, ...]


LIST_FILTERS: tuple[ListFilters, ...] = (
    ListFilters(
        visibilities=frozenset({"all"}),
        first_list="&visibility=all",
        second_list="&visibility=all&os_hidden=true",
        listings=("&visibility=all",),
    ),
    # Glance 15 refuses "all", and has no hidden images: any value of os_hidden makes a list empty.
    ListFilters(
        visibilities=frozenset({"community"}),
        first_list="",
        second_list="&visibility=community",
        listings=("", "&visibility=community"),
    ),
    # Older releases have no community images, so a second list can only repeat the first.
    ListFilters(visibilities=frozenset(), first_list="", second_list="", listings=("",)),
)
"""All filters, those of the current release first."""

_REFUSED_VISIBILITY = re.compile(rb"Invalid visibility value: (all|community)\b")


def choose_filters(refused: Collection[str]) -> ListFilters:
    """Return the first filters without a value of ``visibility`` that the service refused."""
    return next(filters for filters in LIST_FILTERS if filters.visibilities.isdisjoint(refused))


def refused_visibility(response: Response) -> str | None:
    """Return the value of ``visibility`` for which Glance refused a list.

    Glance 15 sends 400 with "Invalid visibility value: all" (``list-visibility-all.http`` among the
    recordings), and later releases send the same text for values that they do not know. Only values
    that ``LIST_FILTERS`` sends count.
    """
    if response.code != HTTPStatus.BAD_REQUEST:
        return None
    match = _REFUSED_VISIBILITY.search(response.body)
    return match[1].decode() if match else None
