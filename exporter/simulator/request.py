"""A request as the simulated service received it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """The head of a request.

    ``target`` is the path with its query, as sent. ``headers`` has lower-case names; the
    values of a repeated header are joined by commas. ``keep_alive`` is False if the service
    closes the connection after each response, whatever the client requests.
    """

    method: str
    target: str
    version: str
    headers: Mapping[str, str]
    keep_alive: bool = True

    @classmethod
    def parse(cls, head: bytes, *, keep_alive: bool = True) -> "ReceivedRequest":
        """Parse a head without its empty line.

        Raises:
            ValueError: the first line is not a request line.
        """
        request_line, *header_lines = head.decode("latin-1").split("\r\n")
        method, target, version = request_line.split(" ")
        headers: dict[str, str] = {}
        for line in header_lines:
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return cls(method, target, version, headers, keep_alive)

    @property
    def line(self) -> str:
        """Return the request line without its line break."""
        return f"{self.method} {self.target} {self.version}"

    @property
    def path(self) -> str:
        """Return the target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """Return the query of the target, empty if it has none."""
        return self.target.partition("?")[2]

    @property
    def image_id(self) -> str | None:
        """Return the ID of the requested image, in any API version; None for other paths."""
        parent, _, last = self.path.rpartition("/")
        return last if parent.endswith("/images") and last not in ("", "detail") else None

    @property
    def api_version(self) -> str | None:
        """Return ``v1`` or ``v2`` for a request of that version; None for other paths."""
        match = re.search(r"/(v[12])(?:\.[0-9])?/", self.path)
        return match[1] if match else None

    @property
    def is_list(self) -> bool:
        """Return True for a request for the list of images."""
        return self.path.endswith(("/images", "/images/detail"))

    @property
    def closes(self) -> bool:
        """Return True if the connection must be closed after the response.

        That is the case if the client requests it, if the service always does, or if the
        request has a body: the simulated service does not read bodies.
        """
        connection = self.headers.get("connection", "").lower()
        return (
            not self.keep_alive
            or "close" in connection
            or (self.version == "HTTP/1.0" and "keep-alive" not in connection)
            or self.headers.get("content-length", "0") != "0"
            or "transfer-encoding" in self.headers
        )
