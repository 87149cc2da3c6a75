"""Which images Image API v2 shows and lists, as Glance 33 decides it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from exporter.simulator.image import SimulatedImage

DEFAULT_LIMIT = 25  # Glance's limit_param_default
VISIBILITIES = frozenset({"all", "public", "private", "shared", "community"})
MEMBER_STATUSES = frozenset({"all", "accepted", "pending", "rejected"})
FLAGS = {"true": True, "false": False}
WITH_OPERATORS = frozenset({"id", "name", "status", "container_format", "disk_format"})
NOT_FILTERS = frozenset({"limit", "marker", "visibility", "member_status", "os_hidden", "tag"})

Query = Mapping[str, Sequence[str]]
"""The values of each parameter, as ``parse_qs`` gives them; the last one counts."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose token it is: the project, and whether it is an administrator's."""

    project: str
    admin: bool = False

    def sees(self, image: SimulatedImage) -> bool:
        """Whether the image is shown by its ID; nobody sees a deleted one."""
        return not image.deleted and (
            self.admin
            or image.owner in (None, self.project)
            or image.visibility in ("public", "community")
            or (image.visibility == "shared" and self.project in image.members)
        )

    def lists(self, image: SimulatedImage, visibility: str, member_status: str) -> bool:
        """Whether a list may hold the image: fewer than are seen.

        ``visibility`` is empty where the query has none: community images of others are then
        left out. Killed ones always are.
        """
        if image.deleted or image.status == "killed" or not self._reaches(image, member_status):
            return False
        if not visibility:
            return image.owner == self.project or image.visibility != "community"
        return visibility in ("all", image.visibility)

    def _reaches(self, image: SimulatedImage, member_status: str) -> bool:
        if self.admin or image.owner == self.project or image.visibility in ("public", "community"):
            return True
        membership = image.members.get(self.project) if image.visibility == "shared" else None
        return membership is not None and member_status in ("all", membership)


@dataclass(frozen=True, slots=True)
class Page:
    """The images of one page, newest first, and the marker of the next one if there may be any."""

    images: Sequence[SimulatedImage]
    marker: str | None


def page(images: Iterable[SimulatedImage], query: Query, caller: Caller, page_limit: int) -> Page:
    """The page of a list that the query asks for; raises ``ValueError`` with Glance's words."""
    limit = min(_limit(_last(query, "limit", str(DEFAULT_LIMIT))), page_limit)
    visibility = _one_of(VISIBILITIES, _last(query, "visibility"), "Invalid visibility value: {}")
    member_status = _one_of(
        MEMBER_STATUSES, _last(query, "member_status", "accepted"), "Invalid status: {}"
    )
    hidden = _hidden(_last(query, "os_hidden", "false").lower())
    filters = {key: _accepted(key, query[key][-1]) for key in query.keys() - NOT_FILTERS}
    everything = tuple(images)
    chosen = [
        image
        for image in everything
        if image.hidden is hidden
        and caller.lists(image, visibility, member_status)
        and set(query.get("tag", ())) <= set(image.tags)
        and all(_said(image, key) in accepted for key, accepted in filters.items())
    ]
    if marker := _last(query, "marker"):
        after = [image for image in everything if image.id == marker and caller.sees(image)]
        if not after:
            raise ValueError(f"No image found with ID {marker}")
        chosen = [image for image in chosen if _age(image) < _age(after[0])]
    shown = sorted(chosen, key=_age, reverse=True)[:limit]
    # Whether there is more is not looked at: a full page has a next one, which may be empty.
    return Page(shown, shown[-1].id if shown and len(shown) == limit else None)


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


def _one_of(words: frozenset[str], word: str, complaint: str) -> str:
    if word and word not in words:
        raise ValueError(complaint.format(word))
    return word


def _hidden(word: str) -> bool:
    if word not in FLAGS:
        raise ValueError(
            f"Invalid value '{word}' for 'os_hidden' filter. Valid values are 'true' or 'false'."
        )
    return FLAGS[word]


def _accepted(key: str, text: str) -> frozenset[str]:
    """The values that a filter lets through: several where it says ``in:``."""
    if key not in WITH_OPERATORS or not text.startswith("in:"):
        return frozenset({text.removeprefix("eq:") if key in WITH_OPERATORS else text})
    values = text.removeprefix("in:")
    if values.count('"') % 2:
        raise ValueError(f"Invalid filter value {values}. The quote is not closed.")
    return frozenset(value.strip('"') for value in values.split(","))


def _said(image: SimulatedImage, key: str) -> str:
    """What the image's document says under a key, as a query would write it."""
    if key == "id":
        return image.id
    value = image.v2_document().get(key)
    return value if isinstance(value, str) else json.dumps(value)


def _age(image: SimulatedImage) -> tuple[str, str]:
    return image.created_at or "", image.id
