"""Who may come in: users with passwords, of which only bcrypt hashes are known."""

import base64
import binascii
import hashlib
import hmac
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping

import bcrypt

REMEMBERED = 256
"""Right passwords that are remembered, so that bcrypt is not paid for with every scrape."""

SIGNIFICANT = 72
"""Bytes of a password that bcrypt looks at."""


class Users:
    """Checks users and passwords; thread-safe.

    ``hashes`` has the bcrypt hash of each user's password, by the user's name.
    """

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = {user.encode(): known.encode() for user, known in hashes.items()}
        self._places = sorted(self._hashes)
        self._secret = os.urandom(32)
        self._lock = threading.Lock()
        self._right: OrderedDict[bytes, None] = OrderedDict()

    def __bool__(self) -> bool:
        """Whether there are any: without users, all come in."""
        return bool(self._hashes)

    def __eq__(self, other: object) -> bool:
        """Whether they are the same users with the same passwords."""
        return isinstance(other, Users) and self._hashes == other._hashes

    __hash__ = None  # type: ignore[assignment]  # nobody needs it

    def remembers(self, user: bytes, password: bytes) -> bool:
        """Whether the password was found to be right before; takes no time to speak of."""
        key = self._key(user, password)
        with self._lock:
            if key not in self._right:
                return False
            self._right.move_to_end(key)
            return True

    def check(self, user: bytes, password: bytes) -> bool:
        """Whether the password is right; takes as long as bcrypt does, whoever the user is.

        For a user that is not there, another one's hash is compared, always the same one, since
        hashes may differ in what they cost.
        """
        if self.remembers(user, password):
            return True
        known = self._hashes.get(user)
        is_right = _matches(password, self._stand_in(user) if known is None else known)
        if known is None or not is_right:
            return False
        with self._lock:
            self._right[self._key(user, password)] = None
            if len(self._right) > REMEMBERED:
                self._right.popitem(last=False)
        return True

    def _stand_in(self, user: bytes) -> bytes:
        place = int.from_bytes(self._digest(user)[:8], "big") % len(self._places)
        return self._hashes[self._places[place]]

    def _key(self, user: bytes, password: bytes) -> bytes:
        # The length keeps apart what would be the same text in a row.
        return self._digest(b"%d:%b%b" % (len(user), user, password))

    def _digest(self, text: bytes) -> bytes:
        return hmac.digest(self._secret, text, hashlib.sha256)


def credentials(authorization: bytes) -> tuple[bytes, bytes] | None:
    """The user and password in an Authorization header of the Basic scheme; None in any other."""
    scheme, _, encoded = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error:
        return None
    user, colon, password = decoded.partition(b":")
    return (user, password) if colon else None


def _matches(password: bytes, known: bytes) -> bool:
    # More than that bcrypt refuses to look at, and others, which made the hash, cut off.
    return bcrypt.checkpw(password[:SIGNIFICANT], known)
