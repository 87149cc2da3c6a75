"""The HTML page. Its content security policy forbids every script except its own."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter import __version__
from exporter.model.cloud import CLOUD_PROBLEMS, unresolved
from exporter.model.expectations.format import format_actual, format_expected
from exporter.model.image import Image
from exporter.model.status import PROBLEMS, STATES
from exporter.text import approximate_duration, escape, format_utc, shorten
from exporter.web.pages.image_details import image_path
from exporter.web.pages.image_list import ImageList, display_name
from exporter.web.pages.query import REFRESH_INTERVALS, PageQuery, QueryError

COLUMNS: Mapping[str, str | None] = MappingProxyType(
    {
        "State": "state",
        "Since": "since",
        "Image": "image",
        "Cloud": "cloud",
        "Size": "size",
        "Flags": None,
        "Last change": "changed",
        "Last poll": "polled",
    }
)
"""Columns of the image table, with the value of ``sort`` that each column sorts by."""

LIMITS = (25, 50, 100, 250, 1000)
"""Page sizes offered in the form. A URL may name any other size."""

MAX_VALUE_LENGTH = 40
"""Characters of a value in the table. The page of the image has the whole value."""

MAX_DETAIL_LENGTH = 80
"""Characters of the detail of a failure in the table."""

MAX_LINES = 2
"""Changes or unmet expectations in a cell of the table."""

BAR_WIDTH = 1000
"""Width of the bar of states, in units of its own."""

MIN_SEGMENT_WIDTH = 6
"""Minimum width of a segment of the bar, so that one image of thousands is visible."""

_LABELS = MappingProxyType(
    {
        "gone": "gone",
        "not_active": "not active",
        "unexpected": "not as expected",
        "unknown": "not known",
        "failing": "poll failing",
        "pending": "not polled yet",
        "api_down": "API down",
        "polling_late": "polling late",
        "mass_disappearance": "all gone at once",
        "servers_disagree": "API servers disagree",
        "sign_in_failing": "sign-in failing",
        "breaker_open": "breaker open",
        "discovery_failing": "discovery failing",
        "alias_unresolved": "alias without an image",
    }
)
"""Labels of states, of problems of images and of problems of clouds."""


def label(key: str) -> str:
    """Return the label of a state or problem; a status of the Image service is its own label."""
    return _LABELS.get(key, key)


Kind = Literal["bad", "warn", "faint", "good"]
"""Appearance of a state, worst first."""

_KINDS: Mapping[str, Kind] = MappingProxyType(
    {"unknown": "warn", "pending": "faint", "active": "good"}
)
"""Appearance of the states in the bar. Machines cannot boot from an image in any other state."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the bar of states.

    Attributes:
        state: The state.
        kind: Its appearance.
        count: Number of images in this state.
        start: Distance from the start of the bar, in its units.
        width: Width, in the same units.
    """

    state: str
    kind: Kind
    count: int
    start: float
    width: float


def bar_of_states(counts: Mapping[str, int]) -> Sequence[Segment]:
    """Return the segments of the bar, the worst first, with widths that fill it."""
    kinds = get_args(Kind)
    kind_of = {state: _KINDS.get(state, "bad") for state in counts}
    states = sorted(counts, key=lambda state: kinds.index(kind_of[state]))
    total = sum(counts.values())
    widths = [max(MIN_SEGMENT_WIDTH, counts[state] / total * BAR_WIDTH) for state in states]
    scale = BAR_WIDTH / sum(widths) if widths else 1
    segments, start = [], 0.0
    for state, width in zip(states, widths, strict=True):
        segments.append(Segment(state, kind_of[state], counts[state], start, width * scale))
        start += width * scale
    return segments


def flags(image: Image | None) -> Sequence[str]:
    """Return the labels of an image's boolean attributes; unknown ones have none."""
    if image is None:
        return ()
    labels = []
    if image.protected is not None:
        labels.append("protected" if image.protected else "not protected")
    if image.visibility:
        labels.append(image.visibility)
    elif image.public is not None:
        labels.append("public" if image.public else "not public")
    if image.hidden:
        labels.append("hidden")
    return labels


def format_change(value: object) -> str:
    """Return an old or new value of a change as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def format_value(value: object) -> str:
    """Return an old or new value of a change as short text."""
    return shorten(format_change(value), MAX_VALUE_LENGTH, "…")


def format_detail(detail: str) -> str:
    """Return the detail of a failure as short text."""
    return shorten(detail, MAX_DETAIL_LENGTH, "…")


TEMPLATES = Environment(
    loader=PackageLoader("exporter.web.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters.update(
    duration=approximate_duration,
    format_actual=format_actual,
    format_change=format_change,
    format_expected=format_expected,
    format_detail=format_detail,
    format_value=format_value,
    label=label,
    number="{:,}".format,
    printable=escape,
    utc=format_utc,
)
TEMPLATES.globals.update(
    bar_of_states=bar_of_states,
    bar_width=BAR_WIDTH,
    columns=COLUMNS,
    descriptions={**STATES, **PROBLEMS, **CLOUD_PROBLEMS},
    display_name=display_name,
    flags=flags,
    image_path=image_path,
    limits=LIMITS,
    max_lines=MAX_LINES,
    problems=PROBLEMS,
    refresh_intervals=REFRESH_INTERVALS,
    states=STATES,
    unresolved=unresolved,
    version=__version__,
)
STYLE = TEMPLATES.get_template("page.css").render()
"""The style sheet of all pages."""

_PAGE = TEMPLATES.get_template("page.html")


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


SCRIPT = TEMPLATES.get_template("page.js").render()
"""The script that refreshes a page in place, and adds buttons that copy."""

SCRIPT_PATH = "page.js"
"""Path of the script, relative to the first page."""

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{_sha256(STYLE)}'; script-src 'self'; "
            "connect-src 'self'; img-src data:; "
            "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        ),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
)
"""Headers of all pages: only their own script may run, and no site may frame it."""


def render_page(
    image_list: ImageList,
    query: PageQuery,
    error: QueryError | None = None,
    *,
    metrics_path: str = "/metrics",
) -> str:
    """Render the page as HTML.

    Args:
        image_list: The images and clouds.
        query: The query in the URL.
        error: The invalid parameters that the query ignores.
        metrics_path: Path of the metrics, below the path of all pages.
    """
    return _PAGE.render(
        image_list=image_list,
        now=image_list.now,
        query=query,
        error=error,
        style=STYLE,
        script=SCRIPT_PATH,
        metrics_path=metrics_path.lstrip("/"),
    )
