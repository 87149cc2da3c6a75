"""A service of OpenStack: a WSGI application under gunicorn on a loopback port of its own."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

from tests.openstack.account import send

ROOT = Path(__file__).parent.parent.parent
VENV = ROOT / ".venv-openstack"
START_TIMEOUT = 300.0
"""Seconds. Other tests of the same run keep all cores busy while Keystone is imported."""

STOP_TIMEOUT = 10.0

CONFIG = """
bind = ["127.0.0.1:{port}"]
wsgi_app = "{application}"
threads = 8
graceful_timeout = 2
control_socket_disable = True
"""


def program(name: str) -> str:
    """Return the path of a program that `make openstack-env` installs."""
    path = VENV / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; run `make openstack-env`")
    return str(path)


class Service:
    """A service that can be stopped and started again, on the same port and with the same files.

    ``folder`` has its configuration, ``output`` collects its output. Services do not outlive the
    tests: the kernel terminates them when their parent is killed.
    """

    def __init__(
        self, application: str, folder: Path, output: Path, environ: Mapping[str, str]
    ) -> None:
        # Bound but not listening: it reserves the port while the service is down. Linux lets
        # the service bind it too, because both set SO_REUSEADDR.
        self._claim = socket.socket()
        self._claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._claim.bind(("127.0.0.1", 0))
        self.port = int(self._claim.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._output = output
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None
        # Not as arguments: Keystone would parse gunicorn's arguments as its own.
        config = CONFIG.format(port=self.port, application=application)
        (folder / "gunicorn.conf.py").write_text(config, "utf-8")

    def start(self) -> None:
        """Start the service and wait until it responds.

        Raises:
            RuntimeError: it does not; the message contains its output.
        """
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", program("gunicorn")],
                cwd=self._folder,
                env={**os.environ, **self._environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        end = time.monotonic() + START_TIMEOUT
        while not self._responds():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"{self.url} does not respond:\n{self.log()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the service and its workers, if it runs; connections are then refused."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """Stop the service and release its port."""
        self.stop()
        self._claim.close()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the service for the duration of the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def log(self) -> str:
        """Return the end of its output."""
        return self._output.read_text("utf-8", errors="replace")[-4000:]

    def _responds(self) -> bool:
        try:
            send("GET", self.url)
        except requests.RequestException:
            return False
        return True
