"""Files that an operator names: reading them without waiting, and detecting their changes.

Opening a FIFO waits for a writer, and a device has no end: only regular files are read. Changes are
detected by polling metadata.
"""

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

NOT_REGULAR = "not a regular file"


def read_regular_file(path: Path, limit: int) -> tuple[bytes, os.stat_result]:
    """Return at most ``limit`` bytes of a file, and the status of the file they are from.

    Raises:
        OSError: The file cannot be read, or is a folder, a FIFO, a socket or a device.
        ValueError: No file can have this name.
    """
    # Opening a device can have effects of its own, so check before opening, too. The path may lead
    # to another file afterwards.
    check_type(path.stat())
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        check_type(status)
        content: bytes | None = file.read(limit)
        if content is None:  # some files of /proc claim to be regular, but wait for content
            raise OSError(errno.EINVAL, NOT_REGULAR)
        return content, status


def check_type(status: os.stat_result) -> None:
    """Check that a status is that of a regular file.

    Raises:
        OSError: It is that of something else.
    """
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, NOT_REGULAR)


class FileFingerprint(NamedTuple):
    """Metadata that changes when a file is replaced or written to, or becomes readable."""

    device: int
    inode: int
    size: int
    modified_ns: int
    mode: int
    owner: int
    group: int


def fingerprint(status: os.stat_result) -> FileFingerprint:
    """Return the fingerprint of a file from the result of ``os.stat`` or ``os.fstat``."""
    return FileFingerprint(
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_mode,
        status.st_uid,
        status.st_gid,
    )


class WatchedFile:
    """Reports a change once the file has been stable between two checks.

    A file replaced by switching a symbolic link above it, as Kubernetes does, has changed. A file
    that is still being written has not.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reported = self._previous = self._fingerprint()

    def changed(self) -> bool:
        """Return True if the file is stable and differs from the one last reported."""
        previous, self._previous = self._previous, self._fingerprint()
        if self._previous == self._reported or self._previous != previous:
            return False
        self._reported = self._previous
        return True

    def _fingerprint(self) -> FileFingerprint | None:
        try:
            return fingerprint(os.stat(self._path))  # follows links, as the reader will
        except (OSError, ValueError):  # ValueError: not a valid name
            return None


class WatchedFiles:
    """A set of watched files that reports when any of them has changed."""

    def __init__(self, paths: Iterable[Path] = ()) -> None:
        self._files: dict[Path, WatchedFile] = {}
        self.watch(paths)

    def watch(self, paths: Iterable[Path]) -> None:
        """Watch exactly these files; the state of those already watched is kept."""
        self._files = {path: self._files.get(path) or WatchedFile(path) for path in paths}

    def add(self, paths: Iterable[Path]) -> None:
        """Watch these files as well."""
        self.watch([*self._files, *paths])

    @property
    def paths(self) -> tuple[Path, ...]:
        """The watched files."""
        return tuple(self._files)

    def changed(self) -> bool:
        """Return True if any file has changed."""
        # Check every file, also after one has changed: each check updates the file's state.
        return True in {file.changed() for file in self._files.values()}
