"""The head of an HTTP answer, read from its bytes.

``http.client`` is not used for it, because with what Glance v1 sends it is wrong in silence: a
bare line feed in a name makes it lose all later headers, a head cut off in the middle looks
complete, and more than 100 headers make it raise. Lines end in CR LF, as every server of the
Image service sends them; a line feed alone is part of a value.
"""

import re
from dataclasses import dataclass

from exporter.model.v1_headers import PROPERTY_PREFIX, Field

END = b"\r\n\r\n"
MAX_BYTES = 256 * 1024
MAX_FIELDS = 1000

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n]*)?")
_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
_REQUEST_ID = re.compile(rb"req-[0-9a-f-]{36}")


class MalformedHead(Exception):  # noqa: N818  # the server erred, not we
    """The bytes are no head of an HTTP answer that can be trusted; the text says why."""


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Status code and fields in the order they came; ``keeps_alive`` as the server promises."""

    code: int
    fields: list[Field]
    keeps_alive: bool

    def first(self, name: bytes) -> bytes | None:
        """The value of the first field of that (lower-case) name."""
        for field, value in self.fields:
            if field == name:
                return value
        return None

    def only(self, name: bytes) -> bytes | None:
        """The value of the field of that name, where one value stands there and no other."""
        values = {value for field, value in self.fields if field == name}
        return values.pop() if len(values) == 1 else None

    @property
    def request_id(self) -> str:
        """``X-Openstack-Request-Id``, empty where there is none of the form Glance gives."""
        raw = self.first(b"x-openstack-request-id")
        return raw.decode("ascii") if raw and _REQUEST_ID.fullmatch(raw) else ""


def parse_head(raw: bytes) -> ResponseHead:
    """The head in ``raw``, which ends before the empty line; raises ``MalformedHead``."""
    first, *lines = raw.split(b"\r\n")
    status = _STATUS_LINE.fullmatch(first)
    if status is None:
        raise MalformedHead("the answer is not HTTP/1")
    if len(lines) > MAX_FIELDS:
        raise MalformedHead(f"more than {MAX_FIELDS} headers")
    fields = [_field(line) for line in lines]
    head = ResponseHead(int(status[2]), fields, keeps_alive=False)
    connection = (head.first(b"connection") or b"").lower()
    keeps_alive = b"close" not in connection if status[1] == b"1" else b"keep-alive" in connection
    return ResponseHead(head.code, fields, keeps_alive)


def _field(line: bytes) -> Field:
    """Name in lower case and value without the white space around it; a stray line has no name."""
    name, colon, value = line.partition(b":")
    name = name.lower()
    # A property's key may hold any character, a space among them; other names are tokens.
    if colon and name and (not name.translate(None, _TOKEN) or name.startswith(PROPERTY_PREFIX)):
        return name, value.strip(b" \t")
    return b"", line
