"""Prometheus and Alertmanager, each in a process of its own for as long as a block lasts."""

import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.support.wait import wait_until

SLOW = 60.0
"""Seconds within which a server has to be up, however busy the machine is."""

Command = Callable[[int], Sequence[str]]
"""The command line of a server that is to listen on this port."""


def installed(*names: str, package: str) -> str:
    """The program of one of these names; skips the test where there is none."""
    for name in names:
        if found := shutil.which(name):
            return found
    pytest.skip(f"{names[0]} is not installed; on Debian it is in the package {package}")


class Server:
    """A server on a port of its own, and its process while it runs."""

    def __init__(self, command: Command, log: Path) -> None:
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> None:
        """Run it, and return once it is ready."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(port), stdout=log, stderr=subprocess.STDOUT
            )
        self.url = f"http://127.0.0.1:{port}"
        wait_until(self._is_ready, SLOW)

    def stop(self) -> None:
        """End it well; nothing happens where it does not run."""
        if self._process is not None:
            self.resume()
            self._process.terminate()
            try:
                self._process.wait(SLOW)
            finally:
                self._process.kill()
                self._process = None

    def pause(self) -> None:
        """Have it do nothing at all, as of now."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def logged(self) -> str:
        """What it has said."""
        return self._log.read_text("utf-8", "replace")

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.logged
        return answers(f"{self.url}/-/ready")


class Prometheus(Server):
    """A running Prometheus."""

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API; AssertionError where it refuses."""
        answer = requests.get(f"{self.url}/api/v1/{path}", parameters, timeout=SLOW).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, query: str) -> list[Any]:
        """The series that a query gives now."""
        series: list[Any] = self.get("query", query=query)["result"]
        return series

    def values_of(self, variable: str) -> list[Any]:
        """What a variable offers, as Grafana's Prometheus data source gets it."""
        if asked := re.fullmatch(r"query_result\((.+)\)", variable):
            return self.query(asked[1])
        asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable)
        assert asked, variable
        found: list[Any] = self.get(f"label/{asked[2]}/values", **{"match[]": asked[1]})
        return found

    def broken_rules(self) -> list[str]:
        """What became of the rules that could not be evaluated, the last time or ever."""
        groups = self.get("rules")["groups"]
        errors = [rule.get("lastError") for group in groups for rule in group["rules"]]
        said = [line for line in self.logged.splitlines() if "valuating rule failed" in line]
        return [*filter(None, errors), *said]


@contextmanager
def prometheus(
    folder: Path,
    settings: Mapping[str, Any],
    rules: Mapping[str, Any],
    flags: Iterable[str] = (),
) -> Iterator[Prometheus]:
    """A Prometheus with these settings and rules, all of whose files are in this folder."""
    program = installed("prometheus", package="prometheus")
    folder.mkdir(exist_ok=True)
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump({**settings, "rule_files": ["rules.yml"]}), "utf-8")
    (folder / "rules.yml").write_text(yaml.safe_dump(rules), "utf-8")

    def command(port: int) -> Sequence[str]:
        return (
            program,
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            *flags,
        )

    yield from _running(Prometheus(command, folder / "prometheus.log"))


@contextmanager
def alertmanager(folder: Path, settings: Mapping[str, Any]) -> Iterator[Server]:
    """An Alertmanager by itself with these settings, all of whose files are in this folder."""
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

    yield from _running(Server(command, folder / "alertmanager.log"))


def answers(url: str) -> bool:
    """Whether there is an answer, and it is good."""
    try:
        return requests.get(url, timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


def _running(server: Any) -> Iterator[Any]:
    try:
        server.start()
        yield server
    finally:
        server.stop()
