"""The page for people."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter import __version__

_TEMPLATES = Environment(
    loader=PackageLoader("exporter.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_STYLE = _TEMPLATES.get_template("landing.css").render()
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What goes with the page: it may load nothing, run nothing, and be framed by nobody."""


@dataclass(frozen=True, slots=True)
class LandingRow:
    """One configured image, as the page shows it."""

    cloud: str
    image_id: str
    alias: str
    state: str
    """What is known, in words: ``active``, ``gone``, ``not polled yet``."""
    verdict: Literal["good", "bad", "unknown"]
    """How the state is coloured."""
    answered_ago: float | None
    """Seconds since the last poll that got an answer; None before the first."""


def landing_page(rows: Iterable[LandingRow]) -> str:
    """The page as HTML."""
    template = _TEMPLATES.get_template("landing.html")
    return template.render(rows=list(rows), style=_STYLE, version=__version__)


def ago(seconds: float | None) -> str:
    """A time that has passed, in its largest unit, in words."""
    if seconds is None:
        return "never"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"


_TEMPLATES.filters["ago"] = ago
