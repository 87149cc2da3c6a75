"""Redaction of secrets in errors and log lines."""

import base64
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator
from itertools import pairwise
from urllib.parse import quote, quote_plus

from exporter.text import escape

REDACTED = "***"

_USERINFO = re.compile(r"//[^/\s]*@")

_PASSWORD_IN_URL = re.compile(r"(?:^|/)[^/\s:]*:[^/\s]*@")
"""User and password of a URL, also once a path has joined the two slashes before them."""

_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]*-----.*?(?:-----END[^-]*-----|\Z)|LS0tLS1CRUdJTi[A-Za-z0-9+/=\s]*",
    re.DOTALL,
)
"""PEM text, also in base64 as in a Kubernetes Secret."""

_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
"""A JSON web token. Its parts may be too short to be random words."""

_JSON_SECRET = re.compile(
    r'("\w{0,40}(?:secret|password|token)\w{0,40}"\s*:\s*)"(?:[^"\\]|\\.)*"?', re.IGNORECASE
)
"""A secret in JSON, for example in an application credential."""

_NAMED_SECRET = re.compile(
    r"""(?:secret|password|passwd|token)\w{0,40}["']?\s*[:=]\s*\S|\b(?:basic|bearer)\s+\S""",
    re.IGNORECASE,
)
"""A secret after its name in a value, or after the scheme of a header ``Authorization``."""

_CREDENTIALS = re.compile(
    r"\b(basic|bearer)\s+(?=\S*(?:[0-9+/=]|(?-i:[a-z][A-Z])))[\w.~+/=-]{8,}", re.IGNORECASE
)
"""Credentials after the scheme of a header ``Authorization``, and no word such as `realm`.

Base64 may have no digit, but then it mixes upper and lower case.
"""

_ASSIGNED = re.compile(
    r"""(secret|password|passwd|token)=(?:"[^"]*"|'[^']*'|[^\s&])[^\s&]*""", re.IGNORECASE
)
"""A secret after its name and an equals sign, as in a query or a file of variables.

Within quotes it may have spaces.
"""

NOT_SHOWN = "(not shown: it may be a secret)"
"""Replaces the name of a file, or another value, that may be a secret."""

MAX_PATH = 200
"""Characters of the name of a file in an error. A longer value is not a name but something else."""

_PATH = re.compile(r"[\w ./~@:+,=%-]+")
_WORD = re.compile(r"[A-Za-z0-9+=_-]{16,}")
_MIXED_WORD = re.compile(r"[A-Za-z0-9+/=_]{20,}")
_LONG_WORD = re.compile(
    r"[A-Za-z0-9+/=_-]{44,}(?:\s+(?:[A-Za-z0-9+/=_-]{16,}|[A-Za-z0-9+/]+={1,2}))*"
)
"""Words longer than a request ID of OpenStack, which errors must show, and further lines of PEM."""

_SHORT_WORD = re.compile(r"[\w.~+/=-]{1,7}")
"""A secret that may be a part of a token by chance."""

RANDOM_CHANGES = 0.25
"""Changes between upper case, lower case and digits per character of a random word.

The words of a path have less than 0.1, random hexadecimal digits 0.47, and base64 has 0.6.
"""

MIN_ENCODED_LENGTH = 8
"""Characters of a secret that is searched for encoded, too; a shorter one would match by chance."""


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace the secrets, and users and passwords in URLs, and PEM text by ``***``."""
    # The longest secret first, so that no part of it remains. A short word may be in the middle of
    # another secret, whose parts would not look like one.
    longest_first = sorted(secrets, key=len, reverse=True)
    words = [secret for secret in longest_first if _SHORT_WORD.fullmatch(secret)]
    for secret in longest_first:
        if secret not in words:
            text = text.replace(secret, REDACTED)
    text = _JWT.sub(REDACTED, _PEM.sub(REDACTED, text))
    text = _JSON_SECRET.sub(rf'\1"{REDACTED}"', text)
    text = _CREDENTIALS.sub(rf"\1 {REDACTED}", text)
    text = _ASSIGNED.sub(rf"\1={REDACTED}", text)
    text = _LONG_WORD.sub(_redacted_if_random, text)
    text = _USERINFO.sub(f"//{REDACTED}@", text)
    for secret in words:
        text = text.replace(secret, REDACTED)
    return text


def shown_file(path: str, written: str | None = None, *, may_be_secret: bool = False) -> str:
    """Return the name of a file for an error, or ``NOT_SHOWN``.

    The operator may have written a key, a token or a password where a setting expects the name of
    a file. The name of an existing file is shown, another one only if it looks like a path.

    Args:
        path: The name of the file.
        written: The part of it that was written in the settings; by default all of it.
        may_be_secret: True for settings in which a secret is the likely mistake: a single word is
            not shown, a path with a slash or a full stop is.
    """
    written = path if written is None else written
    if os.path.lexists(path) or looks_like_path(written, may_be_secret=may_be_secret):
        return escape(path)
    return NOT_SHOWN


def looks_like_path(value: str, *, may_be_secret: bool = False) -> bool:
    """Return True if a value looks like the name of a file, and not like a secret."""
    return (
        len(value) <= MAX_PATH
        and _PATH.fullmatch(value) is not None
        and _USERINFO.search(value) is None
        and _PASSWORD_IN_URL.search(value) is None
        and _NAMED_SECRET.search(value) is None
        and not value.startswith(("-----", "LS0tLS1"))
        and not any(map(_is_random, _WORD.findall(value)))
        and (not may_be_secret or "/" in value or "." in value)
    )


def looks_secret(text: str) -> bool:
    """Return True if a text may contain PEM text, a token, or a password with its name or user."""
    return (
        any(pattern.search(text) for pattern in (_PEM, _JWT, _NAMED_SECRET, _PASSWORD_IN_URL))
        or any(map(_is_random, _LONG_WORD.findall(text)))
        or any(_is_mixed(word) and _is_random(word) for word in _MIXED_WORD.findall(text))
    )


def looks_like_key(text: str) -> bool:
    """Return True if a text where a name of words is expected may be a secret.

    Unlike elsewhere, short hexadecimal digits may be one, too: no such name has them.
    """
    return looks_secret(text) or any(map(_is_random, _WORD.findall(text)))


def shown_value(text: str) -> str:
    """Return a value of a setting for an error, quoted, or ``NOT_SHOWN``."""
    return NOT_SHOWN if looks_secret(text) else repr(text)


def _is_mixed(word: str) -> bool:
    """Return True for base64; a UUID or a digest, which errors must show, has one case only."""
    kinds = (str.isupper, str.islower, str.isdigit)
    return all(any(map(is_kind, word)) for is_kind in kinds)


def _is_random(word: str) -> bool:
    """Return True for base64 and hexadecimal digits, False for words of a language."""
    kinds = [(char.isupper(), char.isdigit()) for char in word if char.isalnum()]
    changes = sum(one != other for one, other in pairwise(kinds))
    return changes > RANDOM_CHANGES * len(word)


def _redacted_if_random(match: re.Match[str]) -> str:
    return REDACTED if _is_random(match[0]) else match[0]


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
