"""The state file on the disk: one process writes it, and each write replaces it as a whole."""

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.files import check_type, read_regular_file
from exporter.redaction import shown_file
from exporter.state.document import MAX_FILE_BYTES, check_size

OWNER_ONLY = 0o600

_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_LOCK = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class StateFileError(Exception):
    """The state file cannot be used. The text names the file and says why."""


class StateFile:
    """A state file and its lock.

    Three names beside the file are used as well: ``.lock`` for the lock, ``.tmp`` for a write in
    progress, and ``.unusable`` for a file that was set aside.

    Attributes:
        path: The name of the file.
        name: The setting and the name, for errors.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = f"state.file: {shown_file(str(path))}"
        self._lock: int | None = None

    def check(self) -> None:
        """Check that the file can be written; change nothing.

        Raises:
            StateFileError: It cannot be written.
        """
        try:
            folder = self.path.parent
            if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
                folder.stat()  # raises an error that says more for a missing folder
                raise StateFileError(
                    f"{self.name}: its folder cannot be written to; give the exporter's user access"
                )
            if (status := self._status()) is None:
                return
            check_type(status)
            if not os.access(self.path, os.R_OK, effective_ids=True):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except FileNotFoundError:
            raise StateFileError(
                f"{self.name}: its folder does not exist; create it for the exporter's user"
            ) from None
        except (OSError, ValueError) as error:
            raise self._error(error) from None

    def lock(self) -> None:
        """Check the file, and lock it until ``close`` or the end of the process.

        Raises:
            StateFileError: It cannot be written, or another process has locked it.
        """
        self.check()
        try:
            descriptor = os.open(self._beside("lock"), _LOCK, OWNER_ONLY)
        except OSError as error:
            raise self._error(error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno == errno.EWOULDBLOCK:
                raise StateFileError(
                    f"{self.name}: another exporter uses it; name a file of its own"
                ) from None
            raise self._error(error) from None
        self._lock = descriptor

    def read(self) -> bytes | None:
        """Return the content, or None without a file.

        Raises:
            StateFileError: It cannot be read.
            InvalidStateError: It is larger than any state file.
        """
        try:
            # Memory is reserved for as much as may be read.
            size = self.path.stat().st_size
            check_size(size)
            content, _ = read_regular_file(self.path, size + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error(error) from None
        return content

    def write(self, pieces: Iterable[bytes]) -> int:
        """Replace the file; return its size. A failure leaves the old file.

        Raises:
            OSError: It cannot be written.
        """
        temporary = self._beside("tmp")
        # An earlier process may have been killed in the middle of a write.
        temporary.unlink(missing_ok=True)
        size = 0
        try:
            with open(os.open(temporary, _WRITE, OWNER_ONLY), "wb") as file:
                for piece in pieces:
                    size += file.write(piece)
                    if size > MAX_FILE_BYTES:
                        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(self.path.parent)
        return size

    def set_aside(self) -> Path:
        """Rename the file, so that it is not replaced; return its new name.

        Raises:
            StateFileError: It cannot be renamed.
        """
        try:
            return self.path.replace(self._beside("unusable"))
        except OSError as error:
            raise self._error(error) from None

    def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _status(self) -> os.stat_result | None:
        # Path.exists is also False for names that cannot be used.
        try:
            return self.path.stat()
        except FileNotFoundError:
            return None

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{suffix}")

    def _error(self, error: OSError | ValueError) -> StateFileError:
        reason = error.strerror if isinstance(error, OSError) else None
        return StateFileError(f"{self.name}: {reason or error}")


def _sync_folder(folder: Path) -> None:
    """Let the new name survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_state_file(path: Path | None) -> None:
    """Check that the configured file, if there is one, can be written; change nothing.

    Raises:
        StateFileError: It cannot be written.
    """
    if path is not None:
        StateFile(path).check()


@contextmanager
def locked_state_file(path: Path | None) -> Iterator[StateFile | None]:
    """Lock the configured file, if there is one, until the context ends.

    Raises:
        StateFileError: It cannot be written, or another process has locked it.
    """
    if path is None:
        yield None
        return
    file = StateFile(path)
    file.lock()
    try:
        yield file
    finally:
        file.close()
