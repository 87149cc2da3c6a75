"""Passwords: right, wrong, of nobody, and what they cost."""

import base64
import time
from collections.abc import Callable

import bcrypt
import pytest

from exporter.web.security.basic_auth import CACHE_SIZE, Users, parse_basic_auth
from tests.support.web_config import PASSWORD, PASSWORD_HASH, USER

RIGHT = (USER.encode(), PASSWORD.encode())


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The hashes that bcrypt was asked about."""
    asked: list[bytes] = []
    real = bcrypt.checkpw

    def check(password: bytes, known: bytes) -> bool:
        asked.append(known)
        return real(password, known)

    monkeypatch.setattr("exporter.web.security.basic_auth.bcrypt.checkpw", check)
    return asked


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
def test_who_is_let_in(user: str, password: str, right: bool) -> None:
    """A user that is there with the right password, and nobody else."""
    assert Users({USER: PASSWORD_HASH}).verify(user.encode(), password.encode()) is right


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
def test_hashes_of_other_programs(prefix: str) -> None:
    """Whatever a program called the kind of hash, it is checked."""
    assert Users({USER: f"{prefix}{PASSWORD_HASH[4:]}"}).verify(*RIGHT)


def test_a_long_password_counts_as_far_as_bcrypt_looks() -> None:
    """What made the hash cut it off after 72 bytes, and so does this."""
    long = b"x" * 100
    users = Users({USER: bcrypt.hashpw(long[:72], bcrypt.gensalt(4)).decode()})
    assert users.verify(USER.encode(), long)
    assert not users.verify(USER.encode(), long[:71])


def test_a_right_password_is_remembered_and_a_wrong_one_is_not(checked: list[bytes]) -> None:
    """Bcrypt is paid for once; a wrong password is checked each time."""
    users = Users({USER: PASSWORD_HASH})
    assert not users.is_cached(*RIGHT)
    assert [users.verify(*RIGHT) for _ in range(3)] == [True] * 3
    assert users.is_cached(*RIGHT)
    assert len(checked) == 1
    for _ in range(3):
        assert not users.verify(USER.encode(), b"wrong")
    assert len(checked) == 4
    assert not users.is_cached(b"dav", b"edave123")


def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were used last."""
    monkeypatch.setattr("exporter.web.security.basic_auth.bcrypt.checkpw", lambda *_: True)
    users = Users({str(number): PASSWORD_HASH for number in range(CACHE_SIZE + 1)})
    for number in range(CACHE_SIZE):
        users.verify(b"%d" % number, b"")
    assert users.is_cached(b"0", b"")
    users.verify(b"%d" % CACHE_SIZE, b"")
    assert users.is_cached(b"0", b"")
    assert not users.is_cached(b"1", b"")


def test_a_user_that_is_not_there_costs_one_hash(checked: list[bytes]) -> None:
    """Always the same one of those that are there, so that time tells nothing."""
    users = Users({str(number): PASSWORD_HASH[:-1] + "eO"[number % 2] for number in range(8)})
    for name in (b"a", b"b", b"c"):
        for _ in range(3):
            assert not users.verify(name, b"")
    by_name = [set(checked[place : place + 3]) for place in (0, 3, 6)]
    assert [len(each) for each in by_name] == [1, 1, 1]
    assert len(checked) == 9


def cost(check: Callable[[], bool], times: int = 5) -> float:
    """The least processor time that a check took, in seconds."""

    def once() -> float:
        begun = time.thread_time()
        check()
        return time.thread_time() - begun

    return min(once() for _ in range(times))


def test_a_wrong_user_costs_as_much_as_a_wrong_password() -> None:
    """Processor time, so that a busy machine does not count."""
    users = Users({USER: bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(9)).decode()})
    password = cost(lambda: users.verify(USER.encode(), b"wrong"))
    user = cost(lambda: users.verify(b"nobody", b"wrong"))
    assert 0.5 < user / password < 2


@pytest.mark.parametrize(
    ("header", "found"),
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
def test_credentials(header: bytes, found: tuple[bytes, bytes] | None) -> None:
    """Of the Basic scheme, whatever its case; anything else is none."""
    assert parse_basic_auth(header) == found
