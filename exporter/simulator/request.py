"""One request as it arrived."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """A request's head: header names in lower case, one that stands twice joined by a comma.

    ``target`` is the path with its query, as it was sent.
    """

    method: str
    target: str
    version: str
    headers: Mapping[str, str]

    @classmethod
    def parse(cls, head: bytes) -> "Request":
        """Read a head without its empty line; ValueError when its first line is no request."""
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
        headers: dict[str, str] = {}
        for text in lines:
            name, _, value = text.partition(":")
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return cls(method, target, version, headers)

    @property
    def line(self) -> str:
        """The request line, without its line break."""
        return f"{self.method} {self.target} {self.version}"

    @property
    def image_id(self) -> str | None:
        """The image asked for, by whatever version of the API; None for all other paths."""
        before, _, last = self.target.partition("?")[0].rpartition("/")
        return last if before.endswith("/images") and last not in ("", "detail") else None

    @property
    def is_list(self) -> bool:
        """Whether the list of images is asked for."""
        return self.target.partition("?")[0].endswith(("/images", "/images/detail"))

    @property
    def closes(self) -> bool:
        """Whether the connection ends with the answer.

        That is when the client asks for it, and when a body follows, for no body is read.
        """
        connection = self.headers.get("connection", "").lower()
        return (
            "close" in connection
            or (self.version == "HTTP/1.0" and "keep-alive" not in connection)
            or self.headers.get("content-length", "0") != "0"
            or "transfer-encoding" in self.headers
        )
