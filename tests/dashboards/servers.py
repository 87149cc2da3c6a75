"""Processes of Prometheus and Alertmanager that run until a block ends."""

import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests
import yaml

from tests.support.wait import wait_until

SERVER_TIMEOUT = 60.0
"""Seconds for a server to start, also on a busy machine."""

DATA = "tsdb"
"""The name of the folder with the samples of Prometheus."""

Command = Callable[[int], Sequence[str]]
"""Returns the command line of a server for a port."""


def installed(*names: str, package: str) -> str:
    """Return the path of the first program found by these names, or skip the test."""
    for name in names:
        if path := shutil.which(name):
            return path
    pytest.skip(f"{names[0]} is not installed; on Debian it is in the package {package}")


class Server:
    """A server that can be started, paused and stopped repeatedly."""

    def __init__(self, command: Command, log: Path) -> None:
        self._command = command
        self._log_file = log
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> None:
        """Start the server and wait until it is ready."""
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(port), stdout=log, stderr=subprocess.STDOUT
            )
        self.url = f"http://127.0.0.1:{port}"
        wait_until(self._is_ready, SERVER_TIMEOUT)

    def stop(self) -> None:
        """Stop the server cleanly, if it runs."""
        if self._process is not None:
            self.resume()
            self._process.terminate()
            try:
                self._process.wait(SERVER_TIMEOUT)
            finally:
                self._process.kill()
                self._process = None

    def pause(self) -> None:
        """Suspend the process."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume the process."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def log(self) -> str:
        """Content of the log."""
        return self._log_file.read_text("utf-8", "replace")

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        return responds(f"{self.url}/-/ready")


AnyServer = TypeVar("AnyServer", bound=Server)


class Prometheus(Server):
    """A Prometheus server with its files in a folder."""

    def __init__(self, command: Command, folder: Path) -> None:
        super().__init__(command, folder / "prometheus.log")
        self._data = folder / DATA

    def lose_data(self) -> None:
        """Remove all samples of a server that is stopped."""
        shutil.rmtree(self._data)

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an API response; raise ``AssertionError`` if it is an error."""
        url = f"{self.url}/api/v1/{path}"
        response = requests.get(url, parameters, timeout=SERVER_TIMEOUT).json()
        assert response["status"] == "success", response
        return response["data"]

    def query(self, query: str) -> list[Any]:
        """Return the current result of a query."""
        series: list[Any] = self.get("query", query=query)["result"]
        return series

    def values_of(self, variable: str) -> list[Any]:
        """Return the values of a variable, as Grafana's Prometheus data source computes them."""
        if match := re.fullmatch(r"query_result\((.+)\)", variable):
            return self.query(match[1])
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable)
        assert match, variable
        values: list[Any] = self.get(f"label/{match[2]}/values", **{"match[]": match[1]})
        return values

    def broken_rules(self) -> list[str]:
        """Return the errors of all evaluations of rules."""
        groups = self.get("rules")["groups"]
        errors = [rule.get("lastError") for group in groups for rule in group["rules"]]
        logged = [line for line in self.log.splitlines() if "valuating rule failed" in line]
        return [*filter(None, errors), *logged]


@contextmanager
def prometheus(
    folder: Path,
    settings: Mapping[str, Any],
    rules: Mapping[str, Any],
    flags: Iterable[str] = (),
) -> Iterator[Prometheus]:
    """Run a Prometheus with these settings and rules, and its files in this folder."""
    program = installed("prometheus", package="prometheus")
    folder.mkdir(exist_ok=True)
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump({**settings, "rule_files": ["rules.yml"]}), "utf-8")
    (folder / "rules.yml").write_text(yaml.safe_dump(rules), "utf-8")

    def command(port: int) -> Sequence[str]:
        return (
            program,
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / DATA}",
            f"--web.listen-address=127.0.0.1:{port}",
            *flags,
        )

    with running(Prometheus(command, folder)) as server:
        yield server


@contextmanager
def alertmanager(folder: Path, settings: Mapping[str, Any]) -> Iterator[Server]:
    """Run a single Alertmanager with these settings, and its files in this folder."""
    program = installed(
        "prometheus-alertmanager", "alertmanager", package="prometheus-alertmanager"
    )
    folder.mkdir(exist_ok=True)
    file = folder / "alertmanager.yml"
    file.write_text(yaml.safe_dump(settings), "utf-8")

    def command(port: int) -> Sequence[str]:
        return (
            program,
            f"--config.file={file}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        )

    with running(Server(command, folder / "alertmanager.log")) as server:
        yield server


def responds(url: str) -> bool:
    """Return True if a request succeeds."""
    try:
        return requests.get(url, timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


@contextmanager
def running(server: AnyServer) -> Iterator[AnyServer]:
    """Run a server until the block ends."""
    try:
        server.start()
        yield server
    finally:
        server.stop()
