"""Which versions of the Image service API an endpoint offers, by its version document."""

import re

from exporter.model.v2_fields import parse_json
from exporter.transport.response import Response

VERSIONS_PATHS = ("/", "/versions")
"""Where the document is, in the order to ask; neither needs a token."""

PREFERRED = ("v1", "v2")
"""The versions that can be spoken, best first: v1 answers HEAD, which is what was asked for."""

OFFERED = frozenset({"CURRENT", "SUPPORTED", "DEPRECATED"})
"""The statuses of a version that answers; EXPERIMENTAL promises nothing."""

DOCUMENT_CODES = frozenset({200, 300})
"""300 is also the answer to a version that is switched off, with the document as its body."""

_ID = re.compile(r"(v[0-9]+)(?:\.[0-9]+)*", re.ASCII)


def offered(answer: Response) -> frozenset[str]:
    """Those of ``PREFERRED`` that the document names; none where it is no such document."""
    if answer.head.code not in DOCUMENT_CODES:
        return frozenset()
    try:
        document = parse_json(answer.body)
    except ValueError:
        return frozenset()
    entries = document.get("versions") if isinstance(document, dict) else None
    named = {_version(entry) for entry in entries} if isinstance(entries, list) else set()
    return frozenset(PREFERRED) & named


def choose(versions: frozenset[str], wanted: str) -> str | None:
    """The version to speak: the wanted one, or for ``auto`` the best that is offered, if any."""
    if wanted != "auto":
        return wanted
    return next((version for version in PREFERRED if version in versions), None)


def _version(entry: object) -> str:
    """``v1`` for an entry of v1.1 that answers; empty for one that does not, or is none."""
    if not isinstance(entry, dict):
        return ""
    name, status = entry.get("id"), entry.get("status")
    if not isinstance(name, str) or not isinstance(status, str) or status not in OFFERED:
        return ""
    match = _ID.fullmatch(name)
    return match[1] if match else ""
