"""Runs of the exporter in processes that have imported it already.

Importing takes most of the time of a short run. A server imports the exporter once and forks a
process for each run, which has arguments, environment, folder and output of its own, and which
ends as any other process.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TextIO

import exporter.cli  # noqa: F401  # so that no run imports it
from exporter import __main__

MAX_REQUEST = 256 * 1024
"""Bytes of arguments and environment."""


class PreloadedExporter:
    """A server that runs the exporter, one run at a time."""

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

    def run(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run the program until it exits by itself.

        Raises:
            subprocess.TimeoutExpired: It did not within ``timeout`` seconds, and was killed.
        """
        request = json.dumps([argv, str(cwd), dict(env)]).encode()
        with (
            self._lock,
            tempfile.TemporaryFile("w+", encoding="utf-8") as stdout,
            tempfile.TemporaryFile("w+", encoding="utf-8") as stderr,
        ):
            socket.send_fds(self._socket, [request], [stdout.fileno(), stderr.fileno()])
            pid = int(self._socket.recv(100))
            kill = threading.Timer(timeout, os.kill, (pid, signal.SIGKILL))
            kill.start()
            status = int(self._socket.recv(100))
            kill.cancel()
            result = subprocess.CompletedProcess(argv, status, _text(stdout), _text(stderr))
        if status == -signal.SIGKILL:
            raise subprocess.TimeoutExpired(argv, timeout, result.stdout, result.stderr)
        return result

    def stop(self) -> None:
        """Let the server exit."""
        self._socket.close()
        self._process.wait()


@cache
def preloaded_exporter() -> PreloadedExporter:
    """Return the server of this process, which ends with it."""
    server = PreloadedExporter()
    atexit.register(server.stop)
    return server


def _text(file: TextIO) -> str:
    file.seek(0)
    return file.read()


def serve(requests: socket.socket) -> int:
    """Fork a process for each request; return the status of the program in those processes."""
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, MAX_REQUEST, 2)
        if not request:
            return 0
        pid = os.fork()
        if pid == 0:
            requests.close()
            return _run(*json.loads(request), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        requests.send(str(pid).encode())
        requests.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def _run(argv: list[str], cwd: str, env: dict[str, str], stdout: int, stderr: int) -> int:
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
