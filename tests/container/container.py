"""A container without a container engine: namespaces, chroot and dropped privileges."""

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

from tests.support.program import BOUND
from tests.support.wait import wait_until

FIRST_PROCESS = Path(__file__).with_name("first_process.py")
AS_ROOT = () if os.geteuid() == 0 else ("sudo", "-n")
"""The start of commands that need root."""


@dataclass(frozen=True)
class Image:
    """A built image: its files, its configuration in Docker's format, its layers' sizes.

    The last layer is the exporter's, the others are the base image's.
    """

    root: Path
    config: Mapping[str, Any]
    layers: tuple[int, ...]

    @property
    def environ(self) -> dict[str, str]:
        """Return the environment variables of its programs."""
        return dict(variable.split("=", 1) for variable in self.config["Env"])

    @property
    def user(self) -> int:
        """Return the ID of its user, which is also the ID of its group."""
        user, group = map(int, self.config["User"].split(":"))
        assert user == group
        return user


@dataclass
class Container:
    """A container with its own namespaces for processes, files and the network.

    Attributes:
        image: the image whose entry point it runs.
        arguments: the arguments of the entry point; by default those of the image.
        log: the file with the output of its first process.
        mounted: files of the host, by their path in the container.
        environ: additional environment variables.
        user: the user to run as; by default that of the image.
    """

    image: Image
    arguments: Sequence[str]
    log: Path
    mounted: Mapping[str, Path] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    user: int | None = None

    def __enter__(self) -> Self:
        """Start the image's entry point."""
        argv = [*self.image.config["Entrypoint"], *(self.arguments or self.image.config["Cmd"])]
        namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child=KILL", "--"]
        with self.log.open("wb") as log:
            self._outer = subprocess.Popen(
                [*AS_ROOT, *namespaces, *self._command(argv, is_new=True)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._has_started)
        return self

    def _has_started(self) -> bool:
        """Return True once the mounts are set up: the user changes after that."""
        try:
            return f"Uid:\t{self._user}\t" in self.status()
        except (OSError, IndexError, ValueError, AssertionError):
            assert self._outer.poll() is None, self.log.read_text()
            return False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Kill all its processes."""
        while self._outer.poll() is None:
            # Its first process may not have started yet, or may have ended just now.
            with suppress(OSError, IndexError, ValueError, AssertionError):
                subprocess.run([*AS_ROOT, "kill", "-KILL", str(self.pid)], check=False)
            with suppress(subprocess.TimeoutExpired):
                self._outer.wait(0.5)

    @property
    def _user(self) -> int:
        return self.image.user if self.user is None else self.user

    @property
    def pid(self) -> int:
        """Return the PID of its first process on the host."""
        # It is a child of unshare, which may be a child of sudo.
        pids = _descendants(self._outer.pid)
        names = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids]
        assert names[-1] != "unshare", f"the container has exited: {self.log.read_text()}"
        return pids[names.index("unshare") + 1]

    def status(self) -> str:
        """Return ``/proc/PID/status`` of its first process."""
        return Path(f"/proc/{self.pid}/status").read_text()

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Start another program in the container, as its user; it ends with the container."""
        nsenter = ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", "--"]
        return subprocess.Popen(
            [*AS_ROOT, *nsenter, *self._command(argv, is_new=False)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *argv: str) -> tuple[int, str]:
        """Run another program in the container; return its exit status and output."""
        with self.start(*argv) as process:
            output, _ = process.communicate(timeout=BOUND)
        return process.returncode, output

    def get(self, path: str, port: int = 10292) -> str | None:
        """Request a page from inside the container; return None if the status is not 200."""
        code = f"""
from urllib.request import urlopen
print(urlopen('http://127.0.0.1:{port}{path}', timeout={BOUND}).read().decode())"""
        status, body = self.run("python", "-c", code)
        return body if status == 0 else None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send its first process a signal, and return its exit status.

        Container engines kill it after ten seconds; on a busy machine a test allows for more.
        """
        subprocess.run([*AS_ROOT, "kill", f"-{number.value}", str(self.pid)], check=True)
        return self._outer.wait(BOUND)

    def _command(self, argv: Sequence[str], *, is_new: bool) -> list[str]:
        settings = {
            "is_new": is_new,
            "argv": list(argv),
            "environ": {**self.image.environ, **self.environ},
            "user": self._user,
            "root": str(self.image.root),
            "mounted": {inside: str(outside) for inside, outside in self.mounted.items()},
        }
        return [sys.executable, str(FIRST_PROCESS), json.dumps(settings)]


def _descendants(pid: int) -> list[int]:
    """Return a process, its child, its grandchild and so on; each must have at most one child."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(_descendants(int(children[0])) if children else ())]
