from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.auth.base import AuthError, AuthToken
from exporter.auth.token_file import MAX_BYTES, TokenFileAuthenticator
from exporter.model.outcome import Failed
from exporter.transport.tls_files import ClientTls
from tests.support.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file with a token."""
    path = tmp_path / "token"
    path.write_text("first\r\n")
    return path


@pytest.fixture
def authenticator(path: Path, clock: FakeClock) -> TokenFileAuthenticator:
    return TokenFileAuthenticator("http://cloud", path, ClientTls(), clock)


def failure(act: Callable[[], AuthToken]) -> str:
    with pytest.raises(AuthError) as caught:
        act()
    assert caught.value.reason == "unauthorized"
    return caught.value.detail


def test_token_is_the_content_without_surrounding_white_space(
    authenticator: TokenFileAuthenticator,
) -> None:
    token = authenticator.token()
    assert (token.endpoint, token.value) == ("http://cloud", "first")
    assert (token.generation, token.expires_at) == (1, None)
    assert "first" not in repr(token) + repr(authenticator)
    assert authenticator.token() is token


def test_changed_file_is_read_after_one_second(
    authenticator: TokenFileAuthenticator, path: Path, clock: FakeClock
) -> None:
    first = authenticator.token()
    path.write_text("second")
    clock.advance(0.9)
    assert authenticator.token() is first
    clock.advance(0.1)
    assert (authenticator.token().value, authenticator.token().generation) == ("second", 2)
    path.touch()
    clock.advance(1)
    assert authenticator.token().generation == 2
    assert authenticator.stats().authentications == 2


def test_symbolic_link_that_is_switched_is_followed(tmp_path: Path, clock: FakeClock) -> None:
    """Kubernetes updates a mounted secret that way."""
    for number in (1, 2):
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}" / "token").write_text(f"token-{number}")
    data = tmp_path / "..data"
    data.symlink_to("..1")
    (tmp_path / "token").symlink_to("..data/token")
    authenticator = TokenFileAuthenticator("http://cloud", tmp_path / "token", ClientTls(), clock)
    assert authenticator.token().value == "token-1"
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(data)
    clock.advance(1)
    assert authenticator.token().value == "token-2"


def test_rejected_token_makes_the_file_be_read_at_once(
    authenticator: TokenFileAuthenticator, path: Path
) -> None:
    first = authenticator.token()
    assert failure(lambda: authenticator.renew(first)) == f"the token in {path} is refused"
    path.write_text("second")
    second = authenticator.renew(first)
    assert (second.value, second.generation) == ("second", 2)
    assert authenticator.renew(first) is second
    assert failure(lambda: authenticator.renew(second)) == f"the token in {path} is refused"


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
def test_invalid_token_is_refused_without_being_shown(
    authenticator: TokenFileAuthenticator, path: Path, clock: FakeClock, content: bytes, fault: str
) -> None:
    path.write_bytes(content)
    for _ in range(3):
        assert failure(authenticator.token) == f"token file {path} {fault}"
        clock.advance(1)
    assert (authenticator.stats().authentications, authenticator.stats().failures) == (1, 1)
    assert authenticator.stats().failure == Failed("unauthorized", f"token file {path} {fault}")
    path.write_text("good")
    clock.advance(1)
    assert authenticator.token().value == "good"
    assert authenticator.stats().failure is None


def test_token_that_returns_is_not_a_new_one(
    authenticator: TokenFileAuthenticator, path: Path, clock: FakeClock
) -> None:
    first = authenticator.token()
    path.rename(path.with_name("moved"))
    clock.advance(1)
    missing = f"token file {path} cannot be read: No such file or directory"
    assert failure(authenticator.token) == missing
    assert failure(lambda: authenticator.renew(first)) == missing
    path.with_name("moved").rename(path)
    clock.advance(1)
    assert authenticator.token() == first


def test_file_that_returns_after_a_directory_took_its_place_is_read(
    authenticator: TokenFileAuthenticator, path: Path, clock: FakeClock
) -> None:
    """Its fingerprint is the one of the last successful read."""
    first = authenticator.token()
    path.rename(path.with_name("moved"))
    path.mkdir()
    clock.advance(1)
    assert failure(authenticator.token) == f"token file {path} cannot be read: Is a directory"
    path.rmdir()
    path.with_name("moved").rename(path)
    clock.advance(1)
    assert authenticator.token() == first


def test_directory_is_refused(tmp_path: Path, clock: FakeClock) -> None:
    authenticator = TokenFileAuthenticator("http://cloud", tmp_path, ClientTls(), clock)
    assert failure(authenticator.token) == f"token file {tmp_path} cannot be read: Is a directory"
    authenticator.close()
