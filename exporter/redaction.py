"""Redaction of secrets in errors and log lines."""

import base64
import json
import re
import threading
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

REDACTED = "***"

_USERINFO = re.compile(r"//[^/\s]*@")

_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]*-----.*?(?:-----END[^-]*-----|\Z)|LS0tLS1CRUdJTi[A-Za-z0-9+/=\s]*",
    re.DOTALL,
)
"""PEM text, also in base64 as in a Kubernetes Secret."""

MIN_ENCODED_LENGTH = 8
"""Characters of a secret that is also searched for encoded; a shorter one would match by chance."""


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace the secrets, and users and passwords in URLs, and PEM text by ``***``."""
    # The longest secret first, so that no part of it remains.
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return _USERINFO.sub(f"//{REDACTED}@", _PEM.sub(REDACTED, text))


class Redactor:
    """Replaces secrets by ``***``: the last defence of the log. Thread-safe.

    A secret is recognised as it is, as Python and JSON quote it, and, from eight characters on,
    percent-encoded and in base64 at any position, as in an ``Authorization`` header.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()
        for secret in secrets:
            self.add(secret)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._secrets)} secrets>"

    def add(self, secret: str) -> None:
        """Redact this secret from now on; an empty one is ignored."""
        if not secret:
            return
        with self._lock:
            self._secrets |= {secret}
            forms = {form for known in self._secrets for form in _encoded_forms(known)}
            longest_first = sorted(forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def redact(self, text: str) -> str:
        """Return the text with every secret, and all PEM text, replaced."""
        text = _PEM.sub(REDACTED, text)
        return self._pattern.sub(REDACTED, text) if self._pattern else text


def _encoded_forms(secret: str) -> Iterator[str]:
    yield secret
    yield repr(secret)[1:-1]
    for ensure_ascii in (True, False):
        yield json.dumps(secret, ensure_ascii=ensure_ascii)[1:-1]
    if len(secret) < MIN_ENCODED_LENGTH:
        return
    octets = secret.encode("utf-8", "surrogatepass")
    yield quote(octets)
    yield quote(octets, safe="")
    yield quote_plus(octets)
    for offset in range(3):
        # A character of base64 encodes six bits. Leave out those at the edges that also encode
        # bits of the unknown bytes before and after the secret.
        encoded = base64.b64encode(bytes(offset) + octets)
        inner = slice(-(-offset * 8 // 6), (offset + len(octets)) * 8 // 6)
        yield encoded[inner].decode("ascii")
        yield base64.urlsafe_b64encode(bytes(offset) + octets)[inner].decode("ascii")
