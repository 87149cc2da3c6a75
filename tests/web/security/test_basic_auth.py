"""Correct and wrong passwords, unknown users, and the time of each."""

import base64
import time
from collections.abc import Callable

import bcrypt
import pytest

from exporter.web.security.basic_auth import CACHE_SIZE, Users, parse_basic_auth
from tests.support.web_config import PASSWORD, PASSWORD_HASH, USER

CREDENTIALS = (USER.encode(), PASSWORD.encode())


@pytest.fixture
def compared_hashes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Hashes that bcrypt was called with."""
    hashes: list[bytes] = []
    real = bcrypt.checkpw

    def check(password: bytes, password_hash: bytes) -> bool:
        hashes.append(password_hash)
        return real(password, password_hash)

    monkeypatch.setattr("exporter.web.security.basic_auth.bcrypt.checkpw", check)
    return hashes


@pytest.mark.parametrize(
    ("user", "password", "right"),
    [
        (USER, PASSWORD, True),
        (USER, PASSWORD.upper(), False),
        (USER, "", False),
        (USER, f"{PASSWORD}\0", False),
        (USER.upper(), PASSWORD, False),
        ("", PASSWORD, False),
        ("nobody", PASSWORD, False),
    ],
)
def test_only_the_right_password_of_an_existing_user_is_accepted(
    user: str, password: str, right: bool
) -> None:
    assert Users({USER: PASSWORD_HASH}).verify(user.encode(), password.encode()) is right


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
def test_hash_prefixes_of_other_programs_are_accepted(prefix: str) -> None:
    assert Users({USER: f"{prefix}{PASSWORD_HASH[4:]}"}).verify(*CREDENTIALS)


def test_password_is_truncated_to_72_bytes() -> None:
    """The programs that create the hashes truncate it too."""
    long = b"x" * 100
    users = Users({USER: bcrypt.hashpw(long[:72], bcrypt.gensalt(4)).decode()})
    assert users.verify(USER.encode(), long)
    assert not users.verify(USER.encode(), long[:71])


def test_only_correct_passwords_are_cached(compared_hashes: list[bytes]) -> None:
    users = Users({USER: PASSWORD_HASH})
    assert not users.is_cached(*CREDENTIALS)
    assert [users.verify(*CREDENTIALS) for _ in range(3)] == [True] * 3
    assert users.is_cached(*CREDENTIALS)
    assert len(compared_hashes) == 1
    for _ in range(3):
        assert not users.verify(USER.encode(), b"wrong")
    assert len(compared_hashes) == 4
    assert not users.is_cached(b"dav", b"edave123")


def test_cache_drops_the_least_recently_used_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.web.security.basic_auth.bcrypt.checkpw", lambda *_: True)
    users = Users({str(number): PASSWORD_HASH for number in range(CACHE_SIZE + 1)})
    for number in range(CACHE_SIZE):
        users.verify(b"%d" % number, b"")
    assert users.is_cached(b"0", b"")
    users.verify(b"%d" % CACHE_SIZE, b"")
    assert users.is_cached(b"0", b"")
    assert not users.is_cached(b"1", b"")


def test_unknown_user_is_compared_with_one_fixed_hash(compared_hashes: list[bytes]) -> None:
    """A different time would reveal which users exist."""
    users = Users({str(number): PASSWORD_HASH[:-1] + "eO"[number % 2] for number in range(8)})
    for name in (b"a", b"b", b"c"):
        for _ in range(3):
            assert not users.verify(name, b"")
    by_name = [set(compared_hashes[place : place + 3]) for place in (0, 3, 6)]
    assert [len(hashes) for hashes in by_name] == [1, 1, 1]
    assert len(compared_hashes) == 9


def cost(check: Callable[[], bool], times: int = 5) -> float:
    """Return the least processor time of a check in seconds."""

    def once() -> float:
        started = time.thread_time()
        check()
        return time.thread_time() - started

    return min(once() for _ in range(times))


def test_unknown_user_takes_as_long_as_a_wrong_password() -> None:
    """Measured in processor time, so that a busy machine does not matter."""
    users = Users({USER: bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(9)).decode()})
    password = cost(lambda: users.verify(USER.encode(), b"wrong"))
    user = cost(lambda: users.verify(b"nobody", b"wrong"))
    assert 0.5 < user / password < 2


@pytest.mark.parametrize(
    ("header", "credentials"),
    [
        (b"Basic " + base64.b64encode(b"a:b"), (b"a", b"b")),
        (b"basic  " + base64.b64encode(b"a:b:c") + b" ", (b"a", b"b:c")),
        (b"Basic " + base64.b64encode(b":"), (b"", b"")),
        (b"Basic " + base64.b64encode(b"ab"), None),
        (b"Basic !!!", None),
        (b"Basic", None),
        (b"Bearer " + base64.b64encode(b"a:b"), None),
        (b"", None),
    ],
)
def test_parse_basic_auth(header: bytes, credentials: tuple[bytes, bytes] | None) -> None:
    assert parse_basic_auth(header) == credentials
