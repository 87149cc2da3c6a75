"""The state file on the disk: whole or not at all, of one owner and one process."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from exporter.redaction import shown_file
from exporter.state import file as file_module
from exporter.state.document import MAX_FILE_BYTES, InvalidStateError
from exporter.state.file import StateFile, StateFileError, check_state_file, locked_state_file

NOBODY = 65534


@pytest.fixture
def folder_of_nobody() -> Iterator[Path]:
    """Return a folder of this process, which has no access rights of root until the test ends.

    Only root can enter its ``tmp_path``.
    """
    is_root = os.geteuid() == 0
    with TemporaryDirectory() as folder:
        if is_root:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            os.chmod(folder, stat.S_IRWXU)
            if is_root:
                os.seteuid(0)


def interrupted() -> Iterator[bytes]:
    yield b"half"
    raise OSError(28, "No space left on device")


def test_content_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state")
    assert file.read() is None
    assert file.write([b"a", b"b"]) == 2
    assert file.read() == b"ab"
    assert os.listdir(tmp_path) == ["state"]


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state")
    before = os.umask(0)
    try:
        file.lock()
        file.write([b"a"])
    finally:
        os.umask(before)
        file.close()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"state": 0o600, "state.lock": 0o600}


def test_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state")
    file.write([b"old"])
    with pytest.raises(OSError, match="No space left"):
        file.write(interrupted())
    assert file.read() == b"old"
    assert os.listdir(tmp_path) == ["state"]


def test_process_killed_before_the_rename_leaves_the_old_content(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state")
    file.write([b"old"])
    child = os.fork()
    if child == 0:
        try:
            Path.replace = lambda *_: os._exit(9)  # type: ignore[method-assign]
            file.write([b"new"])
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert (tmp_path / "state.tmp").read_bytes() == b"new"
    assert file.read() == b"old"
    file.write([b"newer"])
    assert file.read() == b"newer"
    assert os.listdir(tmp_path) == ["state"]


def test_content_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, synced = StateFile(tmp_path / "state"), []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        synced.append((path.name, (tmp_path / "state").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    file.write([b"a"])
    assert synced == [("state.tmp", False), (tmp_path.name, True)]


def test_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "state.tmp").symlink_to(victim)
    StateFile(tmp_path / "state").write([b"a"])
    assert victim.read_text() == "precious"


def test_link_in_the_place_of_the_file_is_replaced(tmp_path: Path) -> None:
    """Whoever may make links in the folder must not choose which file is overwritten."""
    (tmp_path / "other").write_bytes(b"precious")
    (tmp_path / "state").symlink_to(tmp_path / "other")
    StateFile(tmp_path / "state").write([b"new"])
    assert (tmp_path / "other").read_bytes() == b"precious"
    assert not (tmp_path / "state").is_symlink()


def test_file_that_would_be_too_large_to_read_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "MAX_FILE_BYTES", 3)
    file = StateFile(tmp_path / "state")
    file.write([b"123"])
    with pytest.raises(OSError, match="File too large"):
        file.write([b"12", b"34"])
    assert file.read() == b"123"


def test_huge_file_is_refused_without_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "state"
    file.touch()
    os.truncate(file, MAX_FILE_BYTES + 1)
    monkeypatch.setattr(file_module, "read_regular_file", pytest.fail)
    with pytest.raises(InvalidStateError, match="it is larger than"):
        StateFile(file).read()


def test_second_exporter_with_the_same_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with (
        locked_state_file(path),
        pytest.raises(StateFileError) as error,
        locked_state_file(path),
    ):
        pass
    assert str(error.value) == (
        f"state.file: {path}: another exporter uses it; name a file of its own"
    )
    with locked_state_file(path) as file:
        assert file is not None


def test_check_needs_no_lock_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state"
    check_state_file(path)
    assert os.listdir(tmp_path) == []
    with locked_state_file(path):
        check_state_file(path)


def test_no_file_is_configured() -> None:
    check_state_file(None)
    with locked_state_file(None) as file:
        assert file is None


def unusable(folder: Path) -> dict[str, tuple[Path, str]]:
    """Return names that cannot be those of a state file, and why."""
    (folder / "folder").mkdir()
    (folder / "file").touch()
    os.mkfifo(folder / "fifo")
    (folder / "loop").symlink_to(folder / "loop")
    return {
        "missing folder": (folder / "missing" / "state", "does not exist; create it for the"),
        "folder": (folder / "folder", "Is a directory"),
        "FIFO": (folder / "fifo", "not a regular file"),
        "loop": (folder / "loop", "Too many levels of symbolic links"),
        "NUL": (folder / "a\0b", "embedded null"),
        "below a file": (folder / "file" / "state", "cannot be written to; give the"),
    }


@pytest.mark.parametrize(
    "case", ["missing folder", "folder", "FIFO", "loop", "NUL", "below a file"]
)
def test_name_that_cannot_be_used_is_an_error(case: str, tmp_path: Path) -> None:
    path, problem = unusable(tmp_path)[case]
    with pytest.raises(StateFileError) as error:
        StateFile(path).lock()
    name, text = f"state.file: {shown_file(str(path))}: ", str(error.value)
    assert text.startswith(name)
    assert problem in text.removeprefix(name)
    with pytest.raises(StateFileError):
        check_state_file(path)


def test_folder_that_cannot_be_written_to_is_an_error(folder_of_nobody: Path) -> None:
    folder_of_nobody.chmod(0o500)
    with pytest.raises(StateFileError, match="its folder cannot be written to"):
        check_state_file(folder_of_nobody / "state")


def test_file_that_cannot_be_read_is_an_error(folder_of_nobody: Path) -> None:
    (folder_of_nobody / "state").touch(0o200)
    with pytest.raises(StateFileError, match="Permission denied"):
        check_state_file(folder_of_nobody / "state")


def test_name_that_may_be_a_secret_is_not_shown() -> None:
    with pytest.raises(StateFileError) as error:
        check_state_file(Path("Zm9vYmFyYmF6cXV4cXV1eGNvcmdl/c2VjcmV0IHBhc3N3b3Jk"))
    assert "Zm9v" not in str(error.value)


def test_file_is_set_aside(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state")
    file.write([b"foreign"])
    assert file.set_aside() == tmp_path / "state.unusable"
    assert file.read() is None
    assert (tmp_path / "state.unusable").read_bytes() == b"foreign"
