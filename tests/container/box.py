"""An image's program, run as a container engine would: see first_process.py."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.wait import wait_until

FIRST_PROCESS = Path(__file__).with_name("first_process.py")
AS_ROOT = () if os.geteuid() == 0 else ("sudo", "-n")
"""What commands that need root begin with."""


@dataclass(frozen=True)
class Image:
    """An image that was built: its files, its configuration in Docker's words, its layers' bytes.

    The last layer is the exporter's, those before it are the base image's.
    """

    root: Path
    config: Mapping[str, Any]
    layers: tuple[int, ...]

    @property
    def environ(self) -> dict[str, str]:
        """The environment that its programs get."""
        return dict(each.split("=", 1) for each in self.config["Env"])

    @property
    def user(self) -> int:
        """The number of its user, who is in the group of the same number."""
        user, group = map(int, self.config["User"].split(":"))
        assert user == group
        return user


@dataclass
class Box:
    """A container: namespaces of its own for processes, files and the network.

    ``mounted`` are files from outside, by their place inside. ``log`` has what it said so far.
    ``user`` is another user than the image's.
    """

    image: Image
    words: Sequence[str]
    log: Path
    mounted: Mapping[str, Path] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    user: int | None = None

    def __enter__(self) -> Self:
        """Start the image's entry point with these words."""
        argv = [*self.image.config["Entrypoint"], *(self.words or self.image.config["Cmd"])]
        namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child=KILL", "--"]
        with self.log.open("wb") as log:
            self._outer = subprocess.Popen(
                [*AS_ROOT, *namespaces, *self._inner(argv, new=True)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._has_started)
        return self

    def _has_started(self) -> bool:
        try:
            return self.pid > 0
        except (OSError, IndexError, ValueError, AssertionError):
            assert self._outer.poll() is None, self.log.read_text()
            return False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it, whatever it does."""
        while self._outer.poll() is None:
            # Its first process may not have started yet, or have ended just now.
            with suppress(OSError, IndexError, ValueError, AssertionError):
                subprocess.run([*AS_ROOT, "kill", "-KILL", str(self.pid)], check=False)
            with suppress(subprocess.TimeoutExpired):
                self._outer.wait(0.5)

    @property
    def pid(self) -> int:
        """Its first process, as this machine counts."""
        # It is unshare's child, and unshare may be sudo's.
        found = _descendants(self._outer.pid)
        names = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in found]
        assert names[-1] != "unshare", f"it has ended: {self.log.read_text()}"
        return found[names.index("unshare") + 1]

    def status(self) -> str:
        """What the kernel says of its first process."""
        return Path(f"/proc/{self.pid}/status").read_text()

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Start a program of the image in the box, as its own user; it ends with the box."""
        entered = ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", "--"]
        return subprocess.Popen(
            [*AS_ROOT, *entered, *self._inner(argv, new=False)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *argv: str) -> tuple[int, str]:
        """What a program of the image ends with in the box, and what it said."""
        with self.start(*argv) as process:
            said, _ = process.communicate(timeout=60)
        return process.returncode, said

    def get(self, path: str, port: int = 10292) -> str | None:
        """A page, as a program in the box gets it; ``None`` without an answer of 200."""
        code = f"""
from urllib.request import urlopen
print(urlopen('http://127.0.0.1:{port}{path}', timeout=10).read().decode())"""
        status, said = self.run("python", "-c", code)
        return said if status == 0 else None

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send its first process a signal, and return its exit status.

        It has ten seconds, after which engines kill who has not ended.
        """
        subprocess.run([*AS_ROOT, "kill", f"-{number.value}", str(self.pid)], check=True)
        return self._outer.wait(10)

    def _inner(self, argv: Sequence[str], *, new: bool) -> list[str]:
        asked = {
            "new": new,
            "argv": list(argv),
            "environ": {**self.image.environ, **self.environ},
            "user": self.image.user if self.user is None else self.user,
            "root": str(self.image.root),
            "mounted": {inside: str(outside) for inside, outside in self.mounted.items()},
        }
        return [sys.executable, str(FIRST_PROCESS), json.dumps(asked)]


def _descendants(pid: int) -> list[int]:
    """A process, its child, its grandchild and so on, in a family where each has one child."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(_descendants(int(children[0])) if children else ())]
