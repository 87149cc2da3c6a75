"""One service of OpenStack: a WSGI application under gunicorn on a loopback port of its own."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

from tests.openstack.account import ask

ROOT = Path(__file__).parent.parent.parent
VENV = ROOT / ".venv-openstack"
START_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0

CONFIG = """
bind = ["127.0.0.1:{port}"]
wsgi_app = "{application}"
threads = 8
graceful_timeout = 2
control_socket_disable = True
"""


def program(name: str) -> str:
    """Path of a program that `make openstack-env` installs."""
    path = VENV / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"{path}: made by `make openstack-env`")
    return str(path)


class Service:
    """Started and stopped at will, on the same port, with the same files.

    ``folder`` holds its configuration, ``output`` collects what it prints. Nothing outlives the
    tests: the kernel ends a service whose parent is killed.
    """

    def __init__(
        self, application: str, folder: Path, output: Path, environ: Mapping[str, str]
    ) -> None:
        # Bound but not listening: it keeps the port from all others while the service is down.
        # Linux lets the service bind it too, because both allow the address to be used again.
        self._claim = socket.socket()
        self._claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._claim.bind(("127.0.0.1", 0))
        self.port = int(self._claim.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._output = output
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None
        # Not as arguments: Keystone would take gunicorn's arguments for its own.
        config = CONFIG.format(port=self.port, application=application)
        (folder / "gunicorn.conf.py").write_text(config, "utf-8")

    def start(self) -> None:
        """Start it and wait until it answers; raises ``RuntimeError`` with what it printed."""
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
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"{self.url} does not start:\n{self.log()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it with all its workers, if it runs; from then on connections are refused."""
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
        """End it for good and give the port back."""
        self.stop()
        self._claim.close()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop it, and start it again in the end."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def log(self) -> str:
        """The end of what it has printed."""
        return self._output.read_text("utf-8", errors="replace")[-4000:]

    def _answers(self) -> bool:
        try:
            ask("GET", self.url)
        except requests.RequestException:
            return False
        return True
