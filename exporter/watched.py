"""A file that is looked at now and then, to see whether it is another one."""

import os
from collections.abc import Iterable
from pathlib import Path

_Print = tuple[int, int, int, int] | None


class WatchedFile:
    """Tells when a file has changed, and has been left alone since the look before.

    A file that is swapped by a symbolic link above it, as Kubernetes does, is another one. A file
    that is just being written is not taken for one that has changed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = self._seen = self._look()

    def changed(self) -> bool:
        """Whether it is another file, or another content, than when this was last so."""
        before, self._seen = self._seen, self._look()
        if self._seen == self._known or self._seen != before:
            return False
        self._known = self._seen
        return True

    def _look(self) -> _Print:
        try:
            found = os.stat(self._path)  # follows links, as the reader will
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class WatchedFiles:
    """Tells when any of several files has changed, as `WatchedFile` does."""

    def __init__(self, paths: Iterable[Path] = ()) -> None:
        self._files: dict[Path, WatchedFile] = {}
        self.watch(paths)

    def watch(self, paths: Iterable[Path]) -> None:
        """Looks at these files from now on; those that were watched before go on as they are."""
        self._files = {path: self._files.get(path) or WatchedFile(path) for path in paths}

    def changed(self) -> bool:
        """Whether one of them has changed."""
        # Each of them is looked at, also after one that has.
        return True in {file.changed() for file in self._files.values()}
