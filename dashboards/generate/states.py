"""States of an image as numbers; higher is worse."""

from collections.abc import Callable
from dataclasses import dataclass

from dashboards.generate.colors import GOOD, GREY, ORANGE, PINK, SKY, VERMILION, WINE, YELLOW
from dashboards.generate.promql import IMAGE_KEY, Images


@dataclass(frozen=True, slots=True)
class State:
    """A state, and the query for the images in it."""

    text: str
    color: str
    query: Callable[[Images], str]


def _status(status: str) -> Callable[[Images], str]:
    return lambda images: images.value("state_info", f'status="{status}"')


WORST_FIRST = (
    State("gone", WINE, _status("gone")),
    State("killed", VERMILION, _status("killed")),
    State("deactivated", ORANGE, _status("deactivated")),
    State("unknown", PINK, _status("unknown")),
    State("poll failed", GREY, lambda images: images.value("poll_success") + " == 0"),
    State("queued", YELLOW, _status("queued")),
    State("saving", SKY, _status("saving")),
    State("uploading", SKY, _status("uploading")),
    State("importing", SKY, _status("importing")),
    State("active", GOOD, _status("active")),
)
"""All states. The statuses of a deleted image are missing, since it counts as gone."""

NOT_ACTIVE = 'status!~"active|gone"'
"""Matcher of the statuses of images that exist but are not active."""

BY_NUMBER = dict(enumerate(reversed(WORST_FIRST), start=1))
"""States by their number in ``state``."""


def state(images: Images) -> str:
    """Return a query for the number of each image's state, the worst if several apply."""
    numbered = (f"0 * ({state.query(images)}) + {number}" for number, state in BY_NUMBER.items())
    worst_first = "\n  or ".join(reversed(list(numbered)))
    return f"max by ({', '.join(IMAGE_KEY)}) (\n  {worst_first}\n)"


def rank(images: Images) -> str:
    """Return a query for a number by which images with problems are higher than others.

    It reads three series of an image without problems.
    """
    worst_first = (
        images.series("state_info", 'status="gone"'),
        images.series("state_info", NOT_ACTIVE),
        f"{images.series('poll_success')} == 0",
        f"{images.series('expectation_met')} == 0",
        images.series("target_info"),
    )
    numbered = (f"0 * ({query}) + {-place}" for place, query in enumerate(worst_first))
    return f"max by ({', '.join(IMAGE_KEY)}) ({' or '.join(numbered)})"
