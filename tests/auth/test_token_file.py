"""Tests of exporter.glance.token_file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.auth.base import AuthError, AuthToken
from exporter.auth.token_file import MAX_BYTES, TokenFileAuthenticator
from exporter.transport.tls_files import ClientTls
from tests.support.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """Time as the tests let it pass."""
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with a token."""
    path = tmp_path / "token"
    path.write_text("first\r\n")
    return path


@pytest.fixture
def signin(path: Path, clock: FakeClock) -> TokenFileAuthenticator:
    """A sign-in with that file."""
    return TokenFileAuthenticator("http://cloud", path, ClientTls(), clock)


def refused(act: Callable[[], AuthToken]) -> str:
    """How it fails."""
    with pytest.raises(AuthError) as caught:
        act()
    assert caught.value.reason == "unauthorized"
    return caught.value.detail


def test_the_token_is_what_the_file_holds(signin: TokenFileAuthenticator) -> None:
    """White space around it is no part of it, and it is not shown."""
    credential = signin.token()
    assert (credential.endpoint, credential.value) == ("http://cloud", "first")
    assert (credential.generation, credential.expires_at) == (1, None)
    assert "first" not in repr(credential) + repr(signin)
    assert signin.token() is credential


def test_a_file_that_is_written_anew(
    signin: TokenFileAuthenticator, path: Path, clock: FakeClock
) -> None:
    """The new token is seen after a second, not before, and has the next generation."""
    first = signin.token()
    path.write_text("second")
    clock.advance(0.9)
    assert signin.token() is first
    clock.advance(0.1)
    assert (signin.token().value, signin.token().generation) == ("second", 2)
    path.touch()
    clock.advance(1)
    assert signin.token().generation == 2
    assert signin.stats().authentications == 2


def test_a_mounted_secret(tmp_path: Path, clock: FakeClock) -> None:
    """As Kubernetes does it: the file is a link through a link to a folder that is swapped."""
    for number in (1, 2):
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}" / "token").write_text(f"token-{number}")
    data = tmp_path / "..data"
    data.symlink_to("..1")
    (tmp_path / "token").symlink_to("..data/token")
    signin = TokenFileAuthenticator("http://cloud", tmp_path / "token", ClientTls(), clock)
    assert signin.token().value == "token-1"
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(data)
    clock.advance(1)
    assert signin.token().value == "token-2"


def test_a_401_has_the_file_read_at_once(signin: TokenFileAuthenticator, path: Path) -> None:
    """A token that was written this very second is found; an unchanged one is refused."""
    first = signin.token()
    assert refused(lambda: signin.renew(first)) == f"the token in {path} is refused"
    path.write_text("second")
    second = signin.renew(first)
    assert (second.value, second.generation) == ("second", 2)
    assert signin.renew(first) is second
    assert refused(lambda: signin.renew(second)) == f"the token in {path} is refused"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b" \r\n", "is empty"),
        (b"a\r\nX-Forged: 1", "contains white space, control or non-ASCII characters"),
        (b"t\xc3\xb6ken", "contains white space, control or non-ASCII characters"),
        (b"a\x00b", "contains white space, control or non-ASCII characters"),
        (b"a" * (MAX_BYTES + 1), "holds more than 64 KiB"),
    ],
)
def test_what_is_no_token(
    signin: TokenFileAuthenticator, path: Path, clock: FakeClock, content: bytes, fault: str
) -> None:
    """It is refused without being shown, and the token that follows it is taken."""
    path.write_bytes(content)
    for _ in range(3):
        assert refused(signin.token) == f"token file {path} {fault}"
        clock.advance(1)
    assert (signin.stats().authentications, signin.stats().failures) == (1, 1)
    assert signin.stats().failure == f"unauthorized: token file {path} {fault}"
    path.write_text("good")
    clock.advance(1)
    assert signin.token().value == "good"
    assert signin.stats().failure is None


def test_a_file_that_comes_back_as_it_was(
    signin: TokenFileAuthenticator, path: Path, clock: FakeClock
) -> None:
    """A token that is only away for a while is no new one."""
    first = signin.token()
    path.rename(path.with_name("away"))
    clock.advance(1)
    missing = f"token file {path} cannot be read: No such file or directory"
    assert refused(signin.token) == missing
    assert refused(lambda: signin.renew(first)) == missing
    path.with_name("away").rename(path)
    clock.advance(1)
    assert signin.token() == first


def test_a_folder_is_no_file(tmp_path: Path, clock: FakeClock) -> None:
    """What could not be read, or would never end, is not opened."""
    signin = TokenFileAuthenticator("http://cloud", tmp_path, ClientTls(), clock)
    assert refused(signin.token) == f"token file {tmp_path} is not a regular file"
    signin.close()
