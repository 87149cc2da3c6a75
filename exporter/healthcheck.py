"""Health check of the exporter in this container, for Docker and for exec probes.

``python -m exporter.healthcheck [healthy|ready]`` exits with 0 for yes and 1 for no, and prints
why. It runs every few seconds beside the exporter, so it imports no other module of it: 50 ms and
18 MiB instead of ten times that.
"""

import http.client
import os
import re
import socket
import ssl
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import yaml

FIRST_PROCESS = Path("/proc/1/cmdline")
"""Where a container's first process, the exporter, has its flags."""

TIMEOUT = 3.0
"""Seconds that each step of an answer may take."""

EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  # to be recognised, not listened on
ANSWERED = frozenset({401, 403, 429})
"""What is answered by an exporter that wants a password first, or fewer questions."""

DEFAULT_ADDRESS = ":10292"

_WEB = re.compile(r"""^(?:web|'web'|"web")[ \t]*:.*\n(?:(?:[ \t\r#].*)?\n)*""", re.MULTILINE)
_KEY = re.compile(r"^\w+:", re.MULTILINE)


class HealthResult(NamedTuple):
    """Whether the exporter is well, and why."""

    well: bool
    why: str


class DaemonSettings:
    """Settings of the first process, from where it has them itself: flags, environment, file.

    Only single values, unchecked: the exporter has refused what is wrong, and what became wrong in
    the file since then is no reason to call a running exporter ill.
    """

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str]) -> None:
        self._argv = argv
        self._environ = environ
        self._file: object = None
        if path := self.get("config.file"):
            with suppress(OSError, ValueError, yaml.YAMLError):
                self._file = _read(Path(path).read_text("utf-8-sig"))

    def get(self, key: str) -> str | None:
        """The value of a setting such as ``web.listen_address``; ``None`` where it has none."""
        flag = f"--{key.replace('_', '-')}"
        for word, after in reversed([*pairwise([*self._argv, ""])]):
            if word == flag and after:
                return after
            if word.startswith(f"{flag}="):
                return word.partition("=")[2]
        if value := self._environ.get(f"IMAGE_EXPORTER_{key.upper().replace('.', '__')}"):
            return value
        found = self._file
        for part in key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found if isinstance(found, str) else None


def _read(text: str) -> object:
    """The settings of the web in a settings file, with or without the others.

    A list of 100,000 images would take longer to read than a probe may, and more memory than a pod
    has to spare. So only the lines of ``web`` are read where they stand by themselves.
    """
    found = _WEB.search(f"{text}\n")
    if found is None and _KEY.search(text):
        return None
    if found is not None:
        with suppress(yaml.YAMLError):
            return yaml.load(found[0], yaml.CSafeLoader)
    return yaml.load(text, yaml.CSafeLoader)


def first_process() -> list[str]:
    """The arguments of the container's first process."""
    try:
        return FIRST_PROCESS.read_text("utf-8", "surrogateescape").split("\0")
    except OSError:
        return []


def ask(address: str, path: str) -> HealthResult:
    """What the exporter that listens on ``address`` answers to a GET of ``path``.

    Who it is need not be proved, and a password is not known here: an exporter that asks for one,
    for a certificate, or for fewer questions, answers.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    place = ("127.0.0.1" if host in EVERYWHERE else host, int(port))
    try:
        try:
            return _answer(socket.create_connection(place, TIMEOUT), path)
        except (http.client.HTTPException, ConnectionResetError):
            # What speaks TLS does not understand a plain request.
            return _answer_by_tls(place, path)
    except (http.client.HTTPException, OSError) as error:
        return HealthResult(False, f"no answer: {error}")


def _answer_by_tls(place: tuple[str, int], path: str) -> HealthResult:
    try:
        with socket.create_connection(place, TIMEOUT) as plain:
            return _answer(_unverified().wrap_socket(plain), path)
    except (http.client.HTTPException, ssl.SSLError, ConnectionError):
        # A server that misses a certificate ends the connection, and its reason may be lost then.
        if not _greets_by_tls(place):
            raise
        return HealthResult(True, "answers, and asks for a certificate")


def _greets_by_tls(place: tuple[str, int]) -> bool:
    """Whether a greeting by TLS is answered, by a greeting or an alert."""
    greeting = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        _unverified().wrap_bio(ssl.MemoryBIO(), greeting).do_handshake()
    with socket.create_connection(place, TIMEOUT) as plain:
        plain.sendall(greeting.read())
        return plain.recv(1) in {b"\x15", b"\x16"}


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _answer(sock: socket.socket, path: str) -> HealthResult:
    with sock:
        sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        response = http.client.HTTPResponse(sock, method="GET")
        response.begin()
        if response.status in ANSWERED:
            return HealthResult(True, f"answers, with {response.status} {response.reason}")
        text = response.read(1000).decode("utf-8", "replace").strip()
        return HealthResult(response.status == http.client.OK, f"{response.status} {text}")


def main(argv: Sequence[str] | None = None) -> int:
    """Asks, says what came of it, and returns the exit status."""
    (question,) = (sys.argv[1:] if argv is None else argv) or ["healthy"]
    settings = DaemonSettings(first_process(), os.environ)
    address = settings.get("web.listen_address") or DEFAULT_ADDRESS
    prefix = settings.get("web.route_prefix")
    if prefix is None:
        prefix = urlsplit(settings.get("web.external_url") or "").path
    page = f"{prefix.strip('/')}/-/{question}".lstrip("/")
    verdict = ask(address, f"/{page}")
    sys.stdout.write(f"{verdict.why}\n")
    return 0 if verdict.well else 1


if __name__ == "__main__":
    sys.exit(main())
