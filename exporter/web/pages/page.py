"""The page for people, as HTML: whatever it shows, it may run nothing but its own script."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter import HOMEPAGE, __version__
from exporter.model.cloud import CLOUD_PROBLEMS, unresolved
from exporter.model.expectations.format import format_actual, format_expected
from exporter.model.image import Image
from exporter.model.status import PROBLEMS, STATES
from exporter.text import escape, format_duration, format_utc
from exporter.web.pages.image_list import Listing, called
from exporter.web.pages.query import REFRESHES, PageQuery, QueryError

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
"""The columns of the table of images, and what each is sorted by."""

LIMITS = (25, 100, 250, 1000)
"""Images on a page that are offered; the address may ask for any number of them."""

LONGEST_VALUE = 40
"""Characters of a value in the last change; the API gives all of them."""

_WORDS = MappingProxyType(
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
        "sign_in_failing": "sign-in failing",
        "breaker_open": "breaker open",
        "discovery_failing": "discovery failing",
        "alias_unresolved": "alias without an image",
    }
)
"""Keys of the tables of problems, states and troubles, in words for people."""


def words(key: str) -> str:
    """A key in words; one of the Image service's is its own word."""
    return _WORDS.get(key, key)


def flags(image: Image | None) -> Sequence[str]:
    """What is said of an image by yes and no, in words; nothing of what is not known."""
    if image is None:
        return ()
    seen_by = image.visibility or {True: "public", False: "not public", None: None}[image.public]
    protected = {True: "protected", False: "not protected", None: None}[image.protected]
    found = (protected, seen_by, "hidden" if image.hidden else None)
    return [flag for flag in found if flag]


def value(told: object) -> str:
    """What was or is so, in words that are not too long."""
    text = str({True: "yes", False: "no"}[told] if isinstance(told, bool) else told)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


_TEMPLATES = Environment(
    loader=PackageLoader("exporter.web.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters.update(
    format_actual=format_actual,
    number="{:,}".format,
    printable=escape,
    duration=format_duration,
    utc=format_utc,
    value=value,
    format_expected=format_expected,
    words=words,
)
_TEMPLATES.globals.update(
    columns=COLUMNS,
    called=called,
    flags=flags,
    homepage=HOMEPAGE,
    limits=LIMITS,
    meanings={**STATES, **PROBLEMS, **CLOUD_PROBLEMS},
    problems=PROBLEMS,
    refreshes=REFRESHES,
    states=STATES,
    unresolved=unresolved,
    version=__version__,
)
_STYLE = _TEMPLATES.get_template("page.css").render()
_PAGE = _TEMPLATES.get_template("page.html")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


SCRIPT = _TEMPLATES.get_template("page.js").render()
"""What the page is refreshed by where scripts run."""

SCRIPT_PATH = "page.js"
"""Where the page looks for it, relative to itself."""

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{_hash(_STYLE)}'; script-src 'self'; "
            "connect-src 'self'; img-src data:; "
            "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        ),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
)
"""What goes with the page: nothing may run in it but its script, and nobody may frame it."""


def page(listing: Listing, query: PageQuery, mistakes: QueryError | None = None) -> str:
    """The page as HTML; ``mistakes`` are parameters that were left out of the query."""
    return _PAGE.render(
        listing=listing, query=query, mistakes=mistakes, style=_STYLE, script=SCRIPT_PATH
    )
