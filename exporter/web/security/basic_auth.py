"""HTTP basic authentication against bcrypt hashes, with a cache of verified passwords."""

import base64
import binascii
import hashlib
import hmac
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping

import bcrypt

CACHE_SIZE = 256
"""Verified passwords in the cache, so that not every scrape has to compute bcrypt."""

BCRYPT_BYTES = 72
"""Bytes of a password that bcrypt uses."""


class Users:
    """Users and the bcrypt hashes of their passwords; thread-safe."""

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = {
            user.encode(): password_hash.encode() for user, password_hash in hashes.items()
        }
        self._names = sorted(self._hashes)
        self._secret = os.urandom(32)
        self._lock = threading.Lock()
        self._verified: OrderedDict[bytes, None] = OrderedDict()

    def __bool__(self) -> bool:
        """Return True if there are users. Without users, no authentication is required."""
        return bool(self._hashes)

    def __eq__(self, other: object) -> bool:
        """Return True for the same users with the same hashes."""
        return isinstance(other, Users) and self._hashes == other._hashes

    __hash__ = None  # type: ignore[assignment]  # not needed

    def is_cached(self, user: bytes, password: bytes) -> bool:
        """Return True if the password was verified before. Does not compute bcrypt."""
        key = self._cache_key(user, password)
        with self._lock:
            if key not in self._verified:
                return False
            self._verified.move_to_end(key)
            return True

    def verify(self, user: bytes, password: bytes) -> bool:
        """Return True if the password is correct.

        For an unknown user the hash of another user is compared, so that the time does not reveal
        which users exist. It is always the same hash, because hashes may differ in their cost.
        """
        if self.is_cached(user, password):
            return True
        password_hash = self._hashes.get(user)
        compared_hash = self._decoy_hash(user) if password_hash is None else password_hash
        matches = _matches(password, compared_hash)
        if password_hash is None or not matches:
            return False
        with self._lock:
            self._verified[self._cache_key(user, password)] = None
            if len(self._verified) > CACHE_SIZE:
                self._verified.popitem(last=False)
        return True

    def _decoy_hash(self, user: bytes) -> bytes:
        index = int.from_bytes(self._digest(user)[:8], "big") % len(self._names)
        return self._hashes[self._names[index]]

    def _cache_key(self, user: bytes, password: bytes) -> bytes:
        # Prefix the length so that ("ab", "c") and ("a", "bc") get different keys.
        return self._digest(b"%d:%b%b" % (len(user), user, password))

    def _digest(self, text: bytes) -> bytes:
        return hmac.digest(self._secret, text, hashlib.sha256)


def parse_basic_auth(authorization: bytes) -> tuple[bytes, bytes] | None:
    """Return user and password of an Authorization header, or None for another scheme."""
    scheme, _, encoded = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error:
        return None
    user, colon, password = decoded.partition(b":")
    return (user, password) if colon else None


def _matches(password: bytes, password_hash: bytes) -> bool:
    # bcrypt rejects passwords over 72 bytes; the programs that create hashes truncate them.
    return bcrypt.checkpw(password[:BCRYPT_BYTES], password_hash)
