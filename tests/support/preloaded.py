"""Runs of the exporter in processes that have imported it already.

Importing takes most of the time of a short run. A server imports the exporter once and forks a
process for each run, which has arguments, environment, folder and output of its own, and which
ends as any other process.
"""

import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn, TextIO

import exporter.cli  # noqa: F401  # so that no run imports it
from exporter import __main__

MAX_REQUEST = 256 * 1024
"""Bytes of arguments and environment."""


class ForkedProcess:
    """A process that the server has forked, with the methods of ``Popen``."""

    def __init__(self, status: socket.socket) -> None:
        self._status = status
        self.pid = int(status.recv(100))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the status, or None if the process has not ended."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float) -> int:
        """Wait for the end of the process and return its status, negative for a signal.

        Raises:
            subprocess.TimeoutExpired: It did not end within ``timeout`` seconds.
        """
        if self.returncode is None:
            self._status.settimeout(timeout)
            try:
                self.returncode = int(self._status.recv(100))
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(["exporter"], timeout) from None
            self._status.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if the process has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process, if it has not ended."""
        self.send_signal(signal.SIGKILL)


class PreloadedExporter:
    """A server that forks processes of the exporter."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket, server_end = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with server_end:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(server_end.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[server_end.fileno()],
            )

    def start(
        self,
        argv: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        stdout: int,
        stderr: int,
    ) -> ForkedProcess:
        """Start the program, with these descriptors for its output."""
        request = json.dumps([argv, str(cwd), dict(env)]).encode()
        status, server_end = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with server_end, self._lock:
            socket.send_fds(self._socket, [request], [server_end.fileno(), stdout, stderr])
        return ForkedProcess(status)

    def run(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run the program until it exits by itself.

        Raises:
            subprocess.TimeoutExpired: It did not within ``timeout`` seconds, and was killed.
        """
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8") as stdout,
            tempfile.TemporaryFile("w+", encoding="utf-8") as stderr,
        ):
            process = self.start(argv, cwd, env, stdout.fileno(), stderr.fileno())
            try:
                status = process.wait(timeout)
            finally:
                process.kill()
                process.wait(timeout)
            return subprocess.CompletedProcess(argv, status, _text(stdout), _text(stderr))

    def stop(self) -> None:
        """Let the server exit."""
        self._socket.close()
        self._process.wait()


@cache
def preloaded_exporter() -> PreloadedExporter:
    """Return the server of this process."""
    return PreloadedExporter()


def stop_preloaded_exporter() -> None:
    """Stop the server of this process, if it has one."""
    if preloaded_exporter.cache_info().currsize:
        preloaded_exporter().stop()
        preloaded_exporter.cache_clear()


def _text(file: TextIO) -> str:
    file.seek(0)
    return file.read()


def serve(requests: socket.socket) -> int:
    """Start the program for each request; return its status in its own process."""
    gc.freeze()  # A collection in a process would copy the memory that it shares with this one.
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, MAX_REQUEST, 3)
        _reap()
        if not request:
            return 0
        if os.fork() == 0:
            requests.close()
            status, *outputs = descriptors
            if (pid := os.fork()) == 0:
                os.close(status)
                return _run(*json.loads(request), *outputs)
            _monitor(pid, socket.socket(fileno=status))
        for descriptor in descriptors:
            os.close(descriptor)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _monitor(pid: int, status: socket.socket) -> NoReturn:
    status.send(str(pid).encode())
    status.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
    os._exit(0)


def _run(argv: list[str], cwd: str, env: dict[str, str], stdout: int, stderr: int) -> int:
    warnings.simplefilter("always", ResourceWarning)
    for number, descriptor in ((1, stdout), (2, stderr)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [__main__.__file__, *argv]
    return __main__.main()


if __name__ == "__main__":
    sys.exit(serve(socket.socket(fileno=int(sys.argv[1]))))
