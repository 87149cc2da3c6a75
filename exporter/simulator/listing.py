"""The rules of Glance for the images that API v2 shows and lists."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from exporter.simulator.image import SimulatedImage
from exporter.simulator.release import Release

DEFAULT_LIMIT = 25  # Glance's limit_param_default
MEMBER_STATUSES = frozenset({"all", "accepted", "pending", "rejected"})
FLAGS = {"true": True, "false": False}
WITH_OPERATORS = frozenset({"id", "name", "status", "container_format", "disk_format"})
NOT_FILTERS = frozenset({"limit", "marker", "visibility", "member_status", "sort", "tag"})

Query = Mapping[str, Sequence[str]]
"""The values of each parameter, as ``parse_qs`` returns them; the last one counts."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of the token: a project, possibly with an administrator's rights."""

    project: str
    admin: bool = False

    def sees(self, image: SimulatedImage) -> bool:
        """Return True if the caller can get the image by its ID. Deleted ones are never shown."""
        return not image.deleted and (
            self.admin
            or image.owner in (None, self.project)
            or image.visibility in ("public", "community")
            or (image.visibility == "shared" and self.project in image.members)
        )

    def lists(self, image: SimulatedImage, visibility: str, member_status: str) -> bool:
        """Return True if a list may contain the image. Fewer images are listed than shown.

        If ``visibility`` is empty, because the query has none, community images of other
        projects are not listed. Killed images never are.
        """
        if image.deleted or image.status == "killed" or not self._has_access(image, member_status):
            return False
        if not visibility:
            return image.owner == self.project or image.visibility != "community"
        return visibility in ("all", image.visibility)

    def _has_access(self, image: SimulatedImage, member_status: str) -> bool:
        if self.admin or image.owner == self.project or image.visibility in ("public", "community"):
            return True
        membership = image.members.get(self.project) if image.visibility == "shared" else None
        return membership is not None and member_status in ("all", membership)


@dataclass(frozen=True, slots=True)
class Page:
    """The images of one page, newest first, and the marker of the next page if there may be one."""

    images: Sequence[SimulatedImage]
    marker: str | None


def page(
    images: Iterable[SimulatedImage],
    query: Query,
    caller: Caller,
    page_limit: int,
    release: Release = Release.GLANCE_33,
) -> Page:
    """Return the page of a list that matches the query.

    Raises:
        ValueError: the query is invalid; the message is Glance's.
    """
    limit = min(_limit(_last(query, "limit", str(DEFAULT_LIMIT))), page_limit)
    visibility = _one_of(
        release.traits.visibilities, _last(query, "visibility"), "Invalid visibility value: {}"
    )
    member_status = _one_of(
        MEMBER_STATUSES, _last(query, "member_status", "accepted"), "Invalid status: {}"
    )
    not_filters = NOT_FILTERS
    hidden = None
    if release.traits.has_hidden_images:
        not_filters |= {"os_hidden"}
        hidden = _hidden(_last(query, "os_hidden", "false").lower())
    filters = {key: _accepted(key, query[key][-1]) for key in query.keys() - not_filters}
    all_images = tuple(images)
    matches = [
        image
        for image in all_images
        if hidden in (None, image.hidden)
        and caller.lists(image, visibility, member_status)
        and set(query.get("tag", ())) <= set(image.tags)
        and all(_filter_value(image, key, release) in accepted for key, accepted in filters.items())
    ]
    if marker := _last(query, "marker"):
        previous = [image for image in all_images if image.id == marker and caller.sees(image)]
        if not previous:
            raise ValueError(f"No image found with ID {marker}")
        matches = [image for image in matches if _age(image) < _age(previous[0])]
    listed = sorted(matches, key=_age, reverse=True)[:limit]
    # Glance does not look ahead: every full page has a next page, which may be empty.
    return Page(listed, listed[-1].id if listed and len(listed) == limit else None)


def _last(query: Query, key: str, default: str = "") -> str:
    return query[key][-1] if key in query else default


def _limit(text: str) -> int:
    try:
        limit = int(text)
    except ValueError:
        raise ValueError("limit param must be an integer") from None
    if limit < 0:
        raise ValueError("limit param must be positive")
    return limit


def _one_of(choices: frozenset[str], value: str, message: str) -> str:
    if value and value not in choices:
        raise ValueError(message.format(value))
    return value


def _hidden(value: str) -> bool:
    if value not in FLAGS:
        raise ValueError(
            f"Invalid value '{value}' for 'os_hidden' filter. Valid values are 'true' or 'false'."
        )
    return FLAGS[value]


def _accepted(key: str, text: str) -> frozenset[str]:
    """Return the values that a filter accepts: more than one if it starts with ``in:``."""
    if key not in WITH_OPERATORS or not text.startswith("in:"):
        return frozenset({text.removeprefix("eq:") if key in WITH_OPERATORS else text})
    values = text.removeprefix("in:")
    if values.count('"') % 2:
        raise ValueError(f"Invalid filter value {values}. The quote is not closed.")
    return frozenset(value.strip('"') for value in values.split(","))


def _filter_value(image: SimulatedImage, key: str, release: Release) -> str:
    """Return a value of the image's document in the form a query has it."""
    if key == "id":
        return image.id
    value = image.v2_document(release).get(key)
    return value if isinstance(value, str) else json.dumps(value)


def _age(image: SimulatedImage) -> tuple[str, str]:
    return image.created_at or "", image.id
