"""Format of the state file: gzip over JSON, a line for each cloud and image.

The first line names the format, its version and the time of the write. Attributes that have their
default are left out. gzip ends with a checksum, so a file that was cut or altered is refused as a
whole. pydantic checks every type, so no other part of the exporter sees a value of a wrong one.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from exporter.model.instant import Instant
from exporter.state.records import CloudRecord, ImageRecord, SavedState

Format = Literal["openstack-image-exporter state"]
FORMAT: Format = "openstack-image-exporter state"
VERSION = 1
"""Version of the format. A file of a newer one is not read."""

LEVEL = 1
"""Level of compression: a higher one takes several times as long."""

MAX_FILE_BYTES = 256 * 2**20
"""Largest file to read or write, several times that of 100,000 images."""

MAX_LINE_BYTES = 16 * 2**20
"""Longest line to read: far more than the longest response of an Image service makes."""

PIECE_BYTES = 256 * 2**10
"""Bytes to compress at a time."""

STEP_BYTES = 16 * 2**10
"""Bytes to decompress at a time. They become 16 MiB at most, since deflate has that limit."""

OTHER_CONTENT = "it is not a state file of this version"

_GZIP = zlib.MAX_WBITS | 16


class InvalidStateError(Exception):
    """The content of a state file cannot be used. The text says why."""


@dataclass(frozen=True, slots=True)
class _Header:
    format: Format
    version: int
    saved_at: Instant
    shard: tuple[int, int]
    clouds: tuple[CloudRecord, ...]


@dataclass(frozen=True, slots=True)
class _Version:
    """The part of the header that every version of the format has."""

    format: Format
    version: int


_VERSION = TypeAdapter(_Version)
_HEADER = TypeAdapter(_Header)
_IMAGE = TypeAdapter(ImageRecord)


def encode(state: SavedState) -> Iterator[bytes]:
    """Yield the content of the file in pieces."""
    compressor = zlib.compressobj(LEVEL, wbits=_GZIP)
    header = _Header(FORMAT, VERSION, state.saved_at, state.shard, state.clouds)
    lines = [_HEADER.dump_json(header, exclude_defaults=True)]
    size = 0
    for image in state.images:
        lines.append(_IMAGE.dump_json(image, exclude_defaults=True))
        size += len(lines[-1])
        if size >= PIECE_BYTES:
            yield compressor.compress(b"\n".join((*lines, b"")))
            lines, size = [], 0
    yield compressor.compress(b"\n".join((*lines, b"")))
    yield compressor.flush()


def check_size(size: int) -> None:
    """Check the size of a file in bytes.

    Raises:
        InvalidStateError: No state file is that large.
    """
    if size > MAX_FILE_BYTES:
        raise InvalidStateError(f"it is larger than {MAX_FILE_BYTES} bytes")


def decode(content: bytes) -> SavedState:
    """Return the state in the content of a file.

    Raises:
        InvalidStateError: The content is damaged, or not that of a state file of this version.
    """
    check_size(len(content))
    lines = _lines(content)
    try:
        first = next(lines, b"")
        if _VERSION.validate_json(first).version > VERSION:
            raise InvalidStateError("a newer version of the exporter has written it")
        header = _HEADER.validate_json(first, strict=True)
        shared: dict[frozenset[str], frozenset[str]] = {}
        images = [_sharing(_IMAGE.validate_json(line, strict=True), shared) for line in lines]
    except zlib.error:
        raise InvalidStateError("it is damaged, or not a state file") from None
    except ValidationError:
        raise InvalidStateError(OTHER_CONTENT) from None
    return SavedState(header.saved_at, header.shard, header.clouds, images)


def _lines(content: bytes) -> Iterator[bytes]:
    """Yield the lines of compressed content."""
    decompressor = zlib.decompressobj(_GZIP)
    rest, position = b"", 0
    while not decompressor.eof:
        if position >= len(content):
            raise InvalidStateError("it is cut off")
        piece = decompressor.decompress(content[position : position + STEP_BYTES])
        position += STEP_BYTES
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
        if len(rest) > MAX_LINE_BYTES:
            raise InvalidStateError("a line is too long")
    if rest:
        raise InvalidStateError(OTHER_CONTENT)
    if decompressor.unused_data or position < len(content):
        raise InvalidStateError("something follows its end")


def _sharing(record: ImageRecord, shared: dict[frozenset[str], frozenset[str]]) -> ImageRecord:
    """Return a record that shares the set of requested properties with all others."""
    baseline = record.observation.change_baseline
    image = baseline.image
    if image is None or image.requested_properties is None:
        return record
    names = shared.setdefault(image.requested_properties, image.requested_properties)
    image = replace(image, requested_properties=names)
    observation = replace(record.observation, change_baseline=baseline._replace(image=image))
    return replace(record, observation=observation)
